"""softmax(q k^T) v over the paged cache, for a batch of several sequences.

The queries of one sequence that read the same kv head are rows: row r is token r // group, head r % group of the
group. A tile of rows goes through the visible key blocks twice: scores and their exact maximum first, then weights,
their sum and the weighted values. Every sum runs over positions in ascending order with one accumulator, and masked
weights are exact zeros, so a row's result does not depend on the tile, the batch or the threads.
"""

from __future__ import annotations

from llamakit.core.kernels.activation import exp, tanh
from llamakit.core.kernels.batch import Batch
from llamakit.core.kernels.kernel import kernel, share
from llamakit.core.kernels.kv_cells import BLOCK, CELL_TYPES, GROUP, LayerCache, keys_of, values_of
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import fma, is_null, lane_numbers, less, max_lanes, registers, select, sum_lanes, view, vmax
from llamakit.core.simd.records import Ptr, f16x16, f32, f32x16, i8, i32, i64
from llamakit.core.simd.target import host_target

MASKED = -1e30  # a score so low that its weight is exactly 0


class Attention(LayerCache):
    """One layer's attention of a batch: token t has its queries at q + t * q_pitch, results at out + t * out_pitch."""

    batch: Ptr[Batch]
    q: Ptr[f32]
    out: Ptr[f32]
    slopes: Ptr[f32]  # (n_head,): ALiBi adds -slope * distance; or null
    sinks: Ptr[f32]  # (n_head,): a score without a value, for each head; or null
    bias: Ptr[f32]  # (n_head, 2 bias_zero + 64): added to scores, by how far a key is ahead of zero; or null
    bias_zero: i64
    is_bias_by_key: i64  # 1: how far a key is ahead of the first position; 0: of the query
    chosen: Ptr[f32]  # token t at chosen + t * chosen_pitch: bits of the positions that count, 32 in each; or null
    chosen_pitch: i64
    scratch: Ptr[i8]  # scratch_bytes(...) for each thread
    scratch_pitch: i64
    q_pitch: i64
    out_pitch: i64
    n_head: i64
    window: i64  # keys at least this far back are masked, or, without causality, this far off; 0: none
    is_chunked: i64  # 1: those before the last multiple of the window are
    is_causal: i64  # 0: a token sees the later tokens of its run too
    part: i64  # which keys: ALL, those BEHIND the sequence's source, or those of the SOURCE
    scale: f32
    softcap: f32  # scores become c tanh(score / c); 0: none


ALL, BEHIND, SOURCE = range(3)
MAX_ROWS = 6
READ_COST = 3  # what reading and widening a tile's keys and values costs, in rows of arithmetic


def tile_rows(n_head: int, n_head_kv: int, n_tokens: int, n_threads: int = 1) -> int:
    """Rows of a tile, for programs that run `n_tokens` tokens of a sequence at once; it changes no result.

    With one token, the heads of a group read their keys together, unless that leaves a thread idle.
    """
    if n_tokens > 1:
        return MAX_ROWS
    group = n_head // n_head_kv

    def cost(rows: int) -> int:
        """Of the thread that has most to do: its share of the heads, cut into groups and tiles as `attend` does."""
        costs = []
        for thread in range(n_threads):
            first, last = n_head * thread // n_threads, n_head * (thread + 1) // n_threads
            heads = (range(max(first, g), min(last, g + group)) for g in range(0, n_head, group))
            costs.append(sum(-(-len(part) // rows) * (rows + READ_COST) for part in heads))
        return max(costs)

    return min(range(1, min(group, MAX_ROWS) + 1), key=cost)


def tile_columns(rows: int = MAX_ROWS) -> int:
    """Vectors of a tile: 24 accumulators of 32 registers with AVX-512, 12 half-width ones of 16 with AVX2."""
    if host_target().has_avx512:
        return 4
    return 1 if rows > 3 else 2 if rows > 1 else 4


def scratch_bytes(n_ctx: int, head_dim: int, head_dim_v: int, rows: int) -> int:
    """Scratch of one thread for sequences of up to n_ctx positions."""
    n_vectors = -(-head_dim // 16) + 2 + -(-head_dim_v // 16) + 4 + -(-n_ctx // BLOCK) * 4  # as `attend_tile` cuts it
    return rows * n_vectors * f32x16.size


@helper
def first_visible(op, run, position):
    least = run.n_source if op.part == BEHIND else 0
    if op.window == 0:
        return least
    return position // op.window * op.window if op.is_chunked != 0 else max(least, position - op.window + 1)


@helper
def end_visible(op, run, position):
    if op.part == SOURCE:
        return run.n_source
    if op.is_causal != 0:
        return position + 1
    end = run.position + run.n_tokens
    return end if op.window == 0 else min(end, position + op.window)


@helper
def token_and_head(op, kv_head, row):
    """Of a row: the token's index in its run, and the query head."""
    group = op.n_head // op.n_head_kv
    return row // group, kv_head * group + row % group


@helper
def adjust(op, run, kv_head, row, base, scores):
    """Softcap, biases and mask, in place, of a row's 64 scores of keys base .. base + 63."""
    token, head = token_and_head(op, kv_head, row)
    position = run.position + token
    first, end = first_visible(op, run, position), end_visible(op, run, position)
    if op.softcap != f32(0.0):
        for i in range(4):
            scores[i] = tanh(scores[i] / op.softcap) * op.softcap
    if is_null(op.slopes) == 0:
        for i in range(4):
            key = lane_numbers() + f32(base + 16 * i)
            scores[i] = scores[i] - vmax(f32(position) - key, key - f32(position)) * op.slopes[head]
    if is_null(op.bias) == 0:
        at = base if op.is_bias_by_key != 0 else base - position
        bias = view(op.bias + (head * (2 * op.bias_zero + BLOCK) + op.bias_zero + at), f32x16)
        for i in range(4):
            scores[i] = scores[i] + bias[i]
    if is_null(op.chosen) == 0:
        bits, plain = view(op.chosen + ((run.first + token) * op.chosen_pitch + base // 32), i32), view(scores, f32)
        for i in range(BLOCK):
            if (bits[i // 32] >> (i % 32)) & 1 == 0:
                plain[i] = MASKED
    if base < first or base + BLOCK > end:
        for i in range(4):
            key = lane_numbers() + f32(base + 16 * i)
            seen = select(less(key, f32x16(f32(end))), scores[i], f32x16(MASKED))
            scores[i] = select(less(key, f32x16(f32(first))), f32x16(MASKED), seen)


def tile_of_scores(k, rows, columns):
    """The scores of a tile's rows and one block of keys."""
    count, load, has_scales = rows * columns, k.load, k.has_scales

    @helper
    def tile(queries, keys, scales, n, out, is_first):
        """out (+)= queries @ keys * scales, for n dimensions.   queries: (n, rows), keys: (n, 64), out: (rows, 4)"""
        total = registers(f32x16, count)
        for c in range(0, 4, columns):
            for i in range(count):
                total[i] = f32x16(0.0)
            for d in range(n):
                for i in range(columns):
                    key = load(keys, d * 4 + c + i)
                    for j in range(rows):
                        total[j * columns + i] = fma(f32x16(queries[d * rows + j]), key, total[j * columns + i])
            for j in range(rows):
                for i in range(columns):
                    if has_scales:
                        before = f32x16(0.0) if is_first else out[j * 4 + c + i]
                        out[j * 4 + c + i] = fma(total[j * columns + i], view(scales, f16x16)[c + i], before)
                    else:
                        out[j * 4 + c + i] = total[j * columns + i]

    return tile


def tile_of_values(v, rows, columns):
    """The weighted values of a tile's rows, `columns` vectors wide."""
    count, load = rows * columns, v.load

    @helper
    def tile(weights, values, n_vectors, column, n_keys, out):
        """out += weights @ values.   weights: (rows, 64), values: (n_keys, n_vectors), out: (n_vectors, rows)"""
        total = registers(f32x16, count)
        for i in range(count):
            total[i] = out[column * rows + i]
        for key in range(n_keys):
            for i in range(columns):
                value = load(values, key * n_vectors + column + i)
                for j in range(rows):
                    total[i * rows + j] = fma(f32x16(weights[j * 64 + key]), value, total[i * rows + j])
        for i in range(count):
            out[column * rows + i] = total[i]

    return tile


def attend(k_type, v_type, rows, columns):
    """The kernel for tiles of `rows` rows: attend[f16,f16,6,4]."""
    k, v = CELL_TYPES[k_type], CELL_TYPES[v_type]
    columns_v = min(columns, GROUP // 16) if v.has_scales else columns
    score_tile, value_tile, value_column = (
        tile_of_scores(k, rows, columns),
        tile_of_values(v, rows, columns_v),
        tile_of_values(v, rows, 1),
    )
    k_has_scales, v_has_scales = k.has_scales, v.has_scales

    @helper
    def weigh_keys(op, queries, keys, scores):
        """scores = queries @ keys.   queries: (head_dim, rows), scores: (rows, 4)"""
        if k_has_scales:
            for first in range(0, op.head_dim, GROUP):
                n = min(GROUP, op.head_dim - first)
                scales = keys + (op.head_dim * BLOCK + first // GROUP * BLOCK * 2)
                score_tile(queries + first * rows, keys + first * BLOCK, scales, n, scores, first == 0)
        else:
            score_tile(queries, keys, keys, op.head_dim, scores, True)

    @helper
    def add_values(op, weights, values, n_keys, scaled, total):
        """total += weights @ values.   weights: (rows, 64), total: (n_vectors, rows)"""
        n_vectors = (op.head_dim_v + 15) // 16
        if v_has_scales:
            scales = view(values + n_vectors * 16 * BLOCK, f16x16)
            for group in range((n_vectors + 1) // 2):
                for j in range(rows):
                    for i in range(4):
                        scaled[j * 4 + i] = view(weights, f32x16)[j * 4 + i] * scales[group * 4 + i]
                for column in range(group * 2, min(group * 2 + 2, n_vectors), columns_v):
                    if column + columns_v <= n_vectors:
                        value_tile(view(scaled, f32), values, n_vectors, column, n_keys, total)
                    else:
                        value_column(view(scaled, f32), values, n_vectors, column, n_keys, total)
        else:
            whole = n_vectors // columns_v * columns_v
            for column in range(0, whole, columns_v):
                value_tile(weights, values, n_vectors, column, n_keys, total)
            for column in range(whole, n_vectors):
                value_column(weights, values, n_vectors, column, n_keys, total)

    @helper
    def attend_tile(op, run, kv_head, row, n_rows, scratch):
        """Rows row .. row + n_rows - 1 of a run; a tile that is not full repeats its last row."""
        table = op.batch.tables + run.table
        n_vectors = (op.head_dim_v + 15) // 16
        queries = view(scratch, f32)
        peaks = view(scratch, f32x16) + (op.head_dim + 15) // 16 * rows
        sums = peaks + rows
        total = sums + rows
        scaled = total + n_vectors * rows
        scores = scaled + 4 * rows

        for j in range(rows):
            token, head = token_and_head(op, kv_head, row + min(j, n_rows - 1))
            q = op.q + ((run.first + token) * op.q_pitch + head * op.head_dim)
            for d in range(op.head_dim):
                queries[d * rows + j] = q[d] * op.scale
            peaks[j] = f32x16(MASKED) if is_null(op.sinks) != 0 else f32x16(op.sinks[head])
            sums[j] = f32x16(0.0)
        for i in range(n_vectors * rows):
            total[i] = f32x16(0.0)

        first_token, _ = token_and_head(op, kv_head, row)
        last_token, _ = token_and_head(op, kv_head, row + n_rows - 1)
        start, end = run.position + first_token, run.position + last_token  # positions of the first and last row
        seen_by_all = first_visible(op, run, end), end_visible(op, run, start)
        first_block, end = first_visible(op, run, start) // BLOCK, end_visible(op, run, end)
        is_special = op.softcap != f32(0.0) or is_null(op.slopes) == 0 or is_null(op.bias) == 0
        is_special = is_special or is_null(op.chosen) == 0
        for b in range(first_block, (end + BLOCK - 1) // BLOCK):
            block = scores + (b - first_block) * 4 * rows
            weigh_keys(op, queries, keys_of(op, kv_head, table[b]), block)
            is_cut = b * BLOCK < seen_by_all[0] or (b + 1) * BLOCK > seen_by_all[1]
            for j in range(rows):
                x = block + 4 * j
                if is_cut or is_special:
                    adjust(op, run, kv_head, row + min(j, n_rows - 1), b * BLOCK, x)
                peaks[j] = vmax(peaks[j], vmax(vmax(x[0], x[1]), vmax(x[2], x[3])))

        for j in range(rows):
            peaks[j] = f32x16(max_lanes(peaks[j]))
        for b in range(first_block, (end + BLOCK - 1) // BLOCK):
            block = scores + (b - first_block) * 4 * rows
            for j in range(rows):
                for i in range(4):
                    weight = exp(block[4 * j + i] - peaks[j])
                    block[4 * j + i] = weight
                    sums[j] = sums[j] + weight
            values = values_of(op, kv_head, table[b])
            add_values(op, view(block, f32), values, min(BLOCK, end - b * BLOCK), scaled, total)

        for j in range(n_rows):
            token, head = token_and_head(op, kv_head, row + j)
            weight = sum_lanes(sums[j])
            if is_null(op.sinks) == 0:
                weight += max_lanes(exp(op.sinks[head] - peaks[j]))
            scale = f32(1.0) / weight
            out = op.out + ((run.first + token) * op.out_pitch + head * op.head_dim_v)
            for i in range(op.head_dim_v // 16):
                view(out, f32x16)[i] = total[i * rows + j] * scale
            for d in range(op.head_dim_v // 16 * 16, op.head_dim_v):
                out[d] = view(total, f32)[(d // 16 * rows + j) * 16 + d % 16] * scale

    @kernel(Attention)
    def attend(op, thread, n_threads):
        """Many rows: tiles go round the threads, as later rows see more. Few: each thread takes its share of them."""
        batch, group = op.batch, op.n_head // op.n_head_kv
        scratch = op.scratch + thread * op.scratch_pitch
        first, last = share(batch.n_tokens * op.n_head, thread, n_threads)
        is_few = batch.n_tokens * op.n_head < 8 * rows * n_threads
        n_before, n_tiles = 0, 0
        for i in range(batch.n_runs):
            run = batch.runs + i
            n_rows = run.n_tokens * group
            for kv_head in range(op.n_head_kv):
                start, end, step = (thread - n_tiles) % n_threads * rows, n_rows, rows * n_threads
                if is_few:
                    start, end, step = max(first - n_before, 0), min(last - n_before, n_rows), rows
                for row in range(start, end, step):
                    attend_tile(op, run, kv_head, row, min(rows, end - row), scratch)
                n_before += n_rows
                n_tiles += (n_rows + rows - 1) // rows

    return attend
