"""The indexer of sparse attention: scores of all keys, then a bit for each of the best."""

from __future__ import annotations

from llamakit.core.kernels.attention import MASKED, tile_of_scores
from llamakit.core.kernels.batch import Batch
from llamakit.core.kernels.kernel import Kernel, kernel, share
from llamakit.core.kernels.kv_cells import BLOCK, CELL_TYPES, GROUP, LayerCache, keys_of
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import fma, less, registers, select, sum_lanes, view, vmax
from llamakit.core.simd.records import Ptr, Record, f32, f32x16, i32, i64

INFINITY = 0xFF800000  # in the order of `float_of`


class Score(LayerCache):
    """Score of token t and position p at scores + t * score_pitch + p. Rows of tokens that see no more than `n_all`
    positions are not written."""

    batch: Ptr[Batch]
    q: Ptr[f32]
    weights: Ptr[f32]
    scores: Ptr[f32]
    q_pitch: i64
    weight_pitch: i64
    score_pitch: i64
    n_head: i64
    n_all: i64


def score(k_type: str) -> Kernel:
    """sum_h weight_h * max(q_h k, 0). Blocks of keys go round the threads."""
    k = CELL_TYPES[k_type]
    has_scales, tile = k.has_scales, tile_of_scores(k, 1, 4)

    @helper
    def dots(op, q, keys, out):
        if has_scales:
            for first in range(0, op.head_dim, GROUP):
                n = min(GROUP, op.head_dim - first)
                scales = keys + (op.head_dim * BLOCK + first // GROUP * BLOCK * 2)
                tile(q + first, keys + first * BLOCK, scales, n, out, first == 0)
        else:
            tile(q, keys, keys, op.head_dim, out, True)

    @kernel(Score)
    def score(op, thread, n_threads):
        batch, products, total = op.batch, registers(f32x16, 4), registers(f32x16, 4)
        for r in range(batch.n_runs):
            run = batch.runs + r
            for b in range(thread, (run.position + run.n_tokens + BLOCK - 1) // BLOCK, n_threads):
                keys = keys_of(op, 0, batch.tables[run.table + b])
                for t in range(max(0, max(b * BLOCK, op.n_all) - run.position), run.n_tokens):
                    row = run.first + t
                    for i in range(4):
                        total[i] = f32x16(0.0)
                    for h in range(op.n_head):
                        dots(op, op.q + (row * op.q_pitch + h * op.head_dim), keys, products)
                        weight = f32x16(op.weights[row * op.weight_pitch + h])
                        for i in range(4):
                            total[i] = fma(weight, vmax(products[i], f32x16(0.0)), total[i])
                    out = view(op.scores + (row * op.score_pitch + b * BLOCK), f32x16)
                    for i in range(4):
                        out[i] = total[i]

    return score


class Mark(Record):
    """Bits of token t at out + t * out_pitch, 32 positions in each. See `graph.ops.indexer` for pools."""

    batch: Ptr[Batch]
    scores: Ptr[f32]
    out: Ptr[f32]
    score_pitch: i64
    out_pitch: i64
    top_k: i64
    pool: i64
    n_all: i64


@helper
def float_of(number, slot):
    """The float that so many others are below of, NaN apart: numbers of 32 bits in the order of floats."""
    view(slot, i32)[0] = i32(number - 0x80000000 if number >= 0x80000000 else 0xFFFFFFFF - number)
    return view(slot, f32)[0]


@helper
def count_reaching(scores, n_vectors, bound):
    total = f32x16(0.0)
    for i in range(n_vectors):
        total = total + select(less(scores[i], f32x16(bound)), f32x16(0.0), f32x16(1.0))
    return i64(sum_lanes(total))


@helper
def count_above(scores, n_vectors, bound):
    total = f32x16(0.0)
    for i in range(n_vectors):
        total = total + select(less(f32x16(bound), scores[i]), f32x16(1.0), f32x16(0.0))
    return i64(sum_lanes(total))


@kernel(Mark)
def mark(op, thread, n_threads):
    """The k-th largest score is found bit by bit; of those equal to it the earlier ones are taken."""
    batch, slot = op.batch, registers(f32x16, 1)
    first, last = share(batch.n_tokens, thread, n_threads)
    for r in range(batch.n_runs):
        run = batch.runs + r
        for t in range(max(first - run.first, 0), min(last - run.first, run.n_tokens)):
            n = run.position + t + 1
            bits = view(op.out + (run.first + t) * op.out_pitch, i32)
            if n <= op.n_all:
                for word in range((n + 31) // 32):
                    bits[word] = i32(-1)
            else:
                scores = op.scores + (run.first + t) * op.score_pitch
                n_vectors = (n + 15) // 16
                for p in range(n, 16 * n_vectors):
                    scores[p] = MASKED
                if op.pool > 1:
                    for p in range(n):
                        if (p + 1) % op.pool != 0:
                            scores[p] = MASKED
                found = 0
                for i in range(32):
                    more = found + (1 << (31 - i))
                    if (
                        more <= INFINITY
                        and count_reaching(view(scores, f32x16), n_vectors, float_of(more, slot)) >= op.top_k
                    ):
                        found = more
                bound = float_of(found, slot)
                n_equal = op.top_k - count_above(view(scores, f32x16), n_vectors, bound)
                is_taken = 0
                for word in range((n + 31) // 32):
                    taken = 0
                    for i in range(min(32, n - 32 * word)):
                        p = 32 * word + i
                        if p % op.pool == 0:
                            is_taken = 1
                            if p + op.pool <= n:
                                x = scores[p + op.pool - 1]
                                if x < bound or (x == bound and n_equal <= 0):
                                    is_taken = 0
                                if x == bound:
                                    n_equal -= 1
                        taken = taken + (is_taken << i)
                    bits[word] = i32(taken)
