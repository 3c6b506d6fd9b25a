"""Weights that are yet to be computed: where they come from and what is done to them, in small steps.

A Weight knows its shape and dtype at once, its values when they are asked for. dtypes are float32, float16, and uint16
for bfloat16 (the upper half of a float32). Steps that only move values keep the dtype; those that compute give float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from llamakit.errors import ModelError

Array: TypeAlias = NDArray[Any]
BF16 = np.dtype(np.uint16)


@dataclass(frozen=True, slots=True)
class Weight:
    """A tensor of the model, slowest dimension first."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    load: Callable[[], Array]
    sources: tuple[str, ...]  # names in the checkpoint
    steps: tuple[str, ...] = ()  # what is done to them, for people
    release: Callable[[], None] = lambda: None  # the sources' pages go back to the system

    @property
    def n_values(self) -> int:
        return int(np.prod(self.shape, dtype=object))

    def moved(self, step: str, move: Callable[[Array], Array]) -> Weight:
        """With values in other places, or a part of them. Raises ModelError where the shape does not allow it."""
        shape = _moved_shape(self, step, move)
        load = self.load
        return replace(self, shape=shape, load=lambda: move(load()), steps=(*self.steps, step))

    def computed(self, step: str, compute: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Weight:
        """With other values of the same shape, computed in float32."""
        load = self.load

        def run() -> Array:
            return compute(as_float32(load()))

        return replace(self, dtype=np.dtype(np.float32), load=run, steps=(*self.steps, step))

    def reshaped(self, *shape: int) -> Weight:
        return self.moved(f"reshape {shape}", lambda array: array.reshape(shape))

    def transposed(self) -> Weight:
        """The last two dimensions exchanged."""
        return self.moved("transpose", lambda array: array.swapaxes(-1, -2))

    def squeezed(self) -> Weight:
        """Without the dimensions of 1."""
        return self.moved("squeeze", lambda array: array.squeeze())

    def rows(self, first: int, last: int) -> Weight:
        return self.moved(f"rows {first}:{last}", lambda array: array[first:last])

    def plus(self, number: float) -> Weight:
        return self.computed(f"+ {number:g}", lambda array: array + np.float32(number))

    def times(self, number: float) -> Weight:
        return self if number == 1 else self.computed(f"* {number:g}", lambda array: array * np.float32(number))

    def negative_exp(self) -> Weight:
        return self.computed("-exp", lambda array: (-np.exp(array.astype(np.float64))).astype(np.float32))


def _moved_shape(weight: Weight, step: str, move: Callable[[Array], Array]) -> tuple[int, ...]:
    """The shape after a move, found without any memory: on an array all of whose values are the same byte."""
    try:
        return move(np.broadcast_to(np.zeros((), weight.dtype), weight.shape)).shape
    except (ValueError, IndexError) as error:
        name, shape = ", ".join(weight.sources), list(weight.shape)
        raise ModelError(f"tensor {name} of shape {shape} cannot be converted ({step}): {error}") from None


def constant(values: Sequence[float], name: str) -> Weight:
    """A vector that the checkpoint does not hold."""
    array = np.asarray(values, np.float32)
    return Weight(array.shape, array.dtype, lambda: array, (), (name,))


def stacked(weights: Sequence[Weight]) -> Weight:
    """Equal tensors as one with a dimension more, in front."""
    first = weights[0]
    for weight in weights:
        if weight.shape != first.shape:
            shapes = f"{list(first.shape)} and {list(weight.shape)}"
            raise ModelError(f"tensors {first.sources[0]} and {weight.sources[0]} have the shapes {shapes}: one stack?")
    dtype = first.dtype if all(weight.dtype == first.dtype for weight in weights) else np.dtype(np.float32)
    shape = (len(weights), *first.shape)

    def load() -> Array:
        out = np.empty(shape, dtype)
        for i, weight in enumerate(weights):
            out[i] = weight.load() if weight.dtype == dtype else as_float32(weight.load())
            weight.release()
        return out

    sources = tuple(source for weight in weights for source in weight.sources)
    return Weight(shape, dtype, load, sources, (*first.steps, f"stack {len(weights)}"))


def joined(weights: Sequence[Weight]) -> Weight:
    """Tensors one behind the other, along the first dimension."""
    first = weights[0]
    if any(weight.shape[1:] != first.shape[1:] for weight in weights):
        shapes = ", ".join(str(list(weight.shape)) for weight in weights)
        raise ModelError(f"tensors {', '.join(w.sources[0] for w in weights)} have the shapes {shapes}: one matrix?")
    dtype = first.dtype if all(weight.dtype == first.dtype for weight in weights) else np.dtype(np.float32)

    def load() -> Array:
        loaded = (weight.load() for weight in weights)
        return np.concatenate([array if array.dtype == dtype else as_float32(array) for array in loaded])

    shape = (sum(weight.shape[0] for weight in weights), *first.shape[1:])
    sources = tuple(dict.fromkeys(source for weight in weights for source in weight.sources))
    return Weight(shape, dtype, load, sources, (*first.steps, "join"))


def as_float32(array: Array) -> NDArray[np.float32]:
    """Values of any of the three dtypes as float32."""
    if array.dtype == BF16:
        wide = np.empty(array.shape, np.uint32)
        np.left_shift(array, 16, out=wide, dtype=np.uint32, casting="unsafe")
        return wide.view(np.float32)
    return array.astype(np.float32, copy=False)


def adjacent_pairs(weight: Weight, n_head: int, n_rot: int | None = None) -> Weight:
    """Rows of heads whose halves turn together, in the order where neighbours do (GGUF's "norm" rotation).

    Of heads of which a part turns, the first `n_rot` rows.
    """

    def move(rows: Array) -> Array:
        heads = rows.reshape(n_head, -1, *rows.shape[1:])
        turned = heads[:, :n_rot]
        pairs = turned.reshape(n_head, 2, -1, *rows.shape[1:]).swapaxes(1, 2).reshape(turned.shape)
        return (
            np.concatenate([pairs, heads[:, n_rot:]], axis=1).reshape(rows.shape)
            if n_rot
            else pairs.reshape(rows.shape)
        )

    return weight.moved(f"pair rows of {n_head} heads", move)


def halves(weight: Weight, axis: int = 0) -> tuple[Weight, Weight]:
    """The first and the second half along an axis."""

    def half(number: int) -> Weight:
        return weight.moved(
            f"{'first' if number == 0 else 'second'} half", lambda array: np.split(array, 2, axis)[number]
        )

    return half(0), half(1)


def split_rows(weight: Weight, *sizes: int) -> list[Weight]:
    """Parts of so many rows each, which must be all there are."""
    if sum(sizes) != weight.shape[0]:
        raise ModelError(f"tensor {weight.sources[0]} has {weight.shape[0]} rows, not {' + '.join(map(str, sizes))}")
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return [weight.rows(start, start + size) for start, size in zip(starts, sizes, strict=True)]


def grouped_qkv(weight: Weight, n_group: int, n_query: int, dim: int) -> Weight:
    """Rows of groups (some query heads, a key, a value head) as all queries, then all keys, then all values."""

    def move(rows: Array) -> Array:
        heads = rows.reshape(n_group, n_query + 2, dim, *rows.shape[1:])
        parts = (heads[:, :-2], heads[:, -2:-1], heads[:, -1:])
        return np.concatenate([part.reshape(-1, *rows.shape[1:]) for part in parts])

    return weight.moved(f"sort q, k, v of {n_group} groups", move)
