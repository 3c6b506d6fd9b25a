"""Attention to the last keys and to summaries, one of each `ratio` positions, and what summaries are made of."""

from __future__ import annotations

from llamakit.core.kernels.activation import exp
from llamakit.core.kernels.batch import Batch
from llamakit.core.kernels.kernel import Kernel, kernel, share
from llamakit.core.kernels.kv_cells import BLOCK, CELL_TYPES, LayerCache, keys_of
from llamakit.core.kernels.kv_store import key_reader
from llamakit.core.kernels.recurrent import Remembering
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import fma, is_null, max_lanes, registers, sum_lanes, view, vmax
from llamakit.core.simd.records import Ptr, f32, f32x16, i32, i64

WIDEST = 1024  # numbers of a key: 64 vectors
MOST_HEADS = 512


class Pool(Remembering):
    """As `graph.compressed.Pooled` says. The state are the last rows, position p at p % span: x, then scores."""

    x: Ptr[f32]
    score: Ptr[f32]
    place: Ptr[f32]  # (ratio, pitch)
    out: Ptr[f32]
    pitch: i64  # of x, score and place
    out_pitch: i64
    n: i64  # a multiple of 16
    ratio: i64
    n_halves: i64  # 2: x is twice as wide as n


@helper
def place_of(op, state, position, back, i):
    """Vector i of what counts of the token `back` positions before: of x; the scores are a row's width behind."""
    width = op.n_halves * op.n
    half = op.n_halves - 1 if back < op.ratio else 0
    return state + ((position - back) % (op.n_halves * op.ratio) * 2 * width + half * op.n + 16 * i)


@kernel(Pool)
def pool(op, thread, n_threads):
    """Threads share channels, and walk the tokens one by one."""
    batch, ratio, span, width = op.batch, op.ratio, op.n_halves * op.ratio, op.n_halves * op.n
    first, last = share(op.n // 16, thread, n_threads)
    for r in range(batch.n_runs):
        run = batch.runs + r
        state = op.states + run.seq * op.state_pitch
        for t in range(run.n_tokens):
            position = run.position + t
            row, kept = (run.first + t) * op.pitch, state + position % span * 2 * width
            n_seen = min(span, position + 1)
            for i in range(first, last):
                for half in range(op.n_halves):
                    at = half * op.n + 16 * i
                    view(kept + at, f32x16)[0] = view(op.x + (row + at), f32x16)[0]
                    score = view(op.score + (row + at), f32x16)[0]
                    score = score + view(op.place + (position % ratio * op.pitch + at), f32x16)[0]
                    view(kept + (width + at), f32x16)[0] = score
                total, whole = f32x16(0.0), f32x16(0.0)
                if (position + 1) % ratio == 0:
                    peak = f32x16(-1e30)
                    for back in range(n_seen):
                        peak = vmax(peak, view(place_of(op, state, position, back, i) + width, f32x16)[0])
                    for back in range(n_seen):
                        source = place_of(op, state, position, back, i)
                        weight = exp(view(source + width, f32x16)[0] - peak)
                        whole = whole + weight
                        total = fma(weight, view(source, f32x16)[0], total)
                    total = total / whole
                view(op.out + ((run.first + t) * op.out_pitch + 16 * i), f32x16)[0] = total


class CompressedAttention(LayerCache):
    """Queries of token t at q + t * q_pitch, results at out + t * out_pitch. Head 0 of the cache has the keys, head 1,
    at the last position of each `ratio`, the summaries."""

    batch: Ptr[Batch]
    q: Ptr[f32]
    out: Ptr[f32]
    sinks: Ptr[f32]  # (n_head,)
    chosen: Ptr[f32]  # null, or a bit for each position, set at the last of those whose summary counts
    chosen_pitch: i64
    q_pitch: i64
    out_pitch: i64
    n_head: i64
    window: i64
    ratio: i64
    scale: f32


@helper
def is_seen(op, row, position):
    if is_null(op.chosen) != 0:
        return True
    bits = view(op.chosen + (row * op.chosen_pitch + position // 32), i32)[0]
    return (bits >> (position % 32)) & 1 != 0


@helper
def exp_of(x):
    return max_lanes(exp(f32x16(x)))


@helper
def take(q, key, out, n_vectors, scale, peaks, wholes, h):
    """One more key for a head: out becomes (weighted) sum over keys so far, whole the sum of weights, e^-peak times."""
    q, key, out = view(q, f32x16), view(key, f32x16), view(out, f32x16)
    total = f32x16(0.0)
    for i in range(n_vectors):
        total = fma(q[i], key[i], total)
    score = sum_lanes(total) * scale
    peak = max(peaks[h], score)
    faded, weight = exp_of(peaks[h] - peak), exp_of(score - peak)
    for i in range(n_vectors):
        out[i] = fma(f32x16(weight), key[i], out[i] * faded)
    peaks[h], wholes[h] = peak, wholes[h] * faded + weight


def attend(k_type: str) -> Kernel:
    """One key after the other, for all heads at once, in the order of positions."""
    read_key = key_reader(CELL_TYPES[k_type])

    @helper
    def take_key(op, run, row, first, last, head, position, key, peaks, wholes):
        block = op.batch.tables[run.table + position // BLOCK]
        read_key(key, keys_of(op, head, block), position % BLOCK, op.head_dim)
        for h in range(first, last):
            q, out = op.q + (row * op.q_pitch + h * op.head_dim), op.out + (row * op.out_pitch + h * op.head_dim)
            take(q, key, out, op.head_dim // 16, op.scale, peaks, wholes, h)

    @kernel(CompressedAttention)
    def attend(op, thread, n_threads):
        key = view(registers(f32x16, 64), f32)
        peaks, wholes = view(registers(f32x16, 32), f32), view(registers(f32x16, 32), f32)
        n_vectors = op.head_dim // 16
        start, end = share(op.batch.n_tokens * op.n_head, thread, n_threads)
        for r in range(op.batch.n_runs):
            run = op.batch.runs + r
            for t in range(run.n_tokens):
                row, position = run.first + t, run.position + t
                first = max(start - row * op.n_head, 0)
                last = min(end - row * op.n_head, op.n_head)
                if first < last:
                    for h in range(first, last):
                        peaks[h], wholes[h] = op.sinks[h], f32(1.0)
                        for i in range(n_vectors):
                            view(op.out + (row * op.out_pitch + h * op.head_dim), f32x16)[i] = f32x16(0.0)
                    for p in range(max(position + 1 - op.window, 0), position + 1):
                        take_key(op, run, row, first, last, 0, p, key, peaks, wholes)
                    for n in range((position + 1) // op.ratio):
                        p = (n + 1) * op.ratio - 1
                        if is_seen(op, row, p):
                            take_key(op, run, row, first, last, 1, p, key, peaks, wholes)
                    for h in range(first, last):
                        out = view(op.out + (row * op.out_pitch + h * op.head_dim), f32x16)
                        for i in range(n_vectors):
                            out[i] = out[i] / wholes[h]

    return attend
