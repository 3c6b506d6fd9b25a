"""Gated delta nets: linear attention whose state forgets by a gate and is corrected by what it fails to recall.

Sources: arXiv:2412.06464, Kimi Linear (arXiv:2510.26692); tensors as llama.cpp names them.
"""

from __future__ import annotations

from dataclasses import dataclass

from llamakit.core.gguf.metadata import Metadata
from llamakit.core.graph.ops import Activation, Add, Glu, Mul, Node, RmsNorm, Scale, Slice
from llamakit.core.graph.ops.recurrent import Convolution, DeltaScan
from llamakit.core.models.blocks.mamba import STATES, convolved
from llamakit.core.models.tensors import Tensors
from llamakit.errors import ModelError

NO_BOUND = float("-inf")


@dataclass(frozen=True)
class DeltaShape:
    """Heads of keys and values and their widths, and the tokens that the convolution sees."""

    n_head_k: int
    n_head_v: int
    n_key: int
    n_value: int
    kernel: int
    eps: float
    unit_eps: float = 0.0  # of the length of queries and keys, where it is not eps

    @property
    def key_width(self) -> int:
        return self.n_head_k * self.n_key

    @property
    def value_width(self) -> int:
        return self.n_head_v * self.n_value


def read_delta(meta: Metadata, eps: float) -> DeltaShape:
    inner = meta.int("ssm.inner_size", min=1, max=1 << 20)
    n_head_k, n_head_v = meta.int("ssm.group_count", min=1), meta.int("ssm.time_step_rank", min=1)
    if n_head_v % n_head_k or inner % n_head_v:
        raise ModelError(f"{meta.path}: {n_head_k} key heads, {n_head_v} value heads and a width of {inner} do not fit")
    n_key, kernel = meta.int("ssm.state_size", min=1, max=256), meta.int("ssm.conv_kernel", min=2, max=64)
    unit_eps = meta.section("llamakit").float("unit_norm_epsilon", 0.0, min=0, max=1)
    return DeltaShape(n_head_k, n_head_v, n_key, inner // n_head_v, kernel, eps, unit_eps)


def recurrent_layers(meta: Metadata, n_layer: int, interval: int = 4) -> list[bool]:
    """Which layers are no attention: said layer by layer, or all but each n-th."""
    layers = meta.mapping.get(meta.full_key("attention.recurrent_layers"))
    if isinstance(layers, list):
        return [bool(n) for n in layers][:n_layer]
    interval = meta.int("full_attention_interval", interval, min=1)
    return [(i + 1) % interval != 0 for i in range(n_layer)]


def unit(x: Node, n: int, eps: float, scale: float = 1.0) -> Node:
    """x / sqrt(sum(x^2) + eps) * scale, over each n numbers."""
    return Scale(RmsNorm(x, None, eps / n, n=n), scale * n**-0.5)


def decay(alpha: Node, w: Tensors, n_head: int) -> Node:
    """a softplus(alpha + bias), a one number for each head"""
    return Mul(Activation(Add(alpha, w("ssm_dt.bias", alpha.width)), "softplus"), w.bare("ssm_a", n_head))


def read_bound(meta: Metadata) -> float:
    """The strongest a delta net may forget, or -inf."""
    key = "kda.gate_lower_bound"
    if meta.mapping.get(meta.full_key(key), NO_BOUND) == NO_BOUND:
        return NO_BOUND
    return meta.float(key)


def bounded_decay(alpha: Node, w: Tensors, n_head: int, lowest: float) -> Node:
    """lowest * sigmoid(-a (alpha + bias)); without a bound, as `decay`."""
    if lowest == NO_BOUND:
        return decay(alpha, w, n_head)
    grown = Mul(Add(alpha, w("ssm_dt.bias", alpha.width)), w.bare("ssm_a", n_head))
    return Activation(grown * -1.0, "sigmoid") * lowest


def delta_net(
    mixed: Node,
    gate: Node,
    beta: Node,
    alpha: Node,
    w: Tensors,
    m: DeltaShape,
    layer: int,
    *,
    is_tiled: bool,
    activation: str = "silu",
) -> Node:
    """`mixed` are queries, keys and values before the convolution. Normed by head, and gated."""
    qkv = convolved(mixed, w, m.kernel, STATES * layer)
    q, k = (unit(Slice(qkv, first, m.key_width), m.n_key, m.unit_eps or m.eps) for first in (0, m.key_width))
    v = Slice(qkv, 2 * m.key_width, m.value_width)
    g, beta = decay(alpha, w, m.n_head_v), Activation(beta, "sigmoid")
    y = DeltaScan(q * m.n_key**-0.5, k, v, g, beta, m.n_key, m.n_value, STATES * layer + 1, is_tiled)
    return Glu(gate, RmsNorm(y, w("ssm_norm", m.n_value), m.eps), activation)


def kimi_delta(x: Node, w: Tensors, m: DeltaShape, layer: int, forget: Node, gate: Node) -> Node:
    """Kimi Delta Attention: a convolution each for q, k and v, a decay `forget` for every key, an output gate."""
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ssm_beta"):
        w.pass_over(f"{name}.bias", f"{name}.scale")
    heads = []
    for number, (name, n) in enumerate((("q", m.key_width), ("k", m.key_width), ("v", m.value_width))):
        weight = w(f"ssm_conv1d_{name}", n, m.kernel)
        part = Convolution(w.linear(f"attn_{name}", x, n), weight, STATES * layer + number)
        heads.append(Activation(part, "silu"))
    q, k, v = heads
    eps = m.unit_eps or m.eps
    beta = Activation(w.linear("ssm_beta", x, m.n_head_v), "sigmoid")
    y: Node = DeltaScan(
        unit(q, m.n_key, eps, m.n_key**-0.5), unit(k, m.n_key, eps), v, forget, beta, m.n_key, m.n_value,
        STATES * layer + 3,
    )  # fmt: skip
    return w.linear("attn_output", Glu(gate, RmsNorm(y, w("ssm_norm", m.n_value), m.eps), "sigmoid"), x.width)


def through_two(x: Node, w: Tensors, name: str, inner: int, n: int) -> Node:
    """x times a matrix of low rank, in two tensors."""
    return w.linear(f"{name}_b", w.linear(f"{name}_a", x, inner), n)
