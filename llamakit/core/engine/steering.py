"""Control vectors: directions that are added to what layers give, to push a model's answers somewhere.

GGUF files of architecture "controlvector": tensors direction.I, F32 (n_embd,), added behind layer I, counted from 0;
layer 0 has none. Source: llama.cpp's `common_control_vector_load`, arXiv:2310.01405 for the idea.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.types import GGMLType
from llamakit.core.graph.ops import Node, Weight
from llamakit.errors import ModelError

Floats = npt.NDArray[np.float32]
PREFIX = "direction."


@dataclass(frozen=True, eq=False)
class ControlVector:
    """A direction, float32 (n_embd,), for each of some layers."""

    path: Path
    directions: Mapping[int, Floats]


def load_control_vector(path: str | Path) -> ControlVector:
    """Read a file. Raises GGUFError for a damaged one, ModelError for one that holds something else."""
    directions: dict[int, Floats] = {}
    with GGUFReader(path) as reader:
        for tensor in reader.tensors:
            number = tensor.name.removeprefix(PREFIX)
            if not (tensor.name.startswith(PREFIX) and number.isascii() and number.isdigit() and int(number) > 0):
                raise ModelError(f"{path}: tensor {tensor.name} is no {PREFIX}LAYER with a layer above 0")
            if tensor.type is not GGMLType.F32 or len(tensor.shape) != 1:
                raise ModelError(f"{path}: {tensor.name} is {tensor.type.name} {list(tensor.shape)}, no vector of F32")
            directions[int(number)] = np.array(tensor.data, np.float32)
    if len({len(direction) for direction in directions.values()}) != 1:
        raise ModelError(f"{path}: {'its directions differ in length' if directions else 'no direction.LAYER in it'}")
    return ControlVector(Path(path), directions)


def sum_of(
    vectors: Sequence[tuple[ControlVector, float]], n_embd: int, first: int = 1, last: int | None = None
) -> dict[int, Floats]:
    """Vectors times their scales, added up, of layers first to last. Raises ModelError where n_embd is another."""
    total: dict[int, Floats] = {}
    for vector, scale in vectors:
        for i, direction in vector.directions.items():
            if len(direction) != n_embd:
                raise ModelError(f"{vector.path}: directions of {len(direction)} numbers; the model has {n_embd}")
            if first <= i and (last is None or i <= last):
                total[i] = total.get(i, np.zeros(n_embd, np.float32)) + np.float32(scale) * direction
    return total


def symbols_of(directions: Mapping[int, Floats], outputs: Sequence[Node]) -> dict[int, Weight]:
    """The graph's symbols of directions, by the ids of the layers' outputs.

    Raises ModelError for a layer that the model has not, or that gives something else than a token's numbers: models of
    several streams have no others.
    """
    symbols = {}
    for i, direction in directions.items():
        if not 0 <= i < len(outputs) or outputs[i].width != len(direction):
            raise ModelError(f"a direction of {len(direction)} numbers cannot be added behind layer {i} of this model")
        symbols[id(outputs[i])] = Weight(f"{PREFIX}{i}", direction.shape, GGMLType.F32)
    return symbols
