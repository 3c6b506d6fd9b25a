"""What holds for a request, as llama-server's answers tell it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from llamakit.core.sampling.params import RANDOM_SEED, SamplingParams
from llamakit.server.engine.generation import Generation
from llamakit.server.generation.fields import CompletionFields
from llamakit.server.generation.grammar_fields import GrammarSource

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
    "backend_sampling": False,
}


# what a request has brought along, and is shown to nobody else
TEXTS = {
    "stop", "dry_sequence_breakers", "logit_bias", "grammar", "grammar_lazy", "grammar_triggers", "preserved_tokens",
}  # fmt: skip


def fields_of(g: Generation) -> CompletionFields:
    """Of a request that came by another API."""
    return CompletionFields(
        sampling=g.sampling, grammar=GrammarSource(), constraint=None, stop=g.stop, lora=g.adapters,
        response_fields=(), n_predict=g.n_predict, n_keep=g.n_keep or 0, cache_prompt=g.use_cache, sse_ping_interval=0,
        n_discard=g.n_discard, n_probs=g.n_logprobs or 0, post_sampling_probs=g.post_sampling_probs,
    )  # fmt: skip


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
        "speculative.types": asked.speculative.types,
        "lora": [{"id": adapter, "scale": scale} for adapter, scale in asked.lora or ()],
    }
