"""Multi-head latent attention (MLA): keys and values of all heads come from one short row, which the cache keeps.

Source: DeepSeek-V2 (arXiv:2405.04434); tensors as llama.cpp names them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llamakit.core.graph.ops import Concat, HeadLinear, Node, Repeat, RmsNorm, Slice
from llamakit.core.models.tensors import Tensors


@dataclass(frozen=True)
class Latent:
    """Widths of latent attention. A head's query and key have a part that turns and one that does not."""

    n_head: int
    rank: int  # of keys and values
    q_rank: int  # 0: queries come from x
    plain: int  # dimensions of a head that do not turn
    turned: int
    value: int
    eps: float
    has_key_norm: bool = False

    @property
    def head_dim(self) -> int:
        return self.plain + self.turned


Turn = Callable[[Node], Node]


def short_query(x: Node, w: Tensors, m: Latent) -> Node | None:
    """The short row that all heads' queries come from, normed; None where they come from x."""
    if not m.q_rank or w.has("attn_q"):
        return None
    return RmsNorm(w.matrix("attn_q_a", m.q_rank, x.width).unscaled(x), w("attn_q_a_norm", m.q_rank), m.eps)


def queries(x: Node, w: Tensors, m: Latent, turn: Turn, short: Node | None) -> tuple[Node, Node]:
    """The parts of all heads that do not turn, and those that do, turned; without such, both are whole heads.

    `short` is the short row of queries, where it has been made already.
    """
    n = m.n_head * m.head_dim
    short = short or short_query(x, w, m)
    q = w.matrix("attn_q_b", n, m.q_rank).unscaled(short) if short else w.matrix("attn_q", n, x.width).unscaled(x)
    if not m.turned:
        return q, q
    return Slice(q, 0, m.plain, m.n_head), turn(Slice(q, m.plain, m.turned, m.n_head))


def latents(x: Node, w: Tensors, m: Latent, turn: Turn) -> tuple[Node, Node]:
    """The short row of keys and values, normed, and the part of all keys that turns, in some models normed too.

    Without such a part, both are the short row.
    """
    both = w.matrix("attn_kv_a_mqa", m.rank + m.turned, x.width).unscaled(x)
    if not m.turned:
        short = RmsNorm(both, w("attn_kv_a_norm", m.rank), m.eps)
        return short, short
    short = RmsNorm(Slice(both, 0, m.rank), w("attn_kv_a_norm", m.rank), m.eps)
    key: Node = Slice(both, m.rank, m.turned)
    return short, turn(RmsNorm(key, w("attn_k_norm", m.turned), m.eps) if m.has_key_norm else key)


def absorbed(x: Node, w: Tensors, m: Latent, turn: Turn, short: Node | None = None) -> tuple[Node, Node, Node]:
    """q, k, v with one head of keys: the short row itself, as each head's query went through its key matrix.

    What is attended are short rows too: `expanded` makes values of them.
    """
    plain, turned = queries(x, w, m, turn, short)
    row, key = latents(x, w, m, turn)
    q = HeadLinear(plain, w("attn_k_b", m.n_head, m.rank, m.plain))
    if not m.turned:
        return q, row, row
    return Concat((q, turned), m.n_head), Concat((row, key)), row


def expanded(attended: Node, w: Tensors, m: Latent) -> Node:
    return HeadLinear(attended, w("attn_v_b", m.n_head, m.value, m.rank))


def separate(x: Node, w: Tensors, m: Latent, turn: Turn, short: Node | None = None) -> tuple[Node, Node, Node]:
    """q, k, v with keys and values for each head, of files that have both in `attn_kv_b`."""
    plain, turned = queries(x, w, m, turn, short)
    row, key = latents(x, w, m, turn)
    both = w.matrix("attn_kv_b", m.n_head * (m.plain + m.value), m.rank).unscaled(row)
    keys, v = Slice(both, 0, m.plain, m.n_head), Slice(both, m.plain, m.value, m.n_head)
    if not m.turned:
        return plain, keys, v
    if not m.plain:
        return turned, Repeat(key, m.n_head), v
    return Concat((plain, turned), m.n_head), Concat((keys, Repeat(key, m.n_head)), m.n_head), v
