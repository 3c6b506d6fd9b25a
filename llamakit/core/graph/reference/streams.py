"""Ops on streams, in NumPy."""

from __future__ import annotations

import numpy as np

from llamakit.core.graph.ops import streams
from llamakit.core.graph.reference.interpreter import Floats, Reference, formula
from llamakit.core.graph.reference.interpreter import softmax as softmax_of


@formula(streams.Mix)
def mix(run: Reference, op: streams.Mix, x: Floats, c: Floats) -> Floats:
    shares = c.reshape(len(c), op.n_in, op.n_out)
    out: Floats = np.einsum("tjn,tji->tin", x.reshape(len(x), op.n_in, op.n), shares).reshape(len(x), -1)
    return out


@formula(streams.Dot)
def dot(run: Reference, op: streams.Dot, a: Floats, b: Floats) -> Floats:
    sums: Floats = (a * b).reshape(len(a), -1, op.n).sum(2)
    return sums


@formula(streams.Root)
def root(run: Reference, op: streams.Root, x: Floats) -> Floats:
    roots: Floats = np.sign(x) * np.sqrt(np.maximum(np.abs(x), np.float32(op.least)))
    return roots


@formula(streams.Softmax)
def softmax(run: Reference, op: streams.Softmax, x: Floats) -> Floats:
    return softmax_of(x.reshape(len(x), -1, op.n)).reshape(x.shape)


@formula(streams.Balanced)
def balanced(run: Reference, op: streams.Balanced, x: Floats) -> Floats:
    eps = np.float32(op.eps)
    m: Floats = softmax_of(x.reshape(len(x), op.n, op.n)) + eps
    for i in range(op.n_rounds):
        m = m if i == 0 else m / (m.sum(2, keepdims=True) + eps)
        m = m / (m.sum(1, keepdims=True) + eps)
    return m.reshape(x.shape)
