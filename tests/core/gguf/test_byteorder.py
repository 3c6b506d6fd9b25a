"""Blocks in the other byte order: all numbers wider than a byte are turned, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.gguf.byteorder import swapped
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.types import BLOCK_SIZES, PLAIN_DTYPES, GGMLType
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.core.quants import available, dequantize, find_type

BLOCKED = [GGMLType[name] for name in available() if GGMLType[name] not in PLAIN_DTYPES]
# Words to ggml that our layouts, which take single bits from them, call bytes.
AS_WORDS = {
    "Q5_0": [("d", "<f2"), ("qh", "<u4"), ("qs", "u1", (16,))],
    "Q5_1": [("d", "<f2"), ("m", "<f2"), ("qh", "<u4"), ("qs", "u1", (16,))],
    "IQ4_XS": [("d", "<f2"), ("scales_h", "<u2"), ("rest", "u1", (132,))],
}


def random_blocks(type_: GGMLType, n: int = 7) -> np.ndarray:
    return np.random.default_rng(type_).integers(0, 256, n * BLOCK_SIZES[type_].n_bytes, np.uint8)


@pytest.mark.parametrize("type_", BLOCKED, ids=lambda type_: type_.name)
def test_the_numbers_turned_are_those_of_the_types_layout(type_):
    """The oracle is NumPy: a dtype of the other order reads the same fields."""
    raw, layout = random_blocks(type_), np.dtype(AS_WORDS.get(type_.name, find_type(type_).layout))
    assert swapped(raw, type_).tobytes() == raw.view(layout).astype(layout.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("type_", GGMLType, ids=lambda type_: type_.name)
def test_turned_twice_blocks_are_what_they_were(type_):
    raw = random_blocks(type_)
    np.testing.assert_array_equal(swapped(swapped(raw, type_), type_), raw)
    assert (swapped(raw, type_) != raw).any() == (type_ not in (GGMLType.I8, GGMLType.MXFP4, GGMLType.NVFP4))


@pytest.mark.parametrize("type_", BLOCKED, ids=lambda type_: type_.name)
def test_a_big_endian_file_has_the_same_weights(type_, tmp_path):
    raw = random_blocks(type_).reshape(7, -1)
    with GGUFWriter(tmp_path / "big.gguf", byte_order="big") as writer:
        writer.add_tensor("w", raw, type_)
    with GGUFReader(tmp_path / "big.gguf") as reader:
        data = reader.tensor("w").data
    np.testing.assert_array_equal(data, raw)
    np.testing.assert_array_equal(dequantize(data, type_), dequantize(raw, type_))
