"""What the layouts have in common: a weight that is computed of several tensors, values cut out of words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from llamakit.convert.checkpoint import Checkpoint, floats
from llamakit.convert.weight import Weight, as_float32
from llamakit.errors import ModelError, printable

Floats: TypeAlias = NDArray[np.float32]
Replaced: TypeAlias = Iterator[tuple[str, Weight | None]]
"""Names and weights that take the place of a checkpoint's tensors; None for a tensor that is a part of another one."""


def computed(checkpoint: Checkpoint, shape: tuple[int, ...], load: Callable[[], Floats], *sources: str) -> Weight:
    """A weight of some tensors. Its values must have the shape: ModelError names the first tensor where they do not."""

    def checked() -> Floats:
        try:
            values = load()
        except ValueError as error:  # of NumPy: shapes that do not fit
            raise ModelError(printable(f"tensor {sources[0]!r} does not fit its scales: {error}")) from None
        if values.shape != shape:
            raise ModelError(printable(f"tensor {sources[0]!r} holds the shape {values.shape}, not {shape}"))
        return values

    def release() -> None:
        for name in sources:
            checkpoint.tensors[name].release()

    return Weight(shape, np.dtype(np.float32), checked, sources, ("dequantize",), release)


def values_of(checkpoint: Checkpoint, name: str) -> Floats:
    """A tensor's values as float32."""
    return as_float32(floats(checkpoint.tensors[name]))


def required(checkpoint: Checkpoint, *names: str) -> None:
    """Raises ModelError for the first that is missing."""
    for name in names:
        if name not in checkpoint.tensors:
            raise ModelError(printable(f"tensor {name!r} is missing, a part of a quantized weight"))


def words_of(checkpoint: Checkpoint, name: str) -> NDArray[np.uint32]:
    array = checkpoint.array(name)
    if array.dtype.itemsize != 4 or array.dtype.kind not in "iu":
        raise ModelError(printable(f"tensor {name!r} holds {checkpoint.tensors[name].dtype}, not words of 32 bits"))
    return array.view(np.uint32)


def split(words: NDArray[Any], bits: int, axis: int) -> NDArray[np.int32]:
    """The values of unsigned words, lowest bits first, along an axis of length 1."""
    n = 8 * words.dtype.itemsize // bits
    shifts = np.arange(0, n * bits, bits, dtype=words.dtype).reshape([n if i == axis else 1 for i in range(words.ndim)])
    return np.asarray((words >> shifts) & words.dtype.type((1 << bits) - 1), np.int32)
