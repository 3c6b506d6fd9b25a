"""The graph in NumPy float32: the truth that tests compare with. One function per op, nothing clever.

Also the place to look at any activation: `Reference(graph, weights).values(tokens)` gives the result of every node.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from llamakit.core.graph import fused, ops
from llamakit.core.graph.tap import Tap

Floats = npt.NDArray[np.float32]
Formula = TypeVar("Formula", bound=Callable[..., Any])
FORMULAS: dict[type[ops.Node], Callable[..., Any]] = {}


class Reference:
    """Runs a graph; `weights` gives the float32 array of a name. Keeps k and v between calls: one sequence."""

    def __init__(self, root: ops.Node, weights: Callable[[str], Floats]) -> None:
        self.root, self.weights = root, weights
        self.position = 0
        self.cache: dict[int, tuple[Floats, Floats]] = {}
        self.states: dict[int, Floats] = {}  # of ops that remember
        self.tokens: npt.NDArray[np.int64] = np.zeros(0, np.int64)

    def run(self, tokens: npt.ArrayLike) -> Floats:
        """The logits of every token.   (n_tokens,) -> (n_tokens, n_vocab)"""
        result: Floats = self.values(tokens)[id(self.root)]
        return result

    def values(self, tokens: npt.ArrayLike) -> dict[int, Any]:
        """The result of every node, by its id."""
        results: dict[int, Any] = {}
        self.tokens = np.asarray(tokens)
        for node in ops.in_order(self.root):
            results[id(node)] = formula_of(node)(self, node, *(results[id(n)] for n in node.inputs()))
        self.position += len(self.tokens)
        return results


def formula_of(node: ops.Node) -> Callable[..., Any]:
    """How to evaluate a node."""
    if type(node) not in FORMULAS:
        import_module("llamakit.core.graph.reference.attention")
        import_module("llamakit.core.graph.reference.experts")
        import_module("llamakit.core.graph.reference.recurrent")
        import_module("llamakit.core.graph.reference.streams")
        import_module("llamakit.core.graph.reference.compressed")
        import_module("llamakit.core.graph.reference.indexer")
    return FORMULAS[type(node)]


def formula(op: type[ops.Node]) -> Callable[[Formula], Formula]:
    """A function (run, node, *values of its inputs) -> value of the node."""

    def declare(function: Formula) -> Formula:
        FORMULAS[op] = function
        return function

    return declare


@formula(ops.Tokens)
def tokens(run: Reference, op: ops.Tokens) -> npt.NDArray[np.int64]:
    return run.tokens


@formula(ops.Positions)
def positions(run: Reference, op: ops.Positions) -> npt.NDArray[np.int64]:
    return np.arange(run.position, run.position + len(run.tokens))


@formula(ops.Weight)
def weight(run: Reference, op: ops.Weight) -> Floats:
    whole = run.weights(op.name)
    if not op.is_part:
        return whole.reshape(op.shape)
    if len(op.shape) == 2:  # perhaps rows of the matrices of several heads
        whole = whole.reshape(-1, op.width)
    n = op.shape[-2] if len(op.shape) > 1 else op.shape[0]
    part: Floats = whole[..., op.first : op.first + n, :] if len(op.shape) > 1 else whole[op.first : op.first + n]
    return part


@formula(ops.Embed)
def embed(run: Reference, op: ops.Embed, ids: npt.NDArray[np.int64], table: Floats) -> Floats:
    return table[ids] * np.float32(op.scale)


def normed(x: Floats, weight: Floats | None, eps: float, bias: Floats | None = None, n: int = 0) -> Floats:
    """Over each `n` numbers of a row, or each row of the weight."""
    heads = x.reshape(len(x), -1, n if weight is None else weight.shape[-1])
    mean_square = np.mean(heads * heads, axis=-1, keepdims=True)
    length: Floats = np.sqrt(mean_square + np.float32(eps))
    return bent(heads / length, weight, bias).reshape(len(x), -1)


def bent(heads: Floats, weight: Floats | None, bias: Floats | None) -> Floats:
    heads = heads if weight is None else heads * weight
    return heads if bias is None else heads + bias


@formula(ops.RmsNorm)
def rms_norm(run: Reference, op: ops.RmsNorm, x: Floats, *rest: Floats) -> Floats:
    weight, bias = given(rest, op.weight, op.bias)
    return normed(x, weight, op.eps, bias, op.group)


@formula(ops.LayerNorm)
def layer_norm(run: Reference, op: ops.LayerNorm, x: Floats, *rest: Floats) -> Floats:
    weight, bias = given(rest, op.weight, op.bias)
    heads = x.reshape(len(x), -1, op.group)
    heads = heads - heads.mean(-1, keepdims=True)
    length = np.sqrt(np.mean(heads * heads, axis=-1, keepdims=True) + np.float32(op.eps))
    return bent(heads / length, weight, bias).reshape(len(x), -1)


def given(values: tuple[Floats, ...], *nodes: ops.Node | None) -> tuple[Floats | None, ...]:
    """The values of those nodes that are there, in order."""
    terms = iter(values)
    return tuple(None if n is None else next(terms) for n in nodes)


@formula(ops.Linear)
def linear(run: Reference, op: ops.Linear, x: Floats, weight: Floats, *rest: Floats) -> Floats:
    scale, bias = given(rest, op.scale, op.bias)
    y: Floats = x @ weight.T * (np.float32(1) if scale is None else scale)
    if bias is None:
        return y
    return y + bias * (scale if op.is_bias_scaled and scale is not None else np.float32(1))


@formula(ops.HeadLinear)
def head_linear(run: Reference, op: ops.HeadLinear, x: Floats, weight: Floats) -> Floats:
    heads = x.reshape(len(x), len(weight), -1)
    y: Floats = np.einsum("thi,hoi->tho", heads, weight).reshape(len(x), -1)
    return y


def softmax(x: Floats) -> Floats:
    e = np.exp(x - x.max(-1, keepdims=True))
    share: Floats = (e / e.sum(-1, keepdims=True)).astype(np.float32)
    return share


def sigmoid(x: Any) -> Any:
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "silu": lambda x: x * sigmoid(x),
    "gelu": lambda x: x * sigmoid(2 * np.float32(0.7978845608) * (x + np.float32(0.044715) * x**3)),
    "gelu_erf": lambda x: x * (1 + np.vectorize(math.erf, otypes=[np.float32])(x / math.sqrt(2))) / 2,
    "gelu_quick": lambda x: x * sigmoid(np.float32(1.702) * x),
    "relu": lambda x: np.maximum(x, np.float32(0)),
    "relu2": lambda x: np.maximum(x, np.float32(0)) ** 2,
    "relu6": lambda x: np.clip(x, np.float32(0), np.float32(6)),
    "leaky_relu": lambda x: np.where(x < 0, np.float32(0.01) * x, x),
    "hard_swish": lambda x: x * np.clip(x + np.float32(3), np.float32(0), np.float32(6)) / np.float32(6),
    "mish": lambda x: x * np.tanh(np.logaddexp(x, np.float32(0))),
    "elu": lambda x: np.where(x < 0, np.expm1(np.minimum(x, np.float32(0))), x),
    "exp": lambda x: np.exp(np.minimum(x, np.float32(88))),
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "softplus": lambda x: np.maximum(x, np.float32(0)) + np.log1p(np.exp(-np.abs(x))),
}


def activate(name: str, x: Floats) -> Floats:
    y: Floats = ACTIVATIONS[name](x)
    return y


def gated(name: str, gate: Floats, up: Floats, limit: float) -> Floats:
    """What `ops.Glu` says."""
    c = np.float32(limit)
    match name:
        case "swiglu_oai":
            gate = np.minimum(gate, c)
            hidden: Floats = gate * sigmoid(np.float32(1.702) * gate) * (np.clip(up, -c, c) + 1)
            return hidden
        case "swiglu_clamp":
            return activate("silu", np.minimum(gate, c)) * np.clip(up, -c, c)
        case "silu_clamp":
            return np.minimum(activate("silu", gate), c) * np.clip(up, -c, c)
        case "situ":
            capped: Floats = np.tanh(gate / c) * c * sigmoid(gate) * up
            return capped
    return activate(name, gate) * up


@formula(ops.Glu)
def glu(run: Reference, op: ops.Glu, gate: Floats, up: Floats) -> Floats:
    return gated(op.activation, gate, up, op.limit)


@formula(ops.Add)
def add(run: Reference, op: ops.Add, a: Floats, b: Floats) -> Floats:
    return a + b


@formula(ops.Mul)
def mul(run: Reference, op: ops.Mul, a: Floats, b: Floats) -> Floats:
    if b.shape[-1] != a.shape[-1]:
        b = np.repeat(b, a.shape[-1] // b.shape[-1], axis=-1)
    return a * b


@formula(ops.Div)
def div(run: Reference, op: ops.Div, a: Floats, b: Floats) -> Floats:
    return a / b


@formula(ops.Activation)
def activation(run: Reference, op: ops.Activation, x: Floats) -> Floats:
    return activate(op.kind, x)


@formula(ops.Softcap)
def softcap(run: Reference, op: ops.Softcap, x: Floats) -> Floats:
    return softcapped(x, op.cap)


def softcapped(x: Floats, cap: float) -> Floats:
    share: Floats = np.tanh(x / np.float32(cap))
    return share * np.float32(cap)


@formula(ops.Shift)
def shift(run: Reference, op: ops.Shift, x: Floats) -> Floats:
    return x + np.float32(op.c)


@formula(ops.Clamp)
def clamp(run: Reference, op: ops.Clamp, x: Floats) -> Floats:
    return np.clip(x, np.float32(-op.limit), np.float32(op.limit))


@formula(ops.Scale)
def scale(run: Reference, op: ops.Scale, x: Floats) -> Floats:
    return x * np.float32(op.factor)


@formula(ops.Tempered)
def tempered(run: Reference, op: ops.Tempered, x: Floats) -> Floats:
    return x * op.factors(len(x), run.position)[:, None]


@formula(ops.Slice)
def slice_rows(run: Reference, op: ops.Slice, x: Floats) -> Floats:
    return x.reshape(len(x), op.groups, -1)[..., op.first : op.first + op.n].reshape(len(x), -1)


@formula(ops.Concat)
def concat(run: Reference, op: ops.Concat, *parts: Floats) -> Floats:
    return np.concatenate([p.reshape(len(p), op.groups, -1) for p in parts], -1).reshape(len(parts[0]), -1)


@formula(ops.Repeat)
def repeat(run: Reference, op: ops.Repeat, x: Floats) -> Floats:
    return np.tile(x, (1, op.n))


@formula(ops.SelectRows)
def select_rows(run: Reference, op: ops.SelectRows, x: Floats) -> Floats:
    return x


@formula(Tap)
def tap(run: Reference, op: Tap, x: Floats) -> Floats:
    return x


# what `fuse.py` makes
@formula(fused.Stack)
def stack(run: Reference, op: fused.Stack, *parts: Floats) -> Floats:
    if not op.is_interleaved:
        return np.concatenate(parts)
    return np.stack([p.reshape(-1, 16, op.width) for p in parts], 1).reshape(-1, op.width)


@formula(fused.Matmul)
def matmul(run: Reference, op: fused.Matmul, x: Floats, weight: Floats, *rest: Floats) -> Floats:
    terms = iter(rest)
    scales = [next(terms) if s is not None else None for s in op.scales]
    biases = [next(terms) if b is not None else None for b in op.biases]
    if op.norm is not None:
        x = normed(x, next(terms), op.eps)
    y = x @ weight.T
    n = [p.n_rows for p in op.weight.parts]
    groups = y.reshape(len(y), -1, len(n), 16) if op.weight.is_interleaved else None
    split = (
        [groups[:, :, i].reshape(len(y), -1) for i in range(len(n))]
        if groups is not None
        else np.split(y, np.cumsum(n)[:-1], axis=1)
    )
    split = [p * s if s is not None else p for p, s in zip(split, scales, strict=True)]
    if op.is_bias_scaled:
        biases = [b if b is None or s is None else b * s for b, s in zip(biases, scales, strict=True)]
    split = [p + b if b is not None else p for p, b in zip(split, biases, strict=True)]
    if op.activation:
        y = gated(op.activation, split[0], split[1], 0.0)
    elif op.weight.is_interleaved:
        y = np.stack([p.reshape(len(y), -1, 16) for p in split], axis=2).reshape(len(y), -1)
    else:
        y = np.concatenate(split, axis=1)
    if op.residual is None:
        return y
    before = next(terms)
    behind = before.shape[1] - op.first - y.shape[1]
    return before + np.pad(y, ((0, 0), (op.first, behind)))


@formula(fused.AddNorm)
def add_norm(run: Reference, op: fused.AddNorm, x: Floats, weight: Floats, residual: Floats) -> Floats:
    return residual + normed(x, weight, op.eps)
