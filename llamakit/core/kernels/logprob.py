"""What perplexity asks of rows of logits: the sums of their softmax, rows packed into 16 bits, and how far two differ.

A packed row is that of llama.cpp's files of base log-probabilities: two floats, scale and the least log-probability,
then a number q of 16 bits a token: ln p = scale * q + least.
"""

from __future__ import annotations

from llamakit.core.kernels.activation import exp
from llamakit.core.kernels.kernel import kernel, share
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import (
    even_lanes,
    fma,
    interleave_high,
    interleave_low,
    lane_numbers,
    less,
    max_lanes,
    odd_lanes,
    registers,
    select,
    sum_lanes,
    to_float,
    to_int,
    view,
    vmax,
    vmin,
    vround,
)
from llamakit.core.simd.records import Ptr, Record, f32, f32x16, i16, i32, i32x16, i64

INFINITY = float("inf")
RUN = 64  # vectors whose sum is kept in floats, before it is added to a double
HEADER = 4  # 16-bit words before the numbers of a packed row
LEAST = -16.0  # tokens below this log-probability in the base do not count for a divergence


class Rows(Record):
    """Rows of n_vocab logits, `pitch` floats apart, a multiple of 16; what lies between rows is not used."""

    logits: Ptr[f32]
    pitch: i64
    n_rows: i64
    n_vocab: i64


class Sums(Rows):
    tops: Ptr[f32]  # (n_rows,): the largest logit
    lows: Ptr[f32]  # (n_rows,): the smallest
    totals: Ptr[f32]  # (n_rows,): sum of e^(l - top)


class Packing(Rows):
    lows: Ptr[f32]  # (n_rows,): the logit that becomes 0
    inverses: Ptr[f32]  # (n_rows,): 1 / scale, or 0
    packed: Ptr[i16]  # (n_rows, n_words): the header is left alone
    n_words: i64


class Divergence(Rows):
    packed: Ptr[i16]  # (n_rows, n_words), and 64 bytes after the last
    n_words: i64
    tops: Ptr[f32]  # (n_rows,): the largest logit
    normalizers: Ptr[f32]  # (n_rows,): ln of sum of e^l
    divergences: Ptr[f32]  # (n_rows,)
    best: Ptr[i32]  # (n_rows,): the first token with the largest logit
    best_base: Ptr[i32]  # (n_rows,): the first of the base's most likely


@helper
def inside(i, n):
    """Which lanes of vector i are among the first n numbers?"""
    return less(lane_numbers(), f32x16(f32(n - 16 * i)))


@kernel(Sums)
def sums(op, thread, n_threads):
    """top = max l, low = min l, total = sum of e^(l - top); NaN where a logit is NaN or +inf, or all are -inf"""
    first, last = share(op.n_rows, thread, n_threads)
    n, n_vectors = op.n_vocab, (op.n_vocab + 15) // 16
    for row in range(first, last):
        x = view(op.logits + row * op.pitch, f32x16)
        fill = f32x16(op.logits[row * op.pitch])
        top, low = fill, fill
        for i in range(n_vectors):
            value = select(inside(i, n), x[i], fill)
            top, low = vmax(top, value), vmin(low, value)
        largest = max_lanes(top)
        total = 0.0
        for start in range(0, n_vectors, RUN):
            part = f32x16(0)
            for i in range(start, min(start + RUN, n_vectors)):
                part += select(inside(i, n), exp(x[i] - largest), f32x16(0))
            total += float(sum_lanes(part))
        op.tops[row], op.lows[row], op.totals[row] = largest, -max_lanes(f32x16(0) - low), f32(total)


@kernel(Packing)
def pack(op, thread, n_threads):
    """q = (l - low) / scale, to the nearest integer, halves to even; 0 below low"""
    first, last = share(op.n_rows, thread, n_threads)
    n = op.n_vocab
    for row in range(first, last):
        x = view(op.logits + row * op.pitch, f32x16)
        packed = op.packed + (row * op.n_words + HEADER)
        low, inverse = f32x16(op.lows[row]), f32x16(op.inverses[row])
        words = view(packed, i32x16)
        for i in range(n // 32):
            words[i] = pack_words(x[2 * i], x[2 * i + 1], low, inverse)
        done = n // 32 * 32
        if done < n:  # word by word: the next row may be another thread's
            second = x[done // 16 + 1] if done + 16 < n else low
            rest = registers(i32x16, 1)
            rest[0] = pack_words(x[done // 16], second, low, inverse)
            for i in range(n - done):
                packed[done + i] = view(rest, i16)[i]


@helper
def pack_words(x, y, low, inverse):
    """The numbers of 32 logits, two in each lane."""
    x, y = numbers(x, low, inverse), numbers(y, low, inverse)
    return to_int(even_lanes(x, y)) | to_int(odd_lanes(x, y)) << 16


@helper
def numbers(x, low, inverse):
    return select(less(low, x), vround(inverse * (x - low)), f32x16(0))


@kernel(Divergence)
def divergence(op, thread, n_threads):
    """sum of p_base (ln p_base - ln p) over tokens to which the base gives more than e^-16; both rows' best token"""
    first, last = share(op.n_rows, thread, n_threads)
    n = op.n_vocab
    n_pairs = (n + 31) // 32
    for row in range(first, last):
        logits, packed = op.logits + row * op.pitch, op.packed + row * op.n_words
        x, q = view(logits, f32x16), view(packed + HEADER, i32x16)
        header = view(packed, f32)
        scale, least = f32x16(header[0]), f32x16(header[1])
        normalizer = f32x16(op.normalizers[row])
        total, top = 0.0, f32x16(-1)
        for start in range(0, n_pairs, RUN // 2):
            part = f32x16(0)
            for i in range(start, min(start + RUN // 2, n_pairs)):
                even, odd = to_float(q[i] & 0xFFFF), to_float(q[i] >> 16)
                low = select(inside(2 * i, n), interleave_low(even, odd), f32x16(-1))
                top = vmax(top, low)
                part += terms(x[2 * i], fma(low, scale, least), low, normalizer)
                if 32 * i + 16 < n:
                    high = select(inside(2 * i + 1, n), interleave_high(even, odd), f32x16(-1))
                    top = vmax(top, high)
                    part += terms(x[2 * i + 1], fma(high, scale, least), high, normalizer)
            total += float(sum_lanes(part))
        op.divergences[row] = f32(total)
        op.best[row] = first_equal(logits, n, op.tops[row])
        largest = i64(max_lanes(top))
        token = 0
        while token < n - 1 and i64(packed[HEADER + token]) & 0xFFFF != largest:
            token += 1
        op.best_base[row] = token


@helper
def terms(x, base, q, normalizer):
    """p_base (ln p_base - ln p), 0 where the base gives too little and where q says that there is no token"""
    term = exp(base) * (base - x + normalizer)
    term = select(less(f32x16(LEAST), base), term, f32x16(0))
    return select(less(q, f32x16(0)), f32x16(0), term)


@helper
def first_equal(x, n, value):
    """The first i with x[i] = value; -1 if there is none."""
    for i in range(n):
        if x[i] == value:
            return i
    return -1
