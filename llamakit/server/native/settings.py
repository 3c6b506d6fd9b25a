"""What holds for a request, as llama-server's answers tell it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from llamakit.core.sampling.params import RANDOM_SEED, SamplingParams
from llamakit.server.generation.fields import CompletionFields

OWN = (
    "n_predict", "n_keep", "n_discard", "stream", "n_probs", "timings_per_token", "post_sampling_probs",
)  # fmt: skip
NOT_ITS = {
    "frequency_is_share",
    "watermark_gamma",
    "watermark_delta",
    "keeps_others",
}  # llama-server has no such fields
IDLE = {
    "chat_format": "Content-only",
    "reasoning_format": "none",
    "reasoning_in_content": False,
    "generation_prompt": "",
    "speculative.types": "none",
    "backend_sampling": False,
}


def generation_settings(asked: CompletionFields, eog_ids: Iterable[int]) -> dict[str, Any]:
    """A bias of null bans a token, as JSON has no infinity."""
    p = asked.sampling
    biases = {**p.logit_bias, **(dict.fromkeys(sorted(eog_ids), -math.inf) if p.ignore_eos else {})}
    return {
        **{f.name: getattr(p, f.name) for f in fields(SamplingParams) if f.name not in NOT_ITS},
        "seed": RANDOM_SEED if p.seed in (None, -1) else p.seed,
        "samplers": list(p.samplers),
        "dry_sequence_breakers": list(p.dry_sequence_breakers),
        "logit_bias": [{"bias": None if bias == -math.inf else bias, "token": token} for token, bias in biases.items()],
        **{name: getattr(asked, name) for name in OWN},
        "max_tokens": asked.n_predict,
        "stop": list(asked.stop),
        **asked.grammar.settings(),
        **IDLE,
        "lora": [{"id": adapter, "scale": scale} for adapter, scale in asked.lora or ()],
    }
