"""Sampling stages that change logits, and the two that choose: in between, `sampling_select` drops candidates."""

from __future__ import annotations

from llamakit.core.kernels.candidates import (
    INFINITY,
    LOWEST,
    Candidates,
    Noise,
    Recent,
    choose,
    count_blocks,
    end_at,
    largest,
    safe_shift,
    uniform,
    weigh,
)
from llamakit.core.kernels.kernel import kernel
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import less, max_lanes, select, sum_lanes_i32, view, vmax
from llamakit.core.simd.records import Ptr, Record, f32, f32x16, i32, i32x16, i64


class Begin(Record):
    candidates: Ptr[Candidates]
    logits: Ptr[f32]  # (n_vocab,), read only


@kernel(Begin)
def begin(op, thread, n_threads):
    """Every token is a candidate.  chosen = 0, or -1 when a logit is NaN or +inf, or all are -inf"""
    c = op.candidates
    n_vectors = c.n_vocab // 16
    source, logits = view(op.logits, f32x16), view(c.logits, f32x16)
    good, top = i32x16(-1), f32x16(-INFINITY)
    for i in range(n_vectors):
        x = source[i]
        logits[i] = x
        good = good & less(x, f32x16(INFINITY))  # false for NaN too
        top = vmax(top, x)
    is_good, best = sum_lanes_i32(good) == -16, max_lanes(top)
    for i in range(16 * n_vectors, c.n_vocab):
        last = op.logits[i]
        c.logits[i] = last
        is_good, best = is_good and last < INFINITY, max(best, last)
    c.ids, c.is_whole, c.is_sorted = c.all_ids, 1, 0
    c.chosen = 0 if is_good and best > -INFINITY else -1
    end_at(c, c.n_vocab)


class Allow(Record):
    candidates: Ptr[Candidates]
    words: Ptr[i32]  # bit t % 32 of word t // 32: may token t come next?
    shifts: Ptr[i32]  # 31, 30, ... 16: they move each of a word's low 16 bits to the sign


@kernel(Allow)
def allow(op, thread, n_threads):
    """l = -inf for the tokens whose bit is 0, before any candidate was dropped"""
    c = op.candidates
    logits, shifts = view(c.logits, f32x16), view(op.shifts, i32x16)[0]
    for i in range((c.n_vocab + 15) // 16):
        bits = i32x16(op.words[i // 2] >> 16 * (i % 2)) << shifts
        logits[i] = select(bits, logits[i], f32x16(-INFINITY))


class Bias(Record):
    candidates: Ptr[Candidates]
    tokens: Ptr[i32]
    values: Ptr[f32]
    n: i64


@kernel(Bias)
def bias(op, thread, n_threads):
    """l += b for the given tokens, before any candidate was dropped"""
    logits = op.candidates.logits
    for i in range(op.n):
        logits[op.tokens[i]] += op.values[i]


class Penalties(Record):
    """Each token of the vocabulary is `counts` times among the last `window` tokens; a window below 0 is all tokens."""

    candidates: Ptr[Candidates]
    recent: Ptr[Recent]
    window: i64
    counts: Ptr[i32]
    exempt: i64  # a token that is not penalized, or -1
    repeat: f32
    frequency: f32
    presence: f32


@helper
def penalized(op, logit, count):
    logit = logit / op.repeat if logit > 0 else logit * op.repeat
    return min(logit - (f32(count) * op.frequency + op.presence), f32(-LOWEST))  # never infinite


@kernel(Penalties)
def penalties(op, thread, n_threads):
    """l = l / repeat if l > 0 else l * repeat;  l -= count * frequency + presence.   For tokens with a count"""
    c, tokens, n = op.candidates, op.recent.tokens, op.recent.n
    if c.is_whole == 1:
        first = max(0, n - op.window) if op.window >= 0 else 0
        for i in range(first, n):
            token = tokens[i]
            count = op.counts[token]
            if count > 0 and token != op.exempt:
                c.logits[token] = penalized(op, c.logits[token], count)
                op.counts[token] = -count  # done: a token that is there twice is penalized once
        for i in range(first, n):
            op.counts[tokens[i]] = abs(op.counts[tokens[i]])
    else:
        for i in range(c.n):
            count = op.counts[c.ids[i]]
            if count > 0 and c.ids[i] != op.exempt:
                c.logits[i] = penalized(op, c.logits[i], count)
    c.is_sorted = 0


class Temperature(Record):
    candidates: Ptr[Candidates]
    value: f32


@kernel(Temperature)
def temperature(op, thread, n_threads):
    """l = l / t, or (l - largest) / t where t is so small that l / t would overflow"""
    c = op.candidates
    logits = view(c.logits, f32x16)
    shift = f32x16(safe_shift(largest(c), op.value))
    for i in range(4 * count_blocks(c.n)):
        logits[i] = (logits[i] - shift) / op.value


class Choose(Record):
    candidates: Ptr[Candidates]


@kernel(Choose)
def greedy(op, thread, n_threads):
    """The first candidate with the largest logit is the only one left"""
    c = op.candidates
    top = largest(c)
    c.chosen = -1
    for block in range(count_blocks(c.n)):
        x = view(c.logits + 64 * block, f32x16)
        if max_lanes(vmax(vmax(x[0], x[1]), vmax(x[2], x[3]))) == top:
            for i in range(64 * block, min(64 * block + 64, c.n)):
                if c.logits[i] == top and top > -INFINITY:
                    c.chosen = c.ids[i]
                    c.logits[0], c.kept_ids[0] = f32(0), c.chosen
                    c.ids, c.is_whole, c.is_sorted = c.kept_ids, 0, 1
                    end_at(c, 1)
                    return


@kernel(Choose)
def likeliest(op, thread, n_threads):
    """The first candidate with the largest logit; the others stay, for their scores to be told"""
    c = op.candidates
    top = largest(c)
    c.chosen = -1
    for i in range(c.n):
        if c.logits[i] == top and top > -INFINITY:
            c.chosen = c.ids[i]
            return


class Draw(Record):
    candidates: Ptr[Candidates]
    noise: Ptr[Noise]


@kernel(Draw)
def draw(op, thread, n_threads):
    """The first i of probability > 0 with p_0 + ... + p_i >= u.   p: softmax, u: uniform in [0, 1)"""
    c = op.candidates
    i = choose(c, uniform(op.noise) * weigh(c))
    c.chosen = c.ids[i] if i >= 0 else -1
