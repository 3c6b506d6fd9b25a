"""Records of ops that remember."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from llamakit.core.graph.memory import aligned
from llamakit.core.graph.ops import Weight
from llamakit.core.graph.ops.recurrent import (
    Convolution,
    DeltaScan,
    FadingScan,
    NgramEmbed,
    Recurrent,
    Shifted,
    StateScan,
    WkvScan,
    padded,
)
from llamakit.core.graph.plan import pitch
from llamakit.core.graph.program import Step
from llamakit.core.graph.weights import Floats
from llamakit.core.kernels import ngram, recurrent
from llamakit.errors import ModelError

if TYPE_CHECKING:
    from llamakit.core.graph.lower.lowering import Lowering

MOST = 256  # numbers of a state's row that kernels keep in registers


def lower_recurrent(low: Lowering, node: Recurrent) -> list[Step]:
    memory = low.memory.cache.states[node.state]
    common: dict[str, Any] = {
        "batch": low.memory.batch, "states": memory, "state_pitch": memory.shape[1],
        "out": low.at(node),
    }  # fmt: skip
    match node:
        case Convolution(x, weight):
            taps = apart(table(low, weight, pitch(node)), node.dilation)
            bias = low.memory.weights.vector(node.bias) if node.bias else None
            return [Step("recurrent.convolve", recurrent.Convolution(
                x=low.at(x), weight=taps, bias=bias, n=len(taps), pitch=pitch(node), **common,
            ))]  # fmt: skip
        case NgramEmbed(_, embeddings):
            ids = aligned(4 * low.rows_of(node)).view(np.int32)
            multipliers = np.array([m % 2**64 for m in node.multipliers], np.uint64).view(np.int64)
            del common["out"]
            hashed = Step("ngram.hash", ngram.Hash(
                ids=ids, multipliers=multipliers, n=len(multipliers), size=node.size, offset=node.offset, eos=node.eos,
                **common,
            ))  # fmt: skip
            return [hashed, low.embed_rows(node, embeddings, ids, 1.0)]
        case Shifted(x):
            taps = aligned(8 * pitch(node)).view(np.float32).reshape(2, -1)
            taps[0] = 1
            return [Step("recurrent.convolve", recurrent.Convolution(
                x=low.at(x), weight=taps, bias=None, n=2, pitch=pitch(node), **common,
            ))]  # fmt: skip
        case StateScan(x, dt, b, c):
            check(node.n)
            a = low.memory.weights.rows(node.a)
            is_one = node.a.width == 1 and node.n > 1
            n_pitch = padded(node.n)
            return [Step("recurrent.scan", recurrent.StateScan(
                x=low.at(x), dt=low.at(dt), b=low.at(b), c=low.at(c), x_pitch=pitch(x), dt_pitch=pitch(dt),
                b_pitch=pitch(b), c_pitch=pitch(c), a=spread(a, n_pitch), d=low.memory.weights.vector(node.d),
                is_one=int(is_one), n_head=node.n_head, n_group=b.width // node.n, p=x.width // node.n_head, n=node.n,
                n_pitch=n_pitch, **common,
            ))]  # fmt: skip
        case FadingScan(q, k, v, rates, n):  # the state lies as a state space's: keys are its b, queries its c
            check(n)
            a = spread(-np.array(rates, dtype=np.float32)[:, None], padded(n))
            return [Step("recurrent.scan", recurrent.StateScan(
                x=low.at(v), dt=None, b=low.at(k), c=low.at(q), x_pitch=pitch(v), dt_pitch=0, b_pitch=pitch(k),
                c_pitch=pitch(q), a=a, d=None, is_one=1, n_head=len(rates), n_group=len(rates),
                p=v.width // len(rates), n=n, n_pitch=padded(n), **common,
            ))]  # fmt: skip
        case DeltaScan(q, k, v, g, beta):
            check(node.n_value)
            return [Step("recurrent.delta", recurrent.DeltaScan(
                q=low.at(q), k=low.at(k), v=low.at(v), g=low.at(g), beta=low.at(beta), q_pitch=pitch(q),
                k_pitch=pitch(k), v_pitch=pitch(v), g_pitch=pitch(g), beta_pitch=pitch(beta), n_head=node.n_head,
                n_head_k=node.n_head_k, n_key=node.n_key, n_value=node.n_value, v_size=padded(node.n_value),
                is_tiled=int(node.is_tiled), has_key_decay=int(g.width > node.n_head), **common,
            ))]  # fmt: skip
        case WkvScan(r, w, k, v, n):
            check(n)
            correction = {"a": node.a and low.at(node.a), "b": node.b and low.at(node.b)}
            return [Step("recurrent.wkv", recurrent.WkvScan(
                r=low.at(r), w=low.at(w), k=low.at(k), v=low.at(v), pitch=pitch(v), n_head=node.n_head, n=n,
                size=padded(n), is_read_first=int(node.is_read_first), **correction, **common,
            ))]  # fmt: skip
    raise ModelError(f"no kernel for {type(node).__name__}: run this model with the reference interpreter")


def table(low: Lowering, weight: Weight, width: int) -> Floats:
    """(channels, n) -> (n, width)"""
    rows = low.memory.weights.numbers_of(weight).reshape(-1, weight.width)
    out = aligned(4 * weight.width * width).view(np.float32).reshape(weight.width, width)
    out[:, : len(rows)] = rows.T
    return out


def apart(taps: Floats, dilation: int) -> Floats:
    """Zeros between, for the tokens that are passed over."""
    if dilation == 1:
        return taps
    n = (len(taps) - 1) * dilation + 1
    out = aligned(4 * n * taps.shape[1]).view(np.float32).reshape(n, -1)
    out[::dilation] = taps
    return out


def spread(rows: Floats, width: int) -> Floats:
    """Rows that begin `width` floats apart."""
    if rows.shape[1] == width:
        return rows
    out = aligned(4 * len(rows) * width).view(np.float32).reshape(len(rows), width)
    n = min(width, rows.shape[1])
    out[:, :n] = rows[:, :n]
    return out


def check(n: int) -> None:
    if n > MOST:
        raise ModelError(f"a state of rows of {n} numbers has no kernel: at most {MOST}")
