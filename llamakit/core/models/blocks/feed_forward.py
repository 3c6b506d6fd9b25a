"""Feed-forward parts without experts."""

from __future__ import annotations

from collections.abc import Mapping

from llamakit.core.gguf.metadata import Metadata
from llamakit.core.graph.ops import Activation, Glu, Linear, Node, Softcap
from llamakit.core.models.tensors import Matrix, Tensors
from llamakit.errors import ModelError

READABLE = (
    "silu", "gelu", "gelu_erf", "gelu_quick", "relu", "relu2", "relu6", "leaky_relu", "hard_swish", "mish", "sigmoid",
    "tanh",
)  # fmt: skip


def read_activation(meta: Metadata, default: str, names: Mapping[str, str] = {}) -> str:
    """The metadata's, which is there where it is not the architecture's own. `names`: what files call otherwise."""
    name = meta.str("hidden_activation", default)
    name = names.get(name, name)
    if name != default and name not in READABLE:
        key = meta.full_key("hidden_activation")
        raise ModelError(f"{meta.path}: {key} is {name!r:.40}; known are {', '.join(READABLE)}")
    return name


def times(matrix: Matrix, x: Node, has_scales: bool) -> Linear:
    """llama.cpp uses the scales of a feed-forward, after the bias, in some architectures and in others not."""
    return matrix.scaled_last(x) if has_scales else matrix.unscaled(x)


def gated(
    x: Node,
    w: Tensors,
    n_ff: int,
    activation: str = "silu",
    *,
    has_scales: bool = False,
    suffix: str = "",
    limit: float = 0,
    up_cap: float = 0,
) -> Node:
    """down(activation(gate x) * up x); the suffix is that of the tensors' names: "_shexp"."""
    gate, up = (times(w.matrix(f"ffn_{n}{suffix}", n_ff, x.width), x, has_scales) for n in ("gate", "up"))
    hidden = Glu(gate, Softcap(up, up_cap) if up_cap else up, activation, limit)
    return times(w.matrix(f"ffn_down{suffix}", x.width, n_ff), hidden, has_scales)


def gated_of_one(x: Node, w: Tensors, n_ff: int, activation: str = "silu", *, suffix: str = "") -> Node:
    """The same, with gate and up on top of each other in `ffn_up`."""
    both = w.matrix(f"ffn_up{suffix}", 2 * n_ff, x.width)
    hidden = Glu(both.part(0, n_ff).unscaled(x), both.part(n_ff, n_ff).unscaled(x), activation)
    return w.matrix(f"ffn_down{suffix}", x.width, n_ff).unscaled(hidden)


def plain(x: Node, w: Tensors, n_ff: int, activation: str, *, has_scales: bool = False, suffix: str = "") -> Node:
    """down(activation(up x))"""
    up = times(w.matrix(f"ffn_up{suffix}", n_ff, x.width), x, has_scales)
    return times(w.matrix(f"ffn_down{suffix}", x.width, n_ff), Activation(up, activation), has_scales)
