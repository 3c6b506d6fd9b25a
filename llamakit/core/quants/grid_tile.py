"""What the tiles of the grid types share: from the index of a point and its signs to bytes.

With AVX-512 VBMI an index becomes a code of levels, two bytes that come each from a table in registers; one instruction
spreads the levels of a byte over the four bytes of a lane, one more the signs beside them, and a look-up makes the
value of both. Elsewhere four values at a time are read from memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from llamakit.core.quants.grids import SHAPES, find_grid, levels_of
from llamakit.core.simd.op import Table, inlined
from llamakit.core.simd.ops import (
    bytes_to_float0,
    bytes_to_float1,
    bytes_to_float2,
    bytes_to_float3,
    entries,
    gather_i32,
    look_up,
    look_up_large,
    spread,
    view,
)
from llamakit.core.simd.records import i32
from llamakit.core.simd.target import host_target


def sixteen(numbers: list[int]) -> tuple[int, int]:
    """A table of up to sixteen bytes as the two numbers that `look_up` takes."""
    low, high = np.array(numbers + [0] * (16 - len(numbers)), np.uint8).view(np.int64)
    return int(low), int(high)


def code_tables(grid: str) -> tuple[Table, Table]:
    """The lower and the upper half of each point's levels: four levels of 2 bits a byte, or two of 4 bits."""
    shape = SHAPES[grid]
    n_levels = shape.width // 2

    def half(i: int) -> Table:
        def make() -> bytes:
            levels = levels_of(find_grid(grid).codes, shape)[:, i * n_levels :][:, :n_levels]
            shifts = 8 // n_levels * np.arange(n_levels, dtype=np.uint8)
            return bytes(np.bitwise_or.reduce(levels << shifts, axis=1))

        return Table(1 << shape.index_bits, make)

    return half(0), half(1)


def value_tables(grid: str, bias: int) -> tuple[Table, ...]:
    """Values of each point plus `bias`, four of them to a table."""
    shape = SHAPES[grid]

    def four(i: int) -> Table:
        return Table(4 << shape.index_bits, lambda: (find_grid(grid).values[:, i : i + 4] + np.int8(bias)).tobytes())

    return tuple(four(i) for i in range(0, shape.width, 4))


_ODD_LOW, _ODD_HIGH = sixteen([0x80 * (i.bit_count() % 2) for i in range(16)])


@inlined
def even_signs(sevens):
    """Seven signs in each byte: the eighth makes the number of minus signs even."""
    low = look_up(sevens & 0x0F0F0F0F, _ODD_LOW, _ODD_HIGH)
    high = look_up((sevens >> 4) & 0x07070707, _ODD_LOW, _ODD_HIGH)
    return sevens | (low ^ high)


def index_reader(grid: str) -> Any:
    """The helper that takes indices from the bytes at bit `place` of `low`, bits 0-7, and of `high`, all above."""
    mask = (1 << SHAPES[grid].index_bits) - 1

    @inlined
    def index_at(low, high, place):
        return (((low >> place) & 255) | ((high >> place) << 8)) & mask

    return index_at


def signed(bias: int) -> Any:
    """The helper that turns bytes bias + v into bias - v where `minus`, 0 or 1 in each byte, is set."""
    n_bits = bias.bit_length()  # 2 bias - (bias + v) is the complement plus one

    @inlined
    def turn(values, minus):
        return (values ^ ((minus << n_bits) - minus)) + minus

    return turn


def points_of_8(grid: str, bias: int) -> Any:
    """The helper that leaves 32 values, q[0] .. q[7], plus `bias`.

    Byte e of `low`, `high` and `signs` is of eight values: bits 0-7 of the index, its higher bits, the signs. With
    `are_crossed`, eights 1 and 2 lie in bytes 2 and 1.
    """
    first, second = code_tables(grid)
    first_values, second_values = value_tables(grid, bias)
    steps, turn, index_at = SHAPES[grid].steps, signed(bias), index_reader(grid)
    values_low, values_high = sixteen([bias + s for s in steps] + [0] * (4 - len(steps)) + [bias - s for s in steps])

    @inlined
    def by_codes(low, high, signs, are_crossed, q):
        low, high = look_up_large(first, low, high), look_up_large(second, low, high)
        for e in range(4):
            place = 8 * ((e >> 1) | ((e & 1) << 1)) if are_crossed else 8 * e
            one = spread(low, place, 2, 2, 0) | spread(signs, place, 1, 1, 2)
            two = spread(high, place, 2, 2, 0) | spread(signs, place + 4, 1, 1, 2)
            q[2 * e], q[2 * e + 1] = look_up(one, values_low, values_high), look_up(two, values_low, values_high)

    @inlined
    def by_values(low, high, signs, are_crossed, q):
        for e in range(4):
            place = 8 * ((e >> 1) | ((e & 1) << 1)) if are_crossed else 8 * e
            index = index_at(low, high, place)
            one = gather_i32(view(entries(first_values), i32), index)
            two = gather_i32(view(entries(second_values), i32), index)
            q[2 * e] = turn(one, spread(signs, place, 1, 1, 0))
            q[2 * e + 1] = turn(two, spread(signs, place + 4, 1, 1, 0))

    return by_codes if host_target().has_vbmi else by_values


def points_of_4(grid: str, bias: int) -> Any:
    """The helper that leaves 16 values, q[0] .. q[3], plus `bias`.

    Byte i of `low` and `high` is of four values: bits 0-7 of the index, its higher bits. Their signs are bits
    first_sign + 4 i and the next three of `signs`.
    """
    first, second = code_tables(grid)
    (values,) = value_tables(grid, bias)
    steps, turn, index_at = SHAPES[grid].steps, signed(bias), index_reader(grid)
    values_low, values_high = sixteen([bias + s for s in steps] + [bias - s for s in steps])

    @inlined
    def by_codes(low, high, signs, first_sign, q):
        low, high = look_up_large(first, low, high), look_up_large(second, low, high)
        even = (low & 0x00FF00FF) | ((high & 0x00FF00FF) << 8)
        odd = ((low >> 8) & 0x00FF00FF) | (high & 0xFF00FF00)
        for i in range(2):
            sign = first_sign + 8 * i
            one = spread(even, 16 * i, 4, 3, 0) | spread(signs, sign, 1, 1, 3)
            two = spread(odd, 16 * i, 4, 3, 0) | spread(signs, sign + 4, 1, 1, 3)
            q[2 * i], q[2 * i + 1] = look_up(one, values_low, values_high), look_up(two, values_low, values_high)

    @inlined
    def by_values(low, high, signs, first_sign, q):
        for i in range(4):
            point = gather_i32(view(entries(values), i32), index_at(low, high, 8 * i))
            q[i] = turn(point, spread(signs, first_sign + 4 * i, 1, 1, 0))

    return by_codes if host_target().has_vbmi else by_values


def ternary_points() -> Any:
    """The helper that leaves the 32 values of four points of grid "iq1", plus 1: as `points_of_8`, without signs."""
    first, second = code_tables("iq1")
    first_values, second_values = value_tables("iq1", 1)
    index_at = index_reader("iq1")

    @inlined
    def by_codes(low, high, q):
        low, high = look_up_large(first, low, high), look_up_large(second, low, high)
        for e in range(4):
            q[2 * e], q[2 * e + 1] = spread(low, 8 * e, 2, 2, 0), spread(high, 8 * e, 2, 2, 0)

    @inlined
    def by_values(low, high, q):
        for e in range(4):
            index = index_at(low, high, 8 * e)
            q[2 * e] = gather_i32(view(entries(first_values), i32), index)
            q[2 * e + 1] = gather_i32(view(entries(second_values), i32), index)

    return by_codes if host_target().has_vbmi else by_values


@inlined
def scales_by_16(step, words, d):
    """d[k] = step * (nibble k + 1/2), k < 16, of bytes 0-7 of 16 rows: 16 rows' first, 16 rows' second, ..."""
    for w in range(2):
        low, high = words[w] & 0x0F0F0F0F, (words[w] >> 4) & 0x0F0F0F0F
        d[8 * w], d[8 * w + 1] = step * (bytes_to_float0(low) + 0.5), step * (bytes_to_float0(high) + 0.5)
        d[8 * w + 2], d[8 * w + 3] = step * (bytes_to_float1(low) + 0.5), step * (bytes_to_float1(high) + 0.5)
        d[8 * w + 4], d[8 * w + 5] = step * (bytes_to_float2(low) + 0.5), step * (bytes_to_float2(high) + 0.5)
        d[8 * w + 6], d[8 * w + 7] = step * (bytes_to_float3(low) + 0.5), step * (bytes_to_float3(high) + 0.5)
