"""The grids are ggml's, and no index leaves them."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.quants import dequantize, find_type, parse_type
from llamakit.core.quants.grids import EVEN_SIGNS, SHAPES, find_grid, levels_of, signs_of, signs_of_word

# (type, grid, first and last place of an index in a block's bits)
TYPES = {
    "IQ1_S": "iq1",
    "IQ1_M": "iq1",
    "IQ2_XXS": "iq2_xxs",
    "IQ2_XS": "iq2_xs",
    "IQ2_S": "iq2_s",
    "IQ3_XXS": "iq3_xxs",
    "IQ3_S": "iq3_s",
}


@pytest.mark.parametrize("name", SHAPES)
def test_points_are_those_of_the_gguf_package(name):
    quants = pytest.importorskip("gguf.quants", reason="the gguf package is the oracle; install the dev extra")
    oracle = getattr(quants, {"iq1": "IQ1_S"}.get(name, name.upper()))
    oracle.init_grid()
    np.testing.assert_array_equal(find_grid(name).values, oracle.grid[0, 0])


@pytest.mark.parametrize("name", SHAPES)
def test_codes_ascend_and_hold_the_levels_of_the_points(name):
    grid = find_grid(name)
    assert (np.diff(grid.codes.astype(int)) > 0).all()
    np.testing.assert_array_equal(np.array(grid.shape.steps)[levels_of(grid.codes, grid.shape)], grid.values)


@pytest.mark.parametrize("name", SHAPES)
def test_fault_36_every_index_that_its_bits_can_say_is_a_point(name):
    grid = find_grid(name)
    assert grid.values.shape == (1 << grid.shape.index_bits, grid.shape.width)


@pytest.mark.parametrize("name", TYPES)
def test_fault_36_an_index_never_reads_outside_the_grid(name):
    """Blocks of all ones, and every 16-bit pattern at every place of a block, give points of the grid."""
    quant = find_type(parse_type(name))
    patterns = np.arange(1 << 16, dtype="<u2")
    data = np.broadcast_to(patterns[:, None], (len(patterns), quant.n_bytes // 2)).copy().view(np.uint8)
    blocks = data.reshape(-1).view(quant.layout)
    if "d" in (quant.layout.names or ()):
        blocks["d"] = 1
    else:  # IQ1_M: d = 1, a nibble of it in each word of scales
        blocks["scales"] = blocks["scales"] & 0xFFF | np.array([0x0, 0x0, 0xC000, 0x3000], np.uint16)
    values = np.abs(dequantize(data, name))
    steps = np.abs(np.array(SHAPES[TYPES[name]].steps, np.float32))
    if TYPES[name] == "iq1":
        steps = np.array([0.125, 0.875, 1.125], np.float32)
    assert np.isfinite(values).all()
    assert values.max() <= steps.max() * 31


@pytest.mark.parametrize("name", SHAPES)
def test_a_grid_cannot_be_changed(name):
    grid = find_grid(name)
    with pytest.raises(ValueError, match="read-only"):
        grid.values[0] = 1
    assert find_grid(name) is grid


def test_the_eighth_sign_makes_the_minuses_even():
    signs = signs_of(EVEN_SIGNS[None]).reshape(128, 8)
    np.testing.assert_array_equal(signs.prod(axis=1), 1)
    np.testing.assert_array_equal(EVEN_SIGNS & 127, np.arange(128))


def test_signs_of_a_word_start_with_the_lowest_bits():
    word = np.array([[0b1111 << 28 | 0b0000011 << 21 | 0b1 << 7]], np.uint32)
    expected = np.ones(32, np.int8)
    expected[[8, 15, 24, 25]] = -1
    np.testing.assert_array_equal(signs_of_word(word)[0], expected)
