"""The logit lens: what a model would say if its layers ended here.

Source: nostalgebraist, "interpreting GPT: the logit lens" (2020): states of any layer through the last norm and head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from llamakit.core.graph.ops import Linear, Node, SelectRows
from llamakit.core.graph.reference.interpreter import Reference, formula_of
from llamakit.core.quants import dequantize
from llamakit.errors import UsageError

if TYPE_CHECKING:
    from llamakit.core.engine.context import Context
    from llamakit.core.engine.load import Model

Floats = npt.NDArray[np.float32]
ROWS = 8192  # of a head that are floats at once


def logit_lens(context: Context, states: Floats) -> Floats:
    """Logits of what a layer gives.   float32 (n, n_embd) -> (n, n_vocab)

    In NumPy's float32, of the weights as they are in the file. Raises UsageError for a context without a head, and for
    a model whose head takes something else than what its last layer gives.
    """
    formula, known, states = context.formula, {}, as_floats(states)
    last = formula.layer_outputs[-1] if formula.layer_outputs else None
    if context.width != context.n_vocab or last is None or last.width != states.shape[-1]:
        raise UsageError(f"states of {states.shape[-1]} numbers are not what this model's head takes")
    known[id(last)] = states
    run = Reference(formula.root, lambda name: whole(context.model, name))
    return value_of(formula.root, run, context.model, known)


def as_floats(states: Floats) -> Floats:
    """Raise UsageError for what are no rows of numbers."""
    try:
        return np.atleast_2d(np.asarray(states, np.float32))
    except (TypeError, ValueError):
        raise UsageError(f"states are {states!r:.60}; they must be float32 (n, n_embd)") from None


def value_of(node: Node, run: Reference, model: Model, known: dict[int, Floats]) -> Floats:
    """What a node gives, of what is known of others."""
    if id(node) not in known:
        if isinstance(node, SelectRows):
            value = value_of(node.x, run, model, known)
        elif isinstance(node, Linear) and node.weight.n_rows > ROWS and node.bias is None and node.scale is None:
            value = product(value_of(node.x, run, model, known), node, model)
        else:
            inputs = [value_of(each, run, model, known) for each in node.inputs()]
            value = formula_of(node)(run, node, *inputs)
        known[id(node)] = value
    return known[id(node)]


def product(x: Floats, node: Linear, model: Model) -> Floats:
    """As the formula's, with a part of the matrix in memory at a time."""
    tensor = model.reader.tensor(node.weight.name)
    logits = np.empty((len(x), node.width), np.float32)
    for i in range(0, node.width, ROWS):
        logits[:, i : i + ROWS] = x @ dequantize(tensor.data[i : i + ROWS], tensor.type).T
    return logits


def whole(model: Model, name: str) -> Floats:
    tensor = model.reader.tensor(name)
    return dequantize(tensor.data, tensor.type)
