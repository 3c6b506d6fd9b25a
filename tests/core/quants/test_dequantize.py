"""The `gguf` package is the oracle of every block layout."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.quants import available, dequantize, find_type, parse_type
from llamakit.errors import UsageError

gguf = pytest.importorskip("gguf", reason="the gguf package is the oracle; install the dev extra")

KNOWN = [name for name in available() if name not in ("Q1_0", "Q2_0")]  # younger than the oracle

# The fields that hold a block's float scales; the other bytes may be anything at all.
SCALES = ("x", "d", "m", "dmin")


def oracle(data: np.ndarray, name: str) -> np.ndarray:
    return gguf.quants.dequantize(data, gguf.GGMLQuantizationType[name])


def random_rows(name: str, rng: np.random.Generator, n_rows: int = 7, n_blocks: int = 3) -> np.ndarray:
    """Rows of random bits with finite scales."""
    quant = find_type(parse_type(name))
    blocks = rng.integers(0, 256, (n_rows * n_blocks, quant.n_bytes), np.uint8).view(quant.layout)
    for field in set(SCALES) & set(quant.layout.names or ()):
        if quant.layout[field].kind == "f":
            blocks[field] = rng.normal(0, 0.1, blocks.shape)
    return blocks.view(np.uint8).reshape(n_rows, -1)


@pytest.mark.parametrize("name", KNOWN)
def test_random_blocks_dequantize_as_the_oracle_says(name):
    data = random_rows(name, np.random.default_rng(1))
    got = dequantize(data, name)
    assert got.dtype == np.float32
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(got, oracle(data, name))


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("byte", [0x00, 0x01, 0x7C, 0x7F, 0x80, 0xFC, 0xFF])
def test_blocks_of_one_byte_dequantize_as_the_oracle_says(name, byte):
    """All bits zero or one, and bytes that make infinite and NaN halves: values or NaN, never an error or a warning."""
    data = np.full((2, find_type(parse_type(name)).n_bytes * 2), byte, np.uint8)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(dequantize(data, name), oracle(data, name))


@pytest.mark.parametrize(
    "name", ["F16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]
)
def test_a_scale_that_is_not_a_number_gives_nan(name):
    quant = find_type(parse_type(name))
    blocks = np.zeros(2, quant.layout)
    blocks["x" if name == "F16" else "d"][1] = np.nan
    values = dequantize(blocks.view(np.uint8).reshape(2, -1), name)
    assert np.isfinite(values[0]).all()
    assert np.isnan(values[1]).all()


@pytest.mark.parametrize("name", available())
def test_a_row_dequantizes_alike_alone_and_among_many(name):
    data = random_rows(name, np.random.default_rng(2), n_rows=3000, n_blocks=2)
    np.testing.assert_array_equal(dequantize(data[-1:], name), dequantize(data, name)[-1:])


def test_leading_axes_are_kept():
    data = random_rows("Q4_K", np.random.default_rng(3), n_rows=6)
    assert dequantize(data.reshape(2, 3, -1), "Q4_K").shape == (2, 3, 768)
    assert dequantize(data[0], "Q4_K").shape == (768,)
    assert dequantize(data[:0], "Q4_K").shape == (0, 768)


def test_read_only_and_strided_bytes_are_taken():
    data = random_rows("Q8_0", np.random.default_rng(4), n_rows=6)
    expected = dequantize(data, "Q8_0")
    data.flags.writeable = False
    np.testing.assert_array_equal(dequantize(data[::2], "Q8_0"), expected[::2])


def test_typed_arrays_are_taken_as_their_bytes():
    values = np.array([[1, -2.5], [0, 3]], np.float32)
    np.testing.assert_array_equal(dequantize(values, "F32"), values)
    np.testing.assert_array_equal(dequantize(values.astype(np.float16), "F16"), values)


def test_a_part_of_a_block_is_refused():
    with pytest.raises(UsageError, match="18 bytes a block; 17 are not whole blocks"):
        dequantize(np.zeros((1, 17), np.uint8), "Q4_0")


@pytest.mark.parametrize(
    "name, n_values, first_byte, expected",
    [("Q1_0", 128, 0b0000_1101, [1, -1, 1, 1, -1, -1, -1, -1]), ("Q2_0", 64, 0b11_10_01_00, [-1, 0, 1, 2])],
)
def test_blocks_that_the_oracle_does_not_know(name, n_values, first_byte, expected):
    block = np.zeros((1, 18), np.uint8)
    block[0, :2] = np.array([0.5], "<f2").view(np.uint8)
    block[0, 2] = first_byte
    got = dequantize(block, name)[0]
    np.testing.assert_array_equal(got, np.array(expected + [-1] * (n_values - len(expected))) / 2)
