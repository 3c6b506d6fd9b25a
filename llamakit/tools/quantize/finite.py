"""Numbers that no model can use, NaN and infinity: in weights, and in the scales of blocks.

llama-quantize refuses the same, on the way in and on the way out (ggml_validate_row_data).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from llamakit.core.gguf.types import GGMLType
from llamakit.core.quants.packing import Rows, is_finite
from llamakit.tools.gguf_verify.scales import layout_of, scales_of

DTYPES: dict[GGMLType, np.dtype[Any]] = {
    GGMLType.F32: np.dtype("<f4"),
    GGMLType.F16: np.dtype("<f2"),
    GGMLType.BF16: np.dtype("<u2"),
}
_EXPONENTS = {"f4": 0x7F800000, "f2": 0x7C00, "u2": 0x7F80}  # all ones: no number


def is_sound(raw: npt.NDArray[np.uint8], type_: GGMLType) -> bool:
    """Whether all weights, or the scales of all blocks, are numbers.   raw: as a little-endian file has them"""
    if type_ in DTYPES:
        return is_finite(raw.reshape(-1).view(DTYPES[type_]).reshape(1, -1), n_threads=1)
    blocks = raw.reshape(-1).view(layout_of(type_))
    for scale in scales_of(type_):
        bits = scale.bits(blocks)
        if np.any((bits & bits.dtype.type(scale.number.magnitude)) >= scale.number.infinity):
            return False
    return True


def first_unsound(weights: Rows) -> tuple[int, int]:
    """Row and column of the first weight that is none; there must be one."""
    exponent = _EXPONENTS[weights.dtype.str[1:]]
    row, column = np.argwhere((weights.view(f"u{weights.itemsize}") & exponent) == exponent)[0]
    return int(row), int(column)
