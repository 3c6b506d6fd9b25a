"""Blocks of the other byte order: which bytes of a block form numbers wider than one byte."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from llamakit.core.gguf.types import BLOCK_SIZES, PLAIN_DTYPES, GGMLType

# For each type the (offset, width, count) of its wide numbers, as ggml reads them; all else is single bytes.
_WIDE: dict[GGMLType, tuple[tuple[int, int, int], ...]] = {
    GGMLType.BF16: ((0, 2, 1),),
    GGMLType.Q4_0: ((0, 2, 1),),
    GGMLType.Q4_1: ((0, 2, 2),),
    GGMLType.Q5_0: ((0, 2, 1), (2, 4, 1)),
    GGMLType.Q5_1: ((0, 2, 2), (4, 4, 1)),
    GGMLType.Q8_0: ((0, 2, 1),),
    GGMLType.Q8_1: ((0, 2, 2),),
    GGMLType.Q2_K: ((80, 2, 2),),
    GGMLType.Q3_K: ((108, 2, 1),),
    GGMLType.Q4_K: ((0, 2, 2),),
    GGMLType.Q5_K: ((0, 2, 2),),
    GGMLType.Q6_K: ((208, 2, 1),),
    GGMLType.Q8_K: ((0, 4, 1), (260, 2, 16)),
    GGMLType.IQ1_S: ((0, 2, 1), (34, 2, 8)),
    GGMLType.IQ1_M: ((48, 2, 4),),
    GGMLType.IQ2_XXS: ((0, 2, 1), *((6 + 8 * group, 4, 1) for group in range(8))),  # four indices, then their signs
    GGMLType.IQ2_XS: ((0, 2, 33),),
    GGMLType.IQ2_S: ((0, 2, 1),),
    GGMLType.IQ3_XXS: ((0, 2, 1), (66, 4, 8)),
    GGMLType.IQ3_S: ((0, 2, 1),),
    GGMLType.IQ4_NL: ((0, 2, 1),),
    GGMLType.IQ4_XS: ((0, 2, 2),),
    GGMLType.TQ1_0: ((52, 2, 1),),
    GGMLType.TQ2_0: ((64, 2, 1),),
    GGMLType.MXFP4: (),
    GGMLType.NVFP4: (),
    GGMLType.Q1_0: ((0, 2, 1),),
    GGMLType.Q2_0: ((0, 2, 1),),
} | {type_: ((0, BLOCK_SIZES[type_].n_bytes, 1),) for type_ in PLAIN_DTYPES}


def swapped(raw: NDArray[np.uint8], type_: GGMLType) -> NDArray[np.uint8]:
    """A copy of whole blocks, uint8 [n_bytes], in the other byte order."""
    blocks = raw.reshape(-1, BLOCK_SIZES[type_].n_bytes)
    out = blocks.copy()
    for offset, width, count in _WIDE[type_]:
        for start in range(offset, offset + width * count, width):
            out[:, start : start + width] = blocks[:, start : start + width][:, ::-1]
    return out.reshape(-1)
