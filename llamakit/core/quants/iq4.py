"""The codebook of IQ4_NL and IQ4_XS, sixteen values closer together near zero, and the search for its scale."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from llamakit.core.quants.base import Bytes, Floats
from llamakit.core.quants.scales import FLAT, divide, peak, stretch, total

CODEBOOK = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.int8)
LOW, HIGH = (int(word) for word in (CODEBOOK ^ np.int8(-128)).view(np.int64))  # value + 128, for `look_up`

# All borders between neighbours are multiples of 1/2, so a table over floor(2 x) has the nearest; a tie goes up.
_BORDERS = (CODEBOOK[:-1].astype(np.float32) + CODEBOOK[1:]) / 2
_FIRST, _LAST = 2 * int(CODEBOOK[0]), 2 * int(CODEBOOK[-1])
_NEAREST = np.searchsorted(_BORDERS, np.arange(_FIRST, _LAST + 1) / 2, side="right").astype(np.uint8)
_NEAREST_VALUE = CODEBOOK[_NEAREST].astype(np.float32)


def nearest_codes(x: Floats) -> Bytes:
    """Index in the codebook of the value nearest to each x."""
    return _NEAREST[_slots(x)]


def fit_codebook(x: Floats, weights: Floats) -> Floats:
    """The scale of x = scale * value with least weighted square error, of 15 scales around the one that fits the peak.

    x, weights: (n, n_groups). Returns (n_groups,), zero in flat groups.
    """
    top = peak(x)
    lowest = int(CODEBOOK[0])

    def sums_at(inverse: Floats) -> tuple[Floats, Floats]:
        values = _NEAREST_VALUE[_slots(inverse * x)]
        weighted = weights * values
        return total(weighted * x), total(weighted * values)

    fits_peak: Floats = -top / np.float32(lowest)
    sum_vx, sum_v2 = sums_at(divide(1, fits_peak))
    scale = divide(sum_vx, sum_v2)
    best = scale * sum_vx
    for step in range(-7, 8):
        sum_vx, sum_v2 = sums_at(stretch(lowest, 1, step) / top)
        better = (sum_v2 > 0) & (sum_vx * sum_vx > best * sum_v2)
        scale = np.where(better, sum_vx / sum_v2, scale)
        best = np.where(better, scale * sum_vx, best)
    return np.where(np.abs(top) < FLAT, np.float32(0), scale)


def _slots(x: Floats) -> npt.NDArray[np.intp]:
    """Where the tables have their entry for x; for a NaN, that of zero."""
    twice = np.nan_to_num(np.floor(x * np.float32(2)), copy=False)
    slots: npt.NDArray[np.intp] = np.clip(twice, _FIRST, _LAST).astype(np.intp) - _FIRST
    return slots
