"""Classifier-free guidance: away from what a model says to a negative prompt."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def guide(logits: Floats, negative: Floats, scale: float) -> Floats:
    """g + scale * (b - g), where b and g are the log-softmax of both.   (n_vocab,), (n_vocab,) -> (n_vocab,)

    scale 1 leaves the probabilities as they are. What either rules out (-inf) stays ruled out.
    """
    base, away = log_softmax(logits), log_softmax(negative)
    is_allowed = np.isfinite(base) & np.isfinite(away)
    guided = np.full(len(logits), -np.inf, np.float32)
    guided[is_allowed] = away[is_allowed] + np.float32(scale) * (base[is_allowed] - away[is_allowed])
    return guided


def log_softmax(logits: Floats) -> Floats:
    """ln of e^l / sum of e^l"""
    shifted = logits - logits.max()
    result: Floats = shifted - np.log(np.exp(shifted).sum(dtype=np.float64)).astype(np.float32)
    return result
