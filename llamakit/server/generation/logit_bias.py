"""`logit_bias`: tokens by id or by text, each with a number, or with false for never."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from llamakit.core.sampling.params import LARGEST
from llamakit.server.generation.field import Anything, Body, FieldError

if TYPE_CHECKING:
    from llamakit.core.vocab.base import Vocab

LOGIT_BIAS = Anything(
    "logit_bias",
    "Added to the logits of tokens: a list of [token, bias], or an object of them. A token is an id, or a text, whose "
    "tokens all have the bias; false for a bias bans it.",
    types=("array", "object"),
    items={"type": "array", "minItems": 2, "maxItems": 2},
)


def read_logit_bias(body: Body, vocab: Vocab) -> dict[int, float] | None:
    """Biases by token id; None where the body has none. A later one of the same token counts."""
    if (found := LOGIT_BIAS.find(body)) is None:
        return None
    _, value = found
    if isinstance(value, dict):
        pairs: Iterable[Any] = ((token_of_key(key), bias) for key, bias in value.items())
    elif isinstance(value, list):
        pairs = value
    else:
        raise FieldError(LOGIT_BIAS.name, "must be a list of [token, bias], or an object of biases by token")
    if len(value) > vocab.n_tokens:
        raise FieldError(LOGIT_BIAS.name, f"has {len(value)} entries, but there are only {vocab.n_tokens} tokens")
    biases: dict[int, float] = {}
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise FieldError(LOGIT_BIAS.name, f"{str(pair)[:40]} is no pair of a token and a bias")
        token, bias = pair
        biases |= dict.fromkeys(tokens_of(token, vocab), bias_of(bias))
    return biases


def token_of_key(key: str) -> int | str:
    """The keys of an object are texts, even those that are ids."""
    return int(key) if key.isascii() and key.isdecimal() and len(key) < 12 else key


def tokens_of(token: Any, vocab: Vocab) -> list[int]:
    if isinstance(token, str):
        return vocab.encode(token, add_special=False)
    if not isinstance(token, int) or isinstance(token, bool):
        raise FieldError(LOGIT_BIAS.name, f"{str(token)[:40]!r} is neither a token id nor a text")
    if not 0 <= token < vocab.n_tokens:
        raise FieldError(LOGIT_BIAS.name, f"there is no token {str(token)[:40]}, the last one is {vocab.n_tokens - 1}")
    return [token]


def bias_of(bias: Any) -> float:
    if bias is False:
        return -math.inf
    if not isinstance(bias, int | float) or isinstance(bias, bool) or not abs(bias) <= LARGEST:
        raise FieldError(LOGIT_BIAS.name, f"{str(bias)[:40]!r} is no bias: it must be a number or false")
    return float(bias)
