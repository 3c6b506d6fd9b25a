"""From logits to the next token. `Sampler` runs the stages that `SamplingParams` ask for."""

from __future__ import annotations

from llamakit.core.sampling.chain import Constraint, Sampler, kernel_names
from llamakit.core.sampling.logprobs import logprobs, top_logprobs
from llamakit.core.sampling.params import SamplingParams

__all__ = ["Constraint", "Sampler", "SamplingParams", "kernel_names", "logprobs", "top_logprobs"]
