"""Rows sorted by the expert they take, so that an expert's weights are read once for all its rows."""

from __future__ import annotations

from llamakit.core.kernels.kernel import kernel, share
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import is_null, view
from llamakit.core.simd.records import Ptr, Record, f32, f32x16, i32, i64

EMPTY = -1  # a slot without a row


class ExpertRows(Record):
    """The rows that take one expert, side by side; the first of them begins a tile."""

    constant = False
    expert: i64
    first: i64  # slot
    n_rows: i64


class Grouping(Record):
    """Which rows take which expert. Those of an expert that has too few are lone: they are multiplied one by one."""

    constant = False
    n_experts: i64  # that have rows
    n_slots: i64
    n_together: i64  # rows in slots
    n_lone: i64
    experts: Ptr[ExpertRows]  # (n_experts + 1,), ascending; the last one's `first` is n_slots
    slots: Ptr[i32]  # (n_slots,): the row, or EMPTY
    lone: Ptr[i32]  # (n_lone,): rows, ascending


class SortRows(Record):
    """Fills a grouping: every expert's rows keep their order, and fill tiles of n_tile slots."""

    chosen: Ptr[i32]  # (n_rows,): the expert of each row
    n_rows: Ptr[i64]
    ends: Ptr[i64]  # (n_expert,): where an expert's next row goes, or EMPTY
    out: Ptr[Grouping]
    n_expert: i64
    n_tile: i64
    n_least: i64  # rows of an expert that are worth a tile


@kernel(SortRows)
def sort(op, thread, n_threads):
    if thread != 0:
        return
    out, ends, n_rows = op.out, op.ends, op.n_rows[0]
    for e in range(op.n_expert):
        ends[e] = 0
    for row in range(n_rows):
        ends[op.chosen[row]] += 1
    n_experts, n_slots, n_lone = 0, 0, 0
    for e in range(op.n_expert):
        n = ends[e]
        ends[e] = EMPTY
        if n >= op.n_least:
            taken = out.experts + n_experts
            taken.expert, taken.first, taken.n_rows = e, n_slots, n
            ends[e] = n_slots
            n_experts += 1
            n_slots += (n + op.n_tile - 1) // op.n_tile * op.n_tile
    (out.experts + n_experts).first = n_slots
    for slot in range(n_slots):
        out.slots[slot] = i32(EMPTY)
    for row in range(n_rows):
        e = op.chosen[row]
        if ends[e] == EMPTY:
            out.lone[n_lone] = i32(row)
            n_lone += 1
        else:
            out.slots[ends[e]] = i32(row)
            ends[e] += 1
    out.n_experts, out.n_slots, out.n_together, out.n_lone = n_experts, n_slots, n_rows - n_lone, n_lone


class GatherRows(Record):
    """out[slot] = x[row // x_share]; what empty slots hold does not matter."""

    x: Ptr[f32]
    out: Ptr[f32]  # (n_slots, pitch)
    grouping: Ptr[Grouping]
    pitch: i64  # of out: at most that of x
    x_pitch: i64
    x_share: i64


@kernel(GatherRows)
def gather(op, thread, n_threads):
    first, last = share(op.grouping.n_slots, thread, n_threads)
    for slot in range(first, last):
        row = op.grouping.slots[slot]
        if row != EMPTY:
            x, out = view(op.x + row // op.x_share * op.x_pitch, f32x16), view(op.out + slot * op.pitch, f32x16)
            for i in range(op.pitch // 16):
                out[i] = x[i]


@helper
def n_matrices(op):
    """Matrices that a product of many rows has to do with: one, or those of experts that have rows."""
    return 1 if is_null(op.grouping) != 0 else op.grouping.n_experts


@helper
def rows_of(op, i):
    """The i-th matrix's expert, and its rows: their first slot and number."""
    if is_null(op.grouping) != 0:
        return 0, 0, op.n_rows[0]
    taken = op.grouping.experts + i
    return taken.expert, taken.first, taken.n_rows


@helper
def row_at(op, slot):
    """The row of the result, or EMPTY."""
    return slot if is_null(op.grouping) != 0 else i64(op.grouping.slots[slot])


@helper
def share_of_matrix(op, i, n, thread, n_threads):
    """This thread's part [first, last) of the i-th matrix's n units.

    All experts' units are shared out as one row of work, in which a unit counts as much as its expert has slots.
    """
    if is_null(op.grouping) != 0:
        return share(n, thread, n_threads)
    taken = op.grouping.experts + i
    before, n_slots = n * taken.first, (taken + 1).first - taken.first
    first, last = share(n * op.grouping.n_slots, thread, n_threads)
    return clipped(first - before, n_slots, n), clipped(last - before, n_slots, n)


@helper
def clipped(work, n_slots, n):
    """Units that begin before so much work is done, of n."""
    return max(0, min(n, (work + n_slots - 1) // n_slots))


@helper
def lone_row(op, i):
    """The i-th row of those that are multiplied one by one: of all, or of the lone ones."""
    return i if is_null(op.grouping) != 0 else i64(op.grouping.lone[i])
