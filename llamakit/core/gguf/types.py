"""The numbers of the format: magic, value types, tensor types with their block sizes.

Source: the GGUF specification and ggml.h of 2026.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

MAGIC = b"GGUF"
VERSIONS = (1, 2, 3)
DEFAULT_ALIGNMENT = 32
ALIGNMENT_KEY = "general.alignment"
MIN_ALIGNMENT, MAX_ALIGNMENT = 8, 1 << 21  # the specification's multiple of 8; a huge page

MAX_KEY_BYTES = 65_535
MAX_NAME_BYTES = 63  # ggml keeps a tensor's name in 64 bytes with the closing zero
MAX_DIMS = 4
MAX_ARRAY_DEPTH = 8  # our own limit: no known file nests arrays at all


class ValueType(IntEnum):
    """Type of a metadata value."""

    UINT8 = 0
    INT8 = 1
    UINT16 = 2
    INT16 = 3
    UINT32 = 4
    INT32 = 5
    FLOAT32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9
    UINT64 = 10
    INT64 = 11
    FLOAT64 = 12


# Letters that struct and numpy give the same fixed-size meaning after a byte-order mark.
SCALAR_CODES: dict[ValueType, str] = {
    ValueType.UINT8: "B",
    ValueType.INT8: "b",
    ValueType.UINT16: "H",
    ValueType.INT16: "h",
    ValueType.UINT32: "I",
    ValueType.INT32: "i",
    ValueType.FLOAT32: "f",
    ValueType.BOOL: "?",
    ValueType.UINT64: "Q",
    ValueType.INT64: "q",
    ValueType.FLOAT64: "d",
}


class GGMLType(IntEnum):
    """Type of a tensor. Missing numbers were removed from ggml and are refused."""

    F32 = 0
    F16 = 1
    Q4_0 = 2
    Q4_1 = 3
    Q5_0 = 6
    Q5_1 = 7
    Q8_0 = 8
    Q8_1 = 9
    Q2_K = 10
    Q3_K = 11
    Q4_K = 12
    Q5_K = 13
    Q6_K = 14
    Q8_K = 15
    IQ2_XXS = 16
    IQ2_XS = 17
    IQ3_XXS = 18
    IQ1_S = 19
    IQ4_NL = 20
    IQ3_S = 21
    IQ2_S = 22
    IQ4_XS = 23
    I8 = 24
    I16 = 25
    I32 = 26
    I64 = 27
    F64 = 28
    IQ1_M = 29
    BF16 = 30
    TQ1_0 = 34
    TQ2_0 = 35
    MXFP4 = 39
    NVFP4 = 40
    Q1_0 = 41
    Q2_0 = 42


REMOVED_TYPES: dict[int, str] = {
    4: "Q4_2",
    5: "Q4_3",
    31: "Q4_0_4_4",
    32: "Q4_0_4_8",
    33: "Q4_0_8_8",
    36: "IQ4_NL_4_4",
    37: "IQ4_NL_4_8",
    38: "IQ4_NL_8_8",
}

# Types whose values numpy holds as they are; all others (BF16 too) travel as bytes.
PLAIN_DTYPES: dict[GGMLType, str] = {
    GGMLType.F32: "f4",
    GGMLType.F16: "f2",
    GGMLType.F64: "f8",
    GGMLType.I8: "i1",
    GGMLType.I16: "i2",
    GGMLType.I32: "i4",
    GGMLType.I64: "i8",
}


@dataclass(frozen=True, slots=True)
class BlockSize:
    """The smallest unit of a tensor type: `n_values` values in `n_bytes` bytes."""

    n_values: int
    n_bytes: int


BLOCK_SIZES: dict[GGMLType, BlockSize] = {
    GGMLType[name]: BlockSize(n_values, n_bytes)
    for name, n_values, n_bytes in (
        ("F32", 1, 4), ("F16", 1, 2), ("BF16", 1, 2), ("F64", 1, 8),
        ("I8", 1, 1), ("I16", 1, 2), ("I32", 1, 4), ("I64", 1, 8),
        ("Q4_0", 32, 18), ("Q4_1", 32, 20), ("Q5_0", 32, 22), ("Q5_1", 32, 24), ("Q8_0", 32, 34), ("Q8_1", 32, 36),
        ("Q2_K", 256, 84), ("Q3_K", 256, 110), ("Q4_K", 256, 144), ("Q5_K", 256, 176), ("Q6_K", 256, 210),
        ("Q8_K", 256, 292),
        ("IQ1_S", 256, 50), ("IQ1_M", 256, 56), ("IQ2_XXS", 256, 66), ("IQ2_XS", 256, 74), ("IQ2_S", 256, 82),
        ("IQ3_XXS", 256, 98), ("IQ3_S", 256, 110), ("IQ4_NL", 32, 18), ("IQ4_XS", 256, 136),
        ("TQ1_0", 256, 54), ("TQ2_0", 256, 66), ("MXFP4", 32, 17), ("NVFP4", 64, 36),
        ("Q1_0", 128, 18), ("Q2_0", 64, 18),
    )
}  # fmt: skip
