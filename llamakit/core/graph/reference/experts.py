"""Mixtures of experts in NumPy: which experts a token takes, with what shares, and what they give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from llamakit.core.graph import ops
from llamakit.core.graph.reference.interpreter import (
    Floats,
    Reference,
    activate,
    formula,
    gated,
    given,
    sigmoid,
    softcapped,
    softmax,
)


def chosen(op: ops.Experts, logits: Floats, bias: Floats | None) -> tuple[npt.NDArray[np.int64], Floats]:
    """The best experts of one token, and their shares."""
    if op.gating == "sparse_mixer":
        return mixed_sparsely(op, logits)
    gatings: dict[str, Callable[[Floats], Any]] = {
        "softmax": softmax,
        "sigmoid": sigmoid,
        "softplus_root": lambda x: np.sqrt(activate("softplus", x)),
        "softmax_chosen": lambda x: x,
    }
    share = gatings[op.gating](logits)
    worth = share if bias is None else share + bias
    if op.n_group > 1:
        groups = worth.reshape(op.n_group, -1)
        best_two = np.sort(groups, axis=1)[:, -op.n_best_of_group :].sum(1)
        best = np.argsort(-best_two, kind="stable")[: op.n_group_used]
        worth = np.where(np.isin(np.arange(op.n_group), best)[:, None], groups, -np.inf).reshape(-1)
    best = np.argsort(-worth, kind="stable")[: op.n_used]
    taken = softmax(share[best]) if op.gating == "softmax_chosen" else share[best]
    if op.is_normed:
        whole = taken.sum() if op.norm_power == 1 else np.sqrt((taken * taken).sum())
        taken = taken / max(whole, np.float32(op.norm_floor))
    return best, taken * np.float32(op.share_scale)


def mixed_sparsely(op: ops.Experts, logits: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
    """The best experts, each with its share of the softmax over those that are left and near it."""
    left, best, shares = logits.copy(), [], []
    for _ in range(op.n_used):
        peak = left.max()
        best.append(int(left.argmax()))
        is_near = (peak - logits) / np.maximum(np.abs(logits), peak) <= np.float32(2 * op.jitter)
        shares.append(1 / np.exp(left[is_near] - peak).sum())
        left[best[-1]] = -np.inf
    return np.array(best), np.array(shares, np.float32)


@formula(ops.Experts)
def experts(run: Reference, op: ops.Experts, x: Floats, router: Floats, *rest: Floats) -> Floats:
    names = ("gate", "up", "down", "gate_scale", "up_scale", "down_scale", "selection_bias", "gate_bias", "up_bias",
             "down_bias")  # fmt: skip
    w = dict(zip(names, given(rest, *(getattr(op, name) for name in names)), strict=True))

    def product(name: str, e: int, x: Floats) -> Floats:
        scale, bias = w[f"{name}_scale"], w[f"{name}_bias"]
        y: Floats = w[name][e] @ x  # type: ignore[index]
        y = y if scale is None else y * scale[e]
        return y if bias is None else y + bias[e]

    out = np.zeros((len(x), op.width), np.float32)
    for t, row in enumerate(x):
        for e, share in zip(*chosen(op, router[t], w["selection_bias"]), strict=True):
            e = int(e) // op.per_expert
            taken = row * share if op.is_share_first else row
            up = product("up", e, taken)
            up = softcapped(up, op.up_cap) if op.up_cap else up
            hidden = (
                activate(op.activation, up)
                if op.gate is None
                else gated(op.activation, product("gate", e, taken), up, op.limit)
            )
            out[t] += product("down", e, hidden) * (np.float32(1) if op.is_share_first else share)
    return out
