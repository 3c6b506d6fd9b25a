"""One head's key or value into a cell of the cache, and out of it."""

from __future__ import annotations

from llamakit.core.kernels.kv_cells import BLOCK, GROUP, CellType
from llamakit.core.simd.op import Helper, helper
from llamakit.core.simd.ops import less, max_lanes, narrow, select, to_float, to_int, vabs, view, vmax
from llamakit.core.simd.records import f16, f32, f32x16, i8, i8x16


@helper
def round_group(x, n_vectors):
    """Floats to whole numbers up to 127 in place; returns their step d = max |x| / 127.

    Rounds as ggml's q8_0: half away from zero, by the step before its own rounding to f16.
    """
    peak = f32x16(0.0)
    for i in range(n_vectors):
        peak = vmax(peak, vabs(x[i]))
    step = max_lanes(peak) / f32(127.0)
    inverse = f32(1.0) / step if step != f32(0.0) else f32(0.0)
    for i in range(n_vectors):
        scaled = x[i] * inverse
        x[i] = to_float(to_int(scaled + select(less(scaled, f32x16(0.0)), f32x16(-0.5), f32x16(0.5))))
    return step


def key_writer(cell: CellType) -> Helper:
    """store_key(head, keys, place, n): a key into column `place` of the transposed block; q8_0 rounds head in place."""
    element, has_scales = cell.element, cell.has_scales

    @helper
    def store_key(head, keys, place, n):
        if has_scales:
            scales = view(keys + n * BLOCK, f16)
            for first in range(0, n, GROUP):
                n_vectors = (min(n - first, GROUP) + 15) // 16
                scales[first // GROUP * BLOCK + place] = round_group(view(head + first, f32x16), n_vectors)
            quants = view(keys, i8)
            for d in range(n):
                quants[d * BLOCK + place] = i8(head[d])
        else:
            plain = view(keys, element)
            for d in range(n):
                plain[d * BLOCK + place] = head[d]

    return store_key


def value_writer(cell: CellType) -> Helper:
    """store_value(head, values, place, n): a value into row `place` of the block; q8_0 rounds head in place."""
    vector, has_scales = cell.vector, cell.has_scales

    @helper
    def store_value(head, values, place, n):
        n_vectors = (n + 15) // 16
        x = view(head, f32x16)
        if has_scales:
            scales = view(values + n_vectors * 16 * BLOCK, f16)
            for first in range(0, n_vectors, GROUP // 16):
                group = round_group(x + first, min(n_vectors - first, GROUP // 16))
                scales[first // (GROUP // 16) * BLOCK + place] = group
            rows = view(values, i8x16)
            for i in range(n_vectors):
                rows[place * n_vectors + i] = narrow(to_int(x[i]))
        else:
            plain = view(values, vector)
            for i in range(n_vectors):
                plain[place * n_vectors + i] = x[i]

    return store_value


def key_reader(cell: CellType) -> Helper:
    """read_key(head, keys, place, n): column `place` of the block as n floats, then zeros to a whole vector."""
    element, has_scales = cell.element, cell.has_scales

    @helper
    def read_key(head, keys, place, n):
        if n % 16 != 0:
            view(head, f32x16)[n // 16] = f32x16(0.0)
        scales = view(keys + n * BLOCK, f16)
        for d in range(n):
            x = f32(view(keys, element)[d * BLOCK + place])
            head[d] = x * scales[d // GROUP * BLOCK + place] if has_scales else x

    return read_key


def value_copier(cell: CellType) -> Helper:
    """copy_value(source, source_place, target, target_place, n): a row of one block to a row of another."""
    size, has_scales = cell.element.size, cell.has_scales

    @helper
    def copy_value(source, source_place, target, target_place, n):
        width = (n + 15) // 16 * 16
        row = width * size
        for i in range(row):
            target[target_place * row + i] = source[source_place * row + i]
        if has_scales:
            old, new = view(source + width * BLOCK, f16), view(target + width * BLOCK, f16)
            for group in range((n + GROUP - 1) // GROUP):
                new[group * BLOCK + target_place] = old[group * BLOCK + source_place]

    return copy_value
