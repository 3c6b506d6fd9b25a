"""Hyper-connections: several residual streams side by side, of which a layer reads one mix and writes back into all.

Sources: arXiv:2409.19606, arXiv:2512.24880 (streams that keep their sums); tensors as llama.cpp names them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

from llamakit.core.gguf.metadata import Metadata
from llamakit.core.graph.ops import Activation, Add, Mul, Node, Repeat, RmsNorm, Shift, Slice, Weight
from llamakit.core.graph.ops.streams import Balanced, Mix
from llamakit.core.models.tensors import Tensors

MOST_STREAMS = 16


@dataclass(frozen=True)
class Hyper:
    """How many streams, and how shares are made."""

    n: int
    eps: float  # of shares
    norm_eps: float
    n_rounds: int = 0  # of balancing what streams pass on to each other; 0: each goes on as it is
    magnitude: float = 2.0  # of what is written back
    write_eps: float = 0.0


@dataclass(frozen=True)
class Shares:
    """Of a layer's result in each stream, and of each stream in each."""

    written: Node
    passed_on: Node | None


def read_hyper(meta: Metadata, norm_eps: float) -> Hyper:
    n = meta.int("hyper_connection.count", min=1, max=MOST_STREAMS)
    n_rounds = meta.int("hyper_connection.sinkhorn_iterations", 0, min=0, max=1000)
    return Hyper(n, meta.float("hyper_connection.epsilon", min=0), norm_eps, n_rounds)


def begin(x: Node, n_streams: int) -> Node:
    """Every stream begins as x."""
    return Repeat(x, n_streams)


def mixes(x: Node, w: Tensors, name: str, n: int, m: Hyper) -> Node:
    return w.matrix(f"{name}_fn", n, x.width).unscaled(RmsNorm(x, None, m.norm_eps))


def opened(mix: Node, first: int, n: int, scale: Weight, base: Weight) -> Node:
    """scale * mix + base, of n numbers"""
    part = Slice(mix, first, n) if n < mix.width else mix
    return Add(Mul(part, scale), base.part(first, n))


def read(x: Node, w: Tensors, name: str, m: Hyper) -> tuple[Node, Shares]:
    """What a layer takes from the streams x, and how its result goes back into them."""
    n_mix = 2 * m.n + (m.n**2 if m.n_rounds else 0)
    mix, base = mixes(x, w, name, n_mix, m), w(f"{name}_base", n_mix)
    scale = w(f"{name}_scale", 3 if m.n_rounds else 2)
    taken = Shift(Activation(opened(mix, 0, m.n, scale.part(0, 1), base), "sigmoid"), m.eps)
    written: Node = Activation(opened(mix, m.n, m.n, scale.part(1, 1), base), "sigmoid") * m.magnitude
    written = Shift(written, m.write_eps) if m.write_eps else written
    passed_on = None
    if m.n_rounds:
        passed_on = Balanced(opened(mix, 2 * m.n, m.n**2, scale.part(2, 1), base), m.n, m.n_rounds, m.eps)
    return Mix(x, taken, x.width // m.n), Shares(written, passed_on)


def write(x: Node, y: Node, shares: Shares) -> Node:
    """The streams x with a layer's result y in them."""
    kept = Mix(x, shares.passed_on, y.width) if shares.passed_on else x
    return Add(kept, Mix(y, shares.written, y.width))


def layer(
    x: Node, w: Tensors, m: Hyper, attention: Callable[[Node], Node], feed_forward: Callable[[Node], Node]
) -> Node:
    """Attention and feed-forward, each from and into the streams."""
    taken, shares = read(x, w, "hc_attn", m)
    x = write(x, attention(taken), shares)
    taken, shares = read(x, w, "hc_ffn", m)
    return write(x, feed_forward(taken), shares)


def joined(x: Node, w: Tensors, name: str, m: Hyper) -> Node:
    """One row of the streams, with learned shares."""
    mix, scale, base = mixes(x, w, name, m.n, m), w(f"{name}_scale", 1), w(f"{name}_base", m.n)
    return Mix(x, Shift(Activation(opened(mix, 0, m.n, scale, base), "sigmoid"), m.eps), x.width // m.n)


def mean(x: Node, n_streams: int) -> Node:
    """The mean of the streams."""
    n = x.width // n_streams
    parts: list[Node] = [Slice(x, i * n, n) for i in range(n_streams)]
    return reduce(Add, parts) * (1 / n_streams)
