"""The table by which kernels find the point of a grid nearest to some levels: ready-made lists of its neighbours."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from llamakit.core.quants.base import Bytes
from llamakit.core.quants.grids import find_grid, levels_of

LANES = 16
KEYS = 512  # whose distances are computed at once

# How many distinct distances a list holds, the smallest ones, as ggml has it.
N_DISTANCES = {"iq1": 3, "iq2_xxs": 2, "iq2_xs": 2, "iq2_s": 1, "iq3_xxs": 2, "iq3_s": 3}


@cache
def search_table(name: str) -> Bytes:
    """The points for every combination of levels, whose key has the first level as its lowest digit.

    32-bit integers: an entry for each key, filled up to whole vectors. Of levels in the grid it is their point: its
    index times 2^16, plus its code. Otherwise it is ~(first * 256 + n): the neighbours are n vectors, from vector
    `first` after the entries on; points by distance, then by index, the last repeated to fill the vector.
    """
    grid = find_grid(name)
    n_levels, width = len(grid.shape.steps), grid.shape.width
    digits = n_levels ** np.arange(width)
    point_levels = levels_of(grid.codes, grid.shape)
    points = np.arange(len(grid.codes), dtype=np.int32) << 16 | grid.codes
    entries = np.full(-(-int(n_levels**width) // LANES) * LANES, -1, np.int32)
    entries[(point_levels * digits).sum(axis=1)] = points
    missing = np.flatnonzero(entries[: n_levels**width] < 0)
    lists = []
    n_vectors = 0
    for start in range(0, len(missing), KEYS):
        keys = missing[start : start + KEYS]
        levels = (keys[:, None] // digits % n_levels).astype(np.float32)
        found, counts = neighbours(squared_distances(levels, point_levels.astype(np.float32)), N_DISTANCES[name])
        sizes = -(-counts // LANES)
        firsts = n_vectors + np.cumsum(sizes) - sizes
        entries[keys] = ~(firsts << 8 | sizes)
        lists.append(points[fill_vectors(found, counts, sizes)])
        n_vectors += int(sizes.sum())
    return np.concatenate([entries, *lists]).view(np.uint8)


def squared_distances(levels: npt.NDArray[np.float32], points: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """(n, width), (n_points, width) -> (n, n_points)"""
    squares = (levels**2).sum(axis=1)[:, None] + (points**2).sum(axis=1)
    distances: npt.NDArray[np.float32] = squares - 2 * levels @ points.T
    return distances.astype(np.uint8)


def neighbours(distances: npt.NDArray[np.uint8], n_distances: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The points at the smallest `n_distances` distances of each row, nearest first; and their number in each row."""
    limit = distances.min(axis=1, keepdims=True)
    for _ in range(n_distances - 1):
        limit = np.where(distances > limit, distances, np.uint8(255)).min(axis=1, keepdims=True)
    rows, points = np.nonzero(distances <= limit)
    order = np.lexsort((distances[rows, points], rows))  # stable: points ascend within a distance
    return points[order], np.bincount(rows, minlength=len(distances))


def fill_vectors(
    found: npt.NDArray[np.intp], counts: npt.NDArray[np.intp], sizes: npt.NDArray[np.intp]
) -> npt.NDArray[np.intp]:
    """Lists one after the other, `counts` long, each filled up to `sizes` vectors with its last."""
    starts = np.repeat(np.cumsum(counts) - counts, sizes * LANES)
    places = np.arange(int(sizes.sum()) * LANES) - np.repeat((np.cumsum(sizes) - sizes) * LANES, sizes * LANES)
    filled: npt.NDArray[np.intp] = found[starts + np.minimum(places, np.repeat(counts, sizes * LANES) - 1)]
    return filled
