"""The sampling that a model's authors recommend, as its file says."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from llamakit.core.sampling.order import order_of_names
from llamakit.core.sampling.params import SamplingParams
from llamakit.errors import UsageError

log = logging.getLogger(__name__)

FIELDS: Mapping[str, tuple[str, Callable[[Any], int | float]]] = {
    "top_k": ("top_k", int),
    "top_p": ("top_p", float),
    "min_p": ("min_p", float),
    "xtc_probability": ("xtc_probability", float),
    "xtc_threshold": ("xtc_threshold", float),
    "temp": ("temperature", float),
    "penalty_last_n": ("repeat_last_n", int),
    "penalty_repeat": ("repeat_penalty", float),
    "mirostat": ("mirostat", int),
    "mirostat_tau": ("mirostat_tau", float),
    "mirostat_eta": ("mirostat_eta", float),
}  # key behind `general.sampling.`: field of SamplingParams


def defaults_of(metadata: Mapping[str, Any]) -> SamplingParams:
    """llama.cpp's defaults, in place of which the `general.sampling.*` keys of a GGUF file hold.

    The tokens that the file suppresses are banned. Values that make no sense are left out with a warning in the log: no
    model is unusable for them.
    """
    params = SamplingParams()
    if isinstance(sequence := metadata.get("general.sampling.sequence"), str):
        samplers, unknown = order_of_names(sequence.split(";"))
        if unknown:
            log.warning("general.sampling.sequence: unknown samplers %s are left out", ", ".join(unknown))
        params = replace(params, samplers=samplers or params.samplers)
    for key, (name, kind) in FIELDS.items():
        if (value := metadata.get(f"general.sampling.{key}")) is None:
            continue
        try:
            changes: dict[str, Any] = {name: kind(value)}
            params = replace(params, **changes)
        except (UsageError, ValueError, TypeError, OverflowError) as error:
            log.warning("general.sampling.%s is left out: %s", key, error)
    return replace(params, logit_bias=suppressed(metadata))


def suppressed(metadata: Mapping[str, Any]) -> dict[int, float]:
    """Bans of the tokens that a model must never write, though it might."""
    tokens = metadata.get("tokenizer.ggml.suppress_tokens")
    if not isinstance(tokens, list) or not tokens:
        return {}
    n_vocab = len(metadata.get("tokenizer.ggml.tokens", ()))
    return {token: -math.inf for token in tokens if isinstance(token, int) and 0 <= token < n_vocab}
