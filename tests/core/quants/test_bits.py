from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.quants.bits import unpack
from llamakit.core.quants.k_scales import unpack_scales


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


def test_six_bit_scales_lie_where_the_format_says():
    packed = [0xBF, 0, 0, 0, 0, 0xC1, 0, 0, 0x0A, 0xC0, 0, 0]
    scales, mins = unpack_scales(np.array([packed], np.uint8))
    np.testing.assert_array_equal(scales, [[0x3F, 0, 0, 0, 0x2A, 0, 0, 0]])
    np.testing.assert_array_equal(mins, [[0, 1, 0, 0, 0, 0x3C, 0, 0]])
