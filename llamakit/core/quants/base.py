"""What a quant type is, and how one is found.

Every type is a file of this folder named after it (Q4_K: `q4_k.py`) that holds a `QuantType` of the type's name; the
types without blocks share `plain.py`. Only the file of the type asked for is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import numpy.typing as npt

from llamakit.core.gguf.types import BLOCK_SIZES, GGMLType
from llamakit.core.kernels.pack import Packing
from llamakit.errors import UsageError

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Blocks = npt.NDArray[np.void]
"""Blocks of one type, shape (n_blocks,), with the type's layout as dtype."""

PLAIN = ("F32", "F16", "BF16")


@dataclass(frozen=True)
class QuantType:
    """One tensor type: the bytes of its block and the two ways between bytes and floats.

    `dequantize` takes blocks (n_blocks,) and gives floats (n_blocks, n_values). `packing` quantizes; `weighted` does
    it with an importance matrix: None for a type that has no use for one. In the type's file they are PACKING and
    WEIGHTED. A type without `packing` needs an importance matrix.
    """

    type: GGMLType
    layout: np.dtype[np.void]
    dequantize: Callable[[Blocks], Floats]
    packing: Packing | None = None
    weighted: Packing | None = None
    needs_imatrix: bool = False

    @property
    def n_values(self) -> int:
        """Values in a block."""
        return BLOCK_SIZES[self.type].n_values

    @property
    def n_bytes(self) -> int:
        """Bytes of a block."""
        return BLOCK_SIZES[self.type].n_bytes

    def row_bytes(self, n: int) -> int:
        """Bytes of a row of `n` values; UsageError when they do not fill whole blocks."""
        if n % self.n_values:
            raise UsageError(f"{self.type.name} packs {self.n_values} values a block; a row of {n} does not divide")
        return n // self.n_values * self.n_bytes


def parse_type(type: GGMLType | str | int) -> GGMLType:
    """A tensor type by its name in any case, its id, or itself; UsageError when there is none."""
    try:
        return GGMLType[type.upper()] if isinstance(type, str) else GGMLType(type)
    except (KeyError, ValueError):
        raise UsageError(f"unknown tensor type {type!r}; known are {', '.join(available())}") from None


@cache
def find_type(type: GGMLType) -> QuantType:
    """The quant type of a tensor type; UsageError when no file of this folder holds it."""
    if type.name not in available():
        raise UsageError(f"no quantizer for tensor type {type.name}; there is one for {', '.join(available())}")
    stem = "plain" if type.name in PLAIN else type.name.lower()
    found: QuantType = getattr(import_module(f"{__package__}.{stem}"), type.name)
    return found


@cache
def available() -> tuple[str, ...]:
    """Names of the types this folder holds, in order of their ids."""
    stems = {path.stem.upper() for path in Path(__file__).parent.glob("*.py")}
    return tuple(type.name for type in GGMLType if type.name in stems or type.name in PLAIN)


def column(field: npt.NDArray[np.generic]) -> Floats:
    """A float field of the blocks, ready to multiply their values.   (n_blocks,) -> (n_blocks, 1)"""
    return field.astype(np.float32)[:, None]
