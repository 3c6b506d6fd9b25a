"""RWKV: tokens mixed with the one before, and linear attention whose state decays number by number; versions 6 and 7.

Sources: arXiv:2404.05892 (6), arXiv:2503.14456 (7); tensors as llama.cpp names them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from llamakit.core.gguf.metadata import Metadata
from llamakit.core.graph.ops import Activation, Add, Concat, Glu, HeadLinear, LayerNorm, Mul, Node, Shift, Slice
from llamakit.core.graph.ops.recurrent import Shifted, WkvScan
from llamakit.core.graph.ops.streams import Dot
from llamakit.core.models.blocks.delta_net import unit
from llamakit.core.models.blocks.mamba import MOST_STATE, STATES
from llamakit.core.models.tensors import Tensors
from llamakit.errors import ModelError

MOST_RANK = 1 << 16
HEAD_EPS = 64e-5  # of the norm of each head
UNIT_EPS = 1e-24  # the least square of a key's length
STRONGEST = -0.606531  # the logarithm of the least that a token of version 7 leaves of the state: -e^(-1/2)
NO_HEADS = ("attention.head_count", "attention.head_count_kv")  # files say 0, or nothing


def read_head_size(meta: Metadata, n_embd: int) -> int:
    n = meta.int("wkv.head_size", min=1, max=MOST_STATE)
    if n_embd % n:
        raise ModelError(f"{meta.path}: heads of {n} numbers do not divide an embedding of {n_embd}")
    return n


def change(x: Node, state: int) -> Node:
    """The row of the token before, minus its own."""
    return Shifted(x, state) + x * -1.0


def through_two(x: Node, w: Tensors, names: tuple[str, str], rank: int, n: int, activation: str | None = None) -> Node:
    """x times a matrix of low rank, in two tensors, perhaps with an activation between."""
    inner: Node = w.linear(names[0], x, rank)
    return w.linear(names[1], Activation(inner, activation) if activation else inner, n)


def normed_heads(y: Node, w: Tensors, n: int) -> Node:
    scaled = LayerNorm(y, None, HEAD_EPS, n=n) * w("time_mix_ln", y.width)
    return scaled + w("time_mix_ln.bias", y.width)


@dataclass(frozen=True)
class Shape6:
    """Width of a head, heads of keys and values, ranks of the matrices that say what is mixed and what decays."""

    n: int
    n_head_kv: int
    mix_rank: int
    decay_rank: int


def read_shape6(meta: Metadata, n_embd: int, n_head_kv: int = 0) -> Shape6:
    n = read_head_size(meta, n_embd)
    n_head = n_embd // n
    if n_head % (n_head_kv or n_head):
        raise ModelError(f"{meta.path}: {n_head} query heads cannot share {n_head_kv} key/value heads evenly")
    ranks = (meta.int(key, min=1, max=MOST_RANK) for key in ("time_mix_extra_dim", "time_decay_extra_dim"))
    return Shape6(n, n_head_kv or n_head, *ranks)


def mixed6(x: Node, w: Tensors, m: Shape6, state: int) -> list[Node]:
    """x with a share of the token before, which depends on both: for decay, key, value, receptance and gate."""
    n, to_last = x.width, change(x, state)
    inner = Activation(w.linear("time_mix_w1", to_last * w("time_mix_lerp_x", n) + x, 5 * m.mix_rank), "tanh")
    shares = HeadLinear(inner, w("time_mix_w2", 5, n, m.mix_rank))
    parts: list[Node] = []
    for i, name in enumerate("wkvrg"):
        if w.has("time_mix_lerp_w"):  # older files
            share = w(f"time_mix_lerp_{name}", n)
        else:
            share = w("time_mix_lerp_fused", 5, n).part(i, 1)
        parts.append((Slice(shares, i * n, n) + share) * to_last + x)
    return parts


def decay6(x: Node, w: Tensors, m: Shape6) -> Node:
    """exp(-exp(decay + W2 tanh(W1 x)))"""
    found = through_two(x, w, ("time_mix_decay_w1", "time_mix_decay_w2"), m.decay_rank, x.width, "tanh")
    return Activation(Activation(Add(found, w("time_mix_decay", x.width)), "exp") * -1.0, "exp")


def time_mix6(x: Node, w: Tensors, m: Shape6, layer: int) -> Node:
    """Version 6: what a token itself adds counts by `time_mix_first`; each head is normed, all are gated."""
    n = x.width
    for_w, for_k, for_v, for_r, for_g = mixed6(x, w, m, STATES * layer)
    r, k, v, g = (
        w.linear(f"time_mix_{name}", part, n)
        for name, part in (("receptance", for_r), ("key", for_k), ("value", for_v), ("gate", for_g))
    )
    first = replace(w("time_mix_first", n // m.n, m.n), shape=(n,))
    y = WkvScan(r, decay6(for_w, w, m), k, v, m.n, STATES * layer + 1, is_read_first=True)
    y_all = normed_heads(y + v * Dot(r * first, k, m.n), w, m.n)
    return w.linear("time_mix_output", Glu(g, y_all), n)


def linear_attention6(x: Node, w: Tensors, m: Shape6, layer: int) -> Node:
    """Version 6 in place of grouped-query attention: keys count by how much their place decays; nothing is normed."""
    n, per_head = x.width, x.width // m.n // m.n_head_kv
    for_w, for_k, for_v, for_r, for_g = mixed6(x, w, m, STATES * layer)
    r, g = w.linear("time_mix_receptance", for_r, n), w.linear("time_mix_gate", for_g, n)
    k, v = (
        Concat((w.linear(f"time_mix_{name}", part, m.n_head_kv * m.n),) * per_head, m.n_head_kv)
        for name, part in (("key", for_k), ("value", for_v))
    )
    decay = decay6(for_w, w, m)
    y = WkvScan(r * m.n**-0.5, decay, k + (k * decay) * -1.0, v, m.n, STATES * layer + 1)
    return w.linear("time_mix_output", Glu(g, y, "sigmoid"), n)


@dataclass(frozen=True)
class Shape7:
    """Width of a head, and ranks of the matrices of decay, of corrections, of the first layer's values and gates."""

    n: int
    decay: int
    correction: int
    value: int
    gate: int


def read_shape7(meta: Metadata, n_embd: int) -> Shape7:
    decay, correction, value = (
        meta.int(f"attention.{key}_lora_rank", min=1, max=MOST_RANK) for key in ("decay", "iclr", "value_residual_mix")
    )
    gate = meta.int("attention.gate_lora_rank", 0, min=0, max=MOST_RANK)
    return Shape7(read_head_size(meta, n_embd), decay, correction, value, gate)


def time_mix7(x: Node, w: Tensors, m: Shape7, layer: int, first_value: Node | None) -> tuple[Node, Node]:
    """Version 7, of which the gate and the norm of heads may be missing. -> the result, and the first layer's values"""
    n, to_last, has_gate = x.width, change(x, STATES * layer), w.has("time_mix_g1")
    shares = w("time_mix_lerp_fused", 6 if has_gate else 5, n)
    for_r, for_w, for_k, for_v, for_a = (to_last * shares.part(i, 1) + x for i in range(5))
    r: Node = w.linear("time_mix_receptance", for_r, n)
    k: Node = w.linear("time_mix_key", for_k, n)
    v: Node = w.linear("time_mix_value", for_v, n)

    def chance(name: str, part: Node, rank: int, activation: str | None = None) -> Node:
        low = through_two(part, w, (f"time_mix_{name}1", f"time_mix_{name}2"), rank, n, activation)
        return Activation(Add(low, w(f"time_mix_{name}0", n)), "sigmoid")

    decay = Activation(chance("w", for_w, m.decay, "tanh") * STRONGEST, "exp")
    correction = chance("a", for_a, m.correction)
    if first_value is None:
        first_value = v
        w.pass_over(*(f"time_mix_v{i}.weight" for i in range(3)))
    else:
        v = v + (first_value + v * -1.0) * chance("v", for_v, m.value)
    key = unit(k * w("time_mix_k_k", n), m.n, UNIT_EPS)
    k = k + (k * w("time_mix_k_a", n)) * Shift(correction, -1.0)
    y: Node = WkvScan(r, decay, k, v, m.n, STATES * layer + 1, key * -1.0, key * correction)
    if w.has("time_mix_ln"):
        y = normed_heads(y, w, m.n)
    y = y + v * Dot(k * w("time_mix_r_k", n), r, m.n)
    if has_gate:
        for_g = to_last * shares.part(5, 1) + x
        y = Mul(y, through_two(for_g, w, ("time_mix_g1", "time_mix_g2"), m.gate, n, "sigmoid"))
    return w.linear("time_mix_output", y, n), first_value


def channel_mix(x: Node, w: Tensors, n_ff: int, layer: int, *, has_gate: bool) -> Node:
    """The feed-forward part: squared ReLU of x with a share of the token before; in version 6 behind a gate."""
    to_last = change(x, STATES * layer + 2)
    for_k = to_last * w("channel_mix_lerp_k", x.width) + x
    hidden = Activation(w.linear("channel_mix_key", for_k, n_ff), "relu2")
    found = w.linear("channel_mix_value", hidden, x.width)
    if not has_gate:
        return found
    for_r = to_last * w("channel_mix_lerp_r", x.width) + x
    return Glu(w.linear("channel_mix_receptance", for_r, x.width), found, "sigmoid")
