"""Graphs to fuse, plan and run: the layers of real models with random weights, and graphs at random."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.graph.ops import (
    Activation,
    Add,
    Embed,
    Experts,
    Glu,
    Linear,
    Node,
    RmsNorm,
    Rope,
    SelectRows,
    Softcap,
    Tokens,
    Weight,
)
from llamakit.core.graph.ops.attention import Attention
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.graph.reference.interpreter import Reference

N_VOCAB, HEAD_DIM = 23, 8
WIDTHS = (16, 32, 40)
TURN = Rotation(HEAD_DIM, 10000.0)


class RandomWeights:
    """Makes weights up as they are named: the same numbers for the same name."""

    def __init__(self) -> None:
        self.made: dict[str, Weight] = {}

    def weight(self, *shape: int, type: GGMLType = GGMLType.F32) -> Weight:
        name = f"w{len(self.made)}"
        self.made[name] = Weight(name, shape, type)
        return self.made[name]

    def floats(self, name: str) -> np.ndarray:
        shape = self.made[name].shape
        x = np.random.default_rng([*name.encode()]).uniform(-1, 1, shape).astype(np.float32)
        return 1 + x / 4 if len(shape) == 1 else x * np.float32((3 / shape[-1]) ** 0.5)

    def run(self, root: Node, tokens: list[int]) -> np.ndarray:
        return Reference(root, self.floats).run(tokens)

    # pieces of graphs
    def embed(self, width: int = 32) -> Embed:
        return Embed(Tokens(), self.weight(N_VOCAB, width))

    def norm(self, x: Node) -> RmsNorm:
        return RmsNorm(x, self.weight(x.width), 1e-5)

    def linear(self, x: Node, n: int, type: GGMLType = GGMLType.F32) -> Linear:
        return Linear(x, self.weight(n, x.width, type=type))

    def scaled(self, x: Node, n: int, is_bias_scaled: bool = False) -> Linear:
        linear = self.linear(x, n)
        return replace(linear, scale=self.weight(1), bias=self.weight(n), is_bias_scaled=is_bias_scaled)

    def attention(self, x: Node, layer: int = 0, n_head: int = 4, n_head_kv: int = 2, **options: float) -> Attention:
        """With normed and turned heads."""
        q, k = (
            Rope(RmsNorm(self.linear(x, n * HEAD_DIM), self.weight(HEAD_DIM), 1e-5), HEAD_DIM, TURN)
            for n in (n_head, n_head_kv)
        )
        return Attention(q, k, self.linear(x, n_head_kv * HEAD_DIM), HEAD_DIM, layer, HEAD_DIM**-0.5, **options)

    def glu(self, x: Node, n: int = 48, activation: str = "silu") -> Glu:
        return Glu(self.linear(x, n), self.linear(x, n), activation)

    def experts(self, x: Node, n: int = 48, n_expert: int = 4) -> Experts:
        shapes = (n_expert, n, x.width), (n_expert, n, x.width), (n_expert, x.width, n)
        return Experts(x, self.linear(x, n_expert), *(self.weight(*s) for s in shapes), n_used=2)

    def head(self, x: Node) -> Node:
        return self.linear(self.norm(SelectRows(x)), N_VOCAB)


def feeds(a: Node, b: Node) -> bool:
    """Whether b is a product of a, normed or not: then b cannot be added to a in place."""
    x = b.x if isinstance(b, Linear) else None
    return x is a or (isinstance(x, RmsNorm) and x.x is a)


def random_graph(seed: int) -> tuple[Node, RandomWeights]:
    """Any op on any earlier values, then the head."""
    rng, w = np.random.default_rng(seed), RandomWeights()
    nodes: list[Node] = [w.embed(int(rng.choice(WIDTHS)))]
    for i in range(int(rng.integers(3, 14))):
        x = nodes[-1] if rng.random() < 0.6 else nodes[int(rng.integers(len(nodes)))]
        match rng.choice(["norm", "linear", "scaled", "add", "glu", "attention", "experts", "softcap", "relu"]):
            case "norm":
                new: Node = w.norm(x)
            case "linear":
                new = w.linear(x, int(rng.choice(WIDTHS)))
            case "scaled":
                new = w.scaled(x, int(rng.choice(WIDTHS)), bool(rng.integers(2)))
            case "glu":
                new = w.glu(x, int(rng.choice(WIDTHS)), str(rng.choice(["silu", "gelu"])))
            case "attention":
                new = w.attention(x, layer=i, window=int(rng.choice([0, 3])))
            case "experts":
                new = w.experts(x)
            case "softcap":
                new = Softcap(w.linear(x, x.width), 2.0)
            case "relu":
                new = Activation(x, "relu2")
            case "add":
                others = [n for n in nodes if n.width == x.width and not feeds(n, x) and not feeds(x, n)]
                if not others:
                    continue
                new = Add(others[int(rng.integers(len(others)))], x)
        nodes.append(new)
    return w.head(nodes[-1]), w
