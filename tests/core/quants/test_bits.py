from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.quants.bits import pack, unpack
from llamakit.core.quants.k_scales import pack_scales, unpack_scales


@pytest.mark.parametrize(
    "n_bits, run, packed, values",
    [
        (4, 1, [0x21, 0x43], [1, 2, 3, 4]),
        (4, 2, [0x21, 0x43], [1, 3, 2, 4]),
        (2, 1, [0b11_10_01_00], [0, 1, 2, 3]),
        (2, 2, [0b11_10_01_00, 0b00_01_10_11], [0, 3, 1, 2, 2, 1, 3, 0]),
        (1, 1, [0b1000_0001, 0b10], [1, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0]),
    ],
)
def test_the_first_run_lies_in_the_lowest_bits(n_bits, run, packed, values):
    np.testing.assert_array_equal(unpack(np.array([packed], np.uint8), n_bits, run), [values])
    np.testing.assert_array_equal(pack(np.array([values], np.uint8), n_bits, run), [packed])


@pytest.mark.parametrize("n_bits, run", [(4, 16), (4, 32), (4, 64), (2, 32), (2, 4), (1, 32), (1, 1)])
def test_packing_undoes_unpacking(n_bits, run):
    packed = np.random.default_rng(0).integers(0, 256, (5, 128), np.uint8)
    np.testing.assert_array_equal(pack(unpack(packed, n_bits, run), n_bits, run), packed)


def test_six_bit_scales_lie_where_the_format_says():
    scales = np.array([[0x3F, 0, 0, 0, 0x2A, 0, 0, 0]], np.uint8)
    mins = np.array([[0, 1, 0, 0, 0, 0x3C, 0, 0]], np.uint8)
    packed = [0xBF, 0, 0, 0, 0, 0xC1, 0, 0, 0x0A, 0xC0, 0, 0]
    np.testing.assert_array_equal(pack_scales(scales, mins), [packed])
    got_scales, got_mins = unpack_scales(np.array([packed], np.uint8))
    np.testing.assert_array_equal(got_scales, scales)
    np.testing.assert_array_equal(got_mins, mins)


def test_packing_six_bit_scales_undoes_unpacking():
    packed = np.random.default_rng(1).integers(0, 256, (50, 12), np.uint8)
    np.testing.assert_array_equal(pack_scales(*unpack_scales(packed)), packed)
