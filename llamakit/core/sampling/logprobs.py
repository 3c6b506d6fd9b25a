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
