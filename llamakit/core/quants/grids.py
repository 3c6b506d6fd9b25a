"""The grids of the IQ1, IQ2 and IQ3 types, and the signs that go with them.

A grid is a list of points of 8 (or 4) small values; a block stores the index of a point for every 8 (or 4) of its
values. Which points a grid has follows no formula: `grids.npz` lists them, each as one 16-bit code of its levels, 2 (or
3) bits a level, the first level lowest. Codes ascend, so a grid is a set of codes and an index is a rank in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from llamakit.core.quants.base import Bytes, Floats

DATA = Path(__file__).with_name("grids.npz")

TERNARY = (-1, 0, 1)
STEPS_OF_2_BITS = (8, 25, 43)
STEPS_OF_3_BITS = (4, 12, 20, 28, 36, 44, 52, 62)
ODD = (1, 3, 5, 7, 9, 11, 13, 15)


@dataclass(frozen=True)
class Shape:
    """What a grid is besides its points: bits of an index, values of a point, the value of each level."""

    index_bits: int
    width: int
    steps: tuple[int, ...]

    @property
    def level_bits(self) -> int:
        return 2 if self.width == 8 else 3


SHAPES = {
    "iq1": Shape(11, 8, TERNARY),  # of IQ1_S and IQ1_M
    "iq2_xxs": Shape(8, 8, STEPS_OF_2_BITS),
    "iq2_xs": Shape(9, 8, STEPS_OF_2_BITS),
    "iq2_s": Shape(10, 8, STEPS_OF_2_BITS),
    "iq3_xxs": Shape(8, 4, STEPS_OF_3_BITS),
    "iq3_s": Shape(9, 4, ODD),
}


@dataclass(frozen=True)
class Grid:
    """n points, n a power of two: every index of `index_bits` bits has one, so no index lies outside.

    codes: (n,) uint16, ascending; values: (n, width) int8.
    """

    shape: Shape
    codes: npt.NDArray[np.uint16]
    values: npt.NDArray[np.int8]


@cache
def find_grid(name: str) -> Grid:
    """The grid of a name in `SHAPES`; its arrays are read-only."""
    shape = SHAPES[name]
    with np.load(DATA) as arrays:
        codes = arrays[name]
    values = np.array(shape.steps, np.int8)[levels_of(codes, shape)]
    codes.flags.writeable = values.flags.writeable = False
    return Grid(shape, codes, values)


def levels_of(codes: npt.NDArray[np.uint16], shape: Shape) -> Bytes:
    """Levels of points.   (...,) -> (..., width)"""
    shifts = shape.level_bits * np.arange(shape.width, dtype=np.uint16)
    return (codes[..., None] >> shifts & np.uint16((1 << shape.level_bits) - 1)).astype(np.uint8)


# Seven bits say the signs of eight values: the eighth makes the number of minus signs even.
EVEN_SIGNS: Bytes = np.array([i | (i.bit_count() & 1) << 7 for i in range(128)], np.uint8)


def signs_of(bits: Bytes) -> npt.NDArray[np.int8]:
    """-1 where a bit is set, else 1.   (n_blocks, n) bytes -> (n_blocks, 8 n), lowest bit first"""
    minus = np.unpackbits(bits, axis=-1, bitorder="little").view(np.int8)
    return 1 - 2 * minus


def signs_of_word(words: npt.NDArray[np.uint32]) -> npt.NDArray[np.int8]:
    """Signs of 32 values in the lowest 28 bits of a word, 7 bits an eight.   (n_blocks, n) -> (n_blocks, 32 n)"""
    sevens = words[..., None] >> np.arange(0, 28, 7, dtype=np.uint32) & np.uint32(127)
    return signs_of(EVEN_SIGNS[sevens].reshape(len(words), -1))


def scaled(step: Floats, values: npt.NDArray[np.int8]) -> Floats:
    """Every run of values times its step.   (n_blocks, n_steps), (n_blocks, 256) -> (n_blocks, 256)"""
    runs = values.reshape(*step.shape, -1)
    return (step[..., None] * runs).reshape(len(step), -1)
