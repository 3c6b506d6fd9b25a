"""A text to fill in between two others, as models are asked for it that were trained to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamakit.server.errors import Refused

if TYPE_CHECKING:
    from llamakit.core.vocab.base import Vocab


def infill_tokens(vocab: Vocab, prefix: str, suffix: str, is_suffix_first: bool) -> tuple[int, ...]:
    """PREFIX before, SUFFIX after, MIDDLE: the model goes on with what is between. Raises Refused."""
    special = vocab.special
    names = {"prefix": special.fim_pre, "suffix": special.fim_suf, "middle": special.fim_mid}
    ids: list[int] = []
    for name, token in names.items():
        if token is None:
            raise Refused(501, f"Infill is not supported by this model: {name} token is missing", "suffix")
        ids.append(token)
    pre, suf, mid = ids
    before = [pre, *vocab.encode(prefix, add_special=False)]
    after = [suf, *vocab.encode(suffix, add_special=False)]
    start = [vocab.bos_id] if vocab.add_bos and vocab.bos_id is not None else []
    return (*start, *(after + before if is_suffix_first else before + after), mid)
