"""Rotary embedding of queries and keys, the store of keys and values into the cache, and moving them there."""

from __future__ import annotations

from llamakit.core.kernels.batch import Batch
from llamakit.core.kernels.kernel import kernel, share
from llamakit.core.kernels.kv_cells import BLOCK, CELL_TYPES, LayerCache, keys_of, values_of
from llamakit.core.kernels.kv_store import key_reader, key_writer, value_copier, value_writer
from llamakit.core.kernels.norm import inverse_rms
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import even_lanes, interleave_high, interleave_low, is_null, odd_lanes, registers, view
from llamakit.core.simd.records import Ptr, Record, f32, f32x16, i32, i64


class RopeStore(LayerCache):
    """One layer's q, k, v of a batch: token t has q at q + t * q_pitch, and k and v likewise.

    Norm weights are filled up with zeros to a multiple of 16.
    """

    batch: Ptr[Batch]
    q: Ptr[f32]  # normed and turned in place
    k: Ptr[f32]
    v: Ptr[f32]
    q_norm: Ptr[f32]  # (head_dim,) or null: no norm
    k_norm: Ptr[f32]
    angles: Ptr[f32]  # (n_ctx, n_rot / 2, 2): cos and sin, by position; null: no rotation
    q_pitch: i64
    k_pitch: i64
    v_pitch: i64
    n_head: i64
    n_rot: i64
    is_neox: i64  # 1: pairs (i, i + n_rot / 2); 0: pairs (2 i, 2 i + 1)
    eps: f32


@helper
def load_head(head, source, n):
    """n floats, then zeros up to a multiple of 16."""
    vectors, from_vectors = view(head, f32x16), view(source, f32x16)
    for i in range(n // 16):
        vectors[i] = from_vectors[i]
    if n % 16 != 0:
        vectors[n // 16] = f32x16(0.0)
        for i in range(n // 16 * 16, n):
            head[i] = source[i]


@helper
def save_head(head, target, n):
    vectors, to_vectors = view(head, f32x16), view(target, f32x16)
    for i in range(n // 16):
        to_vectors[i] = vectors[i]
    for i in range(n // 16 * 16, n):
        target[i] = head[i]


@helper
def norm_head(head, weight, n, eps):
    """x / sqrt(mean(x^2) + eps) * weight"""
    x, w = view(head, f32x16), view(weight, f32x16)
    n_vectors = (n + 15) // 16
    scale = inverse_rms(head, n, n_vectors * 16, eps)
    for i in range(n_vectors):
        x[i] = x[i] * scale * w[i]


@helper
def rotate(head, angles, n_rot, is_neox):
    """(x, y) -> (x cos - y sin, x sin + y cos) for each pair.   angles: (n_rot / 2, 2)"""
    half = n_rot // 2
    table, low, high = view(angles, f32x16), view(head, f32x16), view(head + half, f32x16)
    for i in range(half // 16):
        cos, sin = even_lanes(table[2 * i], table[2 * i + 1]), odd_lanes(table[2 * i], table[2 * i + 1])
        if is_neox != 0:
            x, y = low[i], high[i]
            low[i], high[i] = x * cos - y * sin, x * sin + y * cos
        else:
            x, y = even_lanes(low[2 * i], low[2 * i + 1]), odd_lanes(low[2 * i], low[2 * i + 1])
            turned_x, turned_y = x * cos - y * sin, x * sin + y * cos
            low[2 * i], low[2 * i + 1] = interleave_low(turned_x, turned_y), interleave_high(turned_x, turned_y)
    for i in range(half // 16 * 16, half):
        at = i if is_neox != 0 else 2 * i
        partner = i + half if is_neox != 0 else 2 * i + 1
        x, y, cos, sin = head[at], head[partner], angles[2 * i], angles[2 * i + 1]
        head[at], head[partner] = x * cos - y * sin, x * sin + y * cos


@helper
def norm_and_rotate(op, head, weight, position):
    if is_null(weight) == 0:
        norm_head(head, weight, op.head_dim, op.eps)
    if is_null(op.angles) == 0:
        rotate(head, op.angles + position * op.n_rot, op.n_rot, op.is_neox)


def rope_store(k_type, v_type):
    """Norm and rotate q in place and k on its way into the tokens' cells, with v."""
    store_key, store_value = key_writer(CELL_TYPES[k_type]), value_writer(CELL_TYPES[v_type])

    @kernel(RopeStore)
    def rope_store(op, thread, n_threads):
        n_head, n_head_kv = op.n_head, op.n_head_kv
        n_items = n_head + 2 * n_head_kv  # of a token
        head = view(registers(f32x16, 64), f32)  # up to 1024 dimensions
        first, last = share(op.batch.n_tokens * n_items, thread, n_threads)
        for i in range(first, last):
            token, item = i // n_items, i % n_items
            position, cell = op.batch.positions[token], op.batch.cells[token]
            if item < n_head:
                q = op.q + (token * op.q_pitch + item * op.head_dim)
                load_head(head, q, op.head_dim)
                norm_and_rotate(op, head, op.q_norm, position)
                save_head(head, q, op.head_dim)
            elif item < n_head + n_head_kv:
                item -= n_head
                load_head(head, op.k + (token * op.k_pitch + item * op.head_dim), op.head_dim)
                norm_and_rotate(op, head, op.k_norm, position)
                keys = keys_of(op, item, cell // BLOCK)
                store_key(head, keys, cell % BLOCK, op.head_dim)
            else:
                item -= n_head + n_head_kv
                load_head(head, op.v + (token * op.v_pitch + item * op.head_dim_v), op.head_dim_v)
                values = values_of(op, item, cell // BLOCK)
                store_value(head, values, cell % BLOCK, op.head_dim_v)

    return rope_store


class Turn(Record):
    """Heads of rows of x, turned by their token's angles, to rows of out."""

    x: Ptr[f32]
    out: Ptr[f32]
    batch: Ptr[Batch]
    pitch: i64
    n_head: i64
    head_dim: i64
    angles: Ptr[f32]
    n_rot: i64
    is_neox: i64


@kernel(Turn)
def turn(op, thread, n_threads):
    head = view(registers(f32x16, 64), f32)
    first, last = share(op.batch.n_tokens, thread, n_threads)
    for token in range(first, last):
        angles = op.angles + op.batch.positions[token] * op.n_rot
        for h in range(op.n_head):
            place = token * op.pitch + h * op.head_dim
            load_head(head, op.x + place, op.head_dim)
            rotate(head, angles, op.n_rot, op.is_neox)
            save_head(head, op.out + place, op.head_dim)
        for i in range(op.n_head * op.head_dim, op.pitch):
            op.out[token * op.pitch + i] = f32(0)


class Move(LayerCache):
    """One layer's keys and values go from cell to cell, in order; the keys turn, that of cell i by turn turns[i]."""

    sources: Ptr[i32]  # (n_cells,)
    targets: Ptr[i32]
    n_cells: i64
    turns: Ptr[i32]  # (n_cells,)
    angles: Ptr[f32]  # (n_turns, n_rot / 2, 2): cos and sin; null: no rotation
    n_rot: i64
    is_neox: i64


def move(k_type, v_type):
    """Move cells; a target may be the source of an earlier move."""
    read_key, store_key = key_reader(CELL_TYPES[k_type]), key_writer(CELL_TYPES[k_type])
    copy_value = value_copier(CELL_TYPES[v_type])

    @kernel(Move)
    def move(op, thread, n_threads):
        head = view(registers(f32x16, 64), f32)
        first, last = share(op.n_head_kv, thread, n_threads)
        for kv_head in range(first, last):
            for i in range(op.n_cells):
                source, target = op.sources[i], op.targets[i]
                read_key(head, keys_of(op, kv_head, source // BLOCK), source % BLOCK, op.head_dim)
                if is_null(op.angles) == 0:
                    rotate(head, op.angles + op.turns[i] * op.n_rot, op.n_rot, op.is_neox)
                store_key(head, keys_of(op, kv_head, target // BLOCK), target % BLOCK, op.head_dim)
                old, new = values_of(op, kv_head, source // BLOCK), values_of(op, kv_head, target // BLOCK)
                copy_value(old, source % BLOCK, new, target % BLOCK, op.head_dim_v)

    return move
