"""Numbers that no model can use: NaN and infinity, in weights and in the scales of blocks.

Source: ggml's ggml_validate_row_data, which looks at the same fields.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from llamakit.core.gguf.types import GGMLType
from llamakit.core.quants import dequantize, find_type

Rows = npt.NDArray[np.generic]

_EXPONENT = {np.dtype(np.float32): 0x7F800000, np.dtype(np.float16): 0x7C00, np.dtype(np.uint16): 0x7F80}


def are_finite(rows: Rows) -> bool:
    """Whether no weight is NaN or infinite.   rows: float32, float16, or uint16 that holds bfloat16"""
    exponent = _EXPONENT[rows.dtype]
    bits = rows.view(f"u{rows.itemsize}")
    return not np.any((bits & bits.dtype.type(exponent)) == exponent)


def first_wrong(rows: Rows) -> tuple[int, int]:
    """Row and column of the first weight that is not finite; there must be one."""
    exponent = _EXPONENT[rows.dtype]
    row, column = np.argwhere((rows.view(f"u{rows.itemsize}") & exponent) == exponent)[0]
    return int(row), int(column)


def are_scales_finite(packed: npt.NDArray[np.uint8], type_: GGMLType) -> bool:
    """Whether every block has scales that are numbers.   packed: (n_rows, row_bytes) of any type but I8 to F64"""
    layout = find_type(type_).layout
    blocks = packed.reshape(-1).view(layout)
    if type_ is GGMLType.MXFP4:
        return not np.any(blocks["e"] == 0xFF)
    if type_ is GGMLType.BF16:
        return are_finite(packed.reshape(-1).view(np.uint16))
    names = [name for name in layout.names or () if layout[name].base.kind == "f"]
    if not names:  # NVFP4 and IQ1_M piece their scales together
        return bool(np.isfinite(dequantize(packed, type_)).all())
    return all(np.isfinite(blocks[name]).all() for name in names)
