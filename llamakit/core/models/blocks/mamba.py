"""Mamba layers: a short convolution and a selective state space, version 1 (a state for each channel) and 2 (heads).

Sources: arXiv:2312.00752, arXiv:2405.21060; tensors as llama.cpp names them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from llamakit.core.gguf.metadata import Metadata
from llamakit.core.graph.ops import Activation, Add, Clamp, Glu, Node, RmsNorm, Shift, Slice
from llamakit.core.graph.ops.recurrent import Convolution, StateScan
from llamakit.core.models.blocks.feed_forward import read_activation
from llamakit.core.models.tensors import Tensors

STATES = 8  # numbers of states for each layer, more than any uses
MOST_STATE = 256


@dataclass(frozen=True)
class MambaShape:
    """Widths: of the layer inside, of its convolution, of a state, of dt's short row (or, in version 2, the heads)."""

    inner: int
    kernel: int
    state: int
    rank: int
    n_group: int
    eps: float
    activation: str = "silu"  # of the convolution
    is_gated_last: bool = False  # the norm of version 2 lies before the gate
    least_step: float = 0.0  # of version 2
    most_step: float = math.inf


def read_mamba(meta: Metadata, eps: float) -> MambaShape:
    own = meta.section("llamakit")
    return MambaShape(
        inner=meta.int("ssm.inner_size", min=1, max=1 << 20),
        kernel=meta.int("ssm.conv_kernel", min=2, max=64),
        state=meta.int("ssm.state_size", min=1, max=MOST_STATE),
        rank=meta.int("ssm.time_step_rank", min=1, max=1 << 16),
        n_group=meta.int("ssm.group_count", 0, min=0) or 1,
        eps=own.float("mixer_norm_epsilon", eps, min=0, max=1),
        activation=read_activation(meta, "silu"),
        is_gated_last=own.bool("is_gated_last", False),
        least_step=own.float("ssm.time_step_min", 0.0, min=0),
        most_step=own.float("ssm.time_step_max", math.inf, above=0),
    )


def convolved(x: Node, w: Tensors, kernel: int, state: int, activation: str = "silu") -> Node:
    """activation(convolution of x with its last tokens)"""
    weight, bias = w("ssm_conv1d", x.width, kernel), w.find("ssm_conv1d.bias", x.width)
    return Activation(Convolution(x, weight, state, bias), activation)


def mamba(x: Node, w: Tensors, m: MambaShape, layer: int, *, has_plain_norms: bool = False) -> Node:
    """Version 1. dt, B and C are normed where there are weights for it, or without weights."""
    both = w.matrix("ssm_in", 2 * m.inner, x.width)
    inner = convolved(both.part(0, m.inner)(x), w, m.kernel, STATES * layer, m.activation)
    gate = both.part(m.inner, m.inner)(x)
    mixed = w.matrix("ssm_x", m.rank + 2 * m.state, m.inner)
    widths = {"dt": m.rank, "b": m.state, "c": m.state}
    parts, first = [], 0
    for name, n in widths.items():
        part: Node = mixed.part(first, n)(inner)
        if w.has(f"ssm_{name}_norm") or has_plain_norms:
            part = RmsNorm(part, None if has_plain_norms else w(f"ssm_{name}_norm", n), m.eps)
        parts.append(part)
        first += n
    dt, b, c = parts
    dt = Activation(w.linear("ssm_dt", dt, m.inner), "softplus")
    a, d = w.bare("ssm_a", m.inner, m.state), w.bare("ssm_d", m.inner)
    y = StateScan(inner, dt, b, c, a, d, m.state, STATES * layer + 1)
    return w.linear("ssm_out", Glu(gate, y), x.width)


def limited(dt: Node, m: MambaShape) -> Node:
    """Time steps, which are positive, between the least and the most of them."""
    if m.least_step:
        dt = Shift(Activation(Shift(dt, -m.least_step), "relu"), m.least_step)
    return Clamp(dt, m.most_step) if m.most_step < math.inf else dt


def mamba2(x: Node, w: Tensors, m: MambaShape, layer: int) -> Node:
    """Version 2: rows of z, then x, B and C together, then dt; what comes out is gated, and normed by groups."""
    n_mixed = m.inner + 2 * m.n_group * m.state
    whole = w.matrix("ssm_in", m.inner + n_mixed + m.rank, x.width)
    gate = whole.part(0, m.inner)(x)
    mixed = convolved(whole.part(m.inner, n_mixed)(x), w, m.kernel, STATES * layer, m.activation)
    dt = limited(Activation(Add(whole.part(m.inner + n_mixed, m.rank)(x), w("ssm_dt.bias", m.rank)), "softplus"), m)
    inner = Slice(mixed, 0, m.inner)
    b, c = (Slice(mixed, m.inner + k * m.n_group * m.state, m.n_group * m.state) for k in (0, 1))
    a, d = w.bare("ssm_a", m.rank, 1), w.bare("ssm_d", m.rank)
    y: Node = StateScan(inner, dt, b, c, a, d, m.state, STATES * layer + 1)
    y = y if m.is_gated_last else Glu(gate, y)
    if w.has("ssm_norm"):
        y = RmsNorm(y, w("ssm_norm", m.n_group, m.inner // m.n_group), m.eps)
    y = Glu(gate, y) if m.is_gated_last else y
    return w.linear("ssm_out", y, x.width)
