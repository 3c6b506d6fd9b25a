"""DRY: the stage, and the tokens of its sequence breakers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from llamakit.core.kernels import sampling_dry as kernels
from llamakit.core.sampling.stage import Setup, Stage

if TYPE_CHECKING:
    from llamakit.core.vocab.base import Vocab

LONGEST_BREAKER = 40  # bytes
LONGEST_TAIL = 20  # tokens
LN_LARGEST = 88.7228391  # ln of the largest float32
FLATTEST = 1.000001  # a base up to here grows too little to overflow


@dataclass(frozen=True)
class Breakers:
    """Which tokens begin a breaker, and what must follow: the arrays of `kernels.Dry`."""

    first_tails: npt.NDArray[np.int32]
    tail_starts: npt.NDArray[np.int32]
    tail_tokens: npt.NDArray[np.int32]


def dry(s: Setup) -> Stage | None:
    p = s.params
    if not p.has_dry:
        return None
    n_vocab = int(s.candidates.data["n_vocab"])
    breakers = breakers_of(s.vocab, p.dry_sequence_breakers, n_vocab) if s.vocab is not None else pack({}, n_vocab)
    record = kernels.Dry(
        candidates=s.candidates,
        recent=s.history.recent,
        window=p.dry_penalty_last_n,
        multiplier=p.dry_multiplier,
        base=p.dry_base,
        allowed_length=p.dry_allowed_length,
        largest_exponent=int(LN_LARGEST / math.log(p.dry_base)) if p.dry_base > FLATTEST else 0,
        first_tails=breakers.first_tails,
        tail_starts=breakers.tail_starts,
        tail_tokens=breakers.tail_tokens,
        lengths=np.zeros(n_vocab, np.int32),
    )
    return Stage("sampling_dry.dry", record)


@lru_cache(maxsize=8)
def breakers_of(vocab: Vocab, breakers: tuple[str, ...], n_vocab: int) -> Breakers:
    return pack(tails_of(vocab, breakers), n_vocab)


def tails_of(vocab: Vocab, breakers: Sequence[str]) -> dict[int, list[list[int]]]:
    """Head tokens of the breakers, each with the tails that make it one.

    A token with the whole breaker in it has the empty tail; one that ends with a beginning of it has the tokens of the
    rest of it.
    """
    tails: dict[int, list[list[int]]] = {}
    texts = [vocab.piece(token, special=True) for token in range(vocab.n_tokens)]
    if vocab.frame.add_space_prefix:
        texts = [text.removeprefix(b" ") for text in texts]
    for breaker in breakers:
        wanted = breaker.encode("utf-8", errors="surrogateescape")[:LONGEST_BREAKER]
        if not wanted:
            continue
        first = wanted[:1]
        rests: dict[int, list[int]] = {}  # tokens of wanted[i:]
        for token, text in enumerate(texts):
            if first not in text:
                continue
            found = tails.setdefault(token, [])
            if wanted in text:
                found.append([])
                continue
            for n in range(1, len(wanted)):
                if text.endswith(wanted[:n]):
                    if n not in rests:
                        rests[n] = vocab.encode(wanted[n:], add_special=False)[:LONGEST_TAIL]
                    if rests[n] not in found:
                        found.append(rests[n])
    return tails


def pack(tails: dict[int, list[list[int]]], n_vocab: int) -> Breakers:
    n_tails = [len(tails.get(token, ())) for token in range(n_vocab)] if tails else [0] * n_vocab
    in_order = [tail for token in sorted(tails) for tail in tails[token]]
    return Breakers(
        np.array([0, *accumulate(n_tails)], np.int32),
        np.array([0, *accumulate(map(len, in_order))], np.int32),
        np.array([token for tail in in_order for token in tail] or [0], np.int32),
    )
