"""From logits to the next token: `params.SamplingParams` say which stages a `chain.Sampler` runs."""

from __future__ import annotations

from llamakit.core.sampling.params import SamplingParams

__all__ = ["SamplingParams"]
