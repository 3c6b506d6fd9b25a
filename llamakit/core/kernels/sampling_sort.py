"""Sorting candidates, and no more of them than will stay."""

from __future__ import annotations

from llamakit.core.kernels.candidates import LOWEST, Candidates, count_blocks, end_at
from llamakit.core.kernels.kernel import kernel
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import max_lanes, registers, view, vmax
from llamakit.core.simd.records import Ptr, Record, f32, f32x16, i32, i64

LOW_HALF = 0xFFFFFFFF
SIGN = 0x7FFFFFFF


@helper
def sort_key(bits, low):
    """A larger float gives a smaller upper half, -0 that of 0.   bits: the float's, as int32; low: what goes along"""
    rank = SIGN - bits if bits >= 0 else bits + LOW_HALF
    return (rank << 32) | low


@helper
def float_bits(key):
    """The bits of a key's float."""
    rank = (key >> 32) & LOW_HALF
    return SIGN - rank if rank <= SIGN else rank - LOW_HALF


@helper
def sort(keys, spare, n):
    """Radix sort by the upper halves, ascending; equal ones keep their order."""
    starts = registers(i64, 256)
    for shift in range(32, 64, 8):
        for digit in range(256):
            starts[digit] = 0
        for i in range(n):
            starts[(keys[i] >> shift) & 255] += 1
        start = 0
        for digit in range(256):
            count = starts[digit]
            starts[digit] = start
            start += count
        for i in range(n):
            digit = (keys[i] >> shift) & 255
            spare[starts[digit]] = keys[i]
            starts[digit] += 1
        keys, spare = spare, keys


@helper
def collect(c, floor):
    """Keys of the candidates with logit >= floor, in their order, but never those of -inf; returns how many."""
    floor = max(floor, f32(LOWEST))
    bits = view(c.logits, i32)
    n = 0
    for block in range(count_blocks(c.n)):
        x = view(c.logits + 64 * block, f32x16)
        if max_lanes(vmax(vmax(x[0], x[1]), vmax(x[2], x[3]))) >= floor:
            for i in range(64 * block, min(64 * block + 64, c.n)):
                if c.logits[i] >= floor:
                    c.keys[n] = sort_key(bits[i], c.ids[i])
                    n += 1
    return n


@helper
def keep(c, n, is_sorted):
    """The first n keys are the candidates now."""
    bits = view(c.logits, i32)
    for i in range(n):
        bits[i] = float_bits(c.keys[i])
        c.kept_ids[i] = c.keys[i] & LOW_HALF
    c.ids, c.is_whole, c.is_sorted = c.kept_ids, 0, is_sorted
    end_at(c, n)


@helper
def floor_of_k(c, k):
    """A logit that at least k candidates reach, and few more.

    The k-th largest of the column maxima: a column is every 16th of up to 1024 candidates, so a vector holds 16 maxima.
    """
    n_vectors = (c.n + 15) // 16
    length = max(1, min(64, n_vectors * 4 // max(k, 1)))  # of a column: there are four times as many as needed
    n_spans = (n_vectors + length - 1) // length
    if k > 16 * n_spans:
        return f32(LOWEST)
    x, maxima = view(c.logits, f32x16), view(c.weights, f32x16)
    for span in range(n_spans):
        top = x[length * span]
        for i in range(length * span + 1, min(length * span + length, n_vectors)):
            top = vmax(top, x[i])
        maxima[span] = top
    bits = view(c.weights, i32)
    for i in range(16 * n_spans):
        c.keys[i] = sort_key(bits[i], i)
    sort(c.keys, c.spare_keys, 16 * n_spans)
    return c.weights[c.keys[k - 1] & LOW_HALF]


@helper
def keep_largest(c, k):
    """The k largest in descending order, those of -inf last."""
    k = min(k, c.n)
    n = collect(c, floor_of_k(c, k))
    sort(c.keys, c.spare_keys, n)
    keep(c, add_banned(c, min(n, k), k), 1)


@helper
def sort_all(c):
    """All in descending order."""
    if c.is_sorted == 0:
        n = collect(c, f32(LOWEST))
        sort(c.keys, c.spare_keys, n)
        keep(c, add_banned(c, n, c.n), 1)


@helper
def add_banned(c, n, wanted):
    """As many keys of candidates of -inf behind n others as are there, `wanted` keys at most; returns how many now."""
    bits, i = view(c.logits, i32), 0
    while n < wanted and i < c.n:
        if c.logits[i] < LOWEST:
            c.keys[n] = sort_key(bits[i], c.ids[i])
            n += 1
        i += 1
    return n


class Sort(Record):
    candidates: Ptr[Candidates]


@kernel(Sort)
def descending(op, thread, n_threads):
    """All candidates by logit, descending; of equal ones the lower ids first"""
    sort_all(op.candidates)
