"""Log-probabilities of tokens under the plain softmax of the logits, before any sampling stage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def logprobs(logits: npt.NDArray[np.float32], ids: Sequence[int] | npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """l_i - ln(sum of e^l) for each of the ids, in double precision.   logits: (n_vocab,); ids: (n,) -> (n,)"""
    top = logits.max()
    total = np.exp(logits - top).sum(dtype=np.float64)
    chosen: npt.NDArray[np.float64] = logits[np.asarray(ids)].astype(np.float64)
    return chosen - (float(top) + float(np.log(total)))


def top_logprobs(logits: npt.NDArray[np.float32], n: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Ids and log-probabilities of the n likeliest tokens, descending; of equal ones the lower ids first."""
    ids = largest(logits, n)
    return ids, logprobs(logits, ids)


def largest(values: npt.NDArray[np.float32], n: int) -> npt.NDArray[np.int64]:
    """The places of the n largest values, descending; of equal ones the first.   (n_values,) -> (min(n, n_values),)"""
    n = min(n, len(values))
    if n == 0:
        return np.zeros(0, np.int64)
    floor = np.partition(values, len(values) - n)[len(values) - n]
    places = np.flatnonzero(values >= floor)
    return places[np.argsort(-values[places], kind="stable")][:n]
