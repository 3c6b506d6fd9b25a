"""Moving cells of the cache when positions before them were removed: keys are turned back, values copied."""

from __future__ import annotations

from llamakit.core.kernels.kernel import kernel, share
from llamakit.core.kernels.kv_cells import BLOCK, CELL_TYPES, GROUP, CellType, LayerCache, keys_of, values_of
from llamakit.core.kernels.kv_store import key_writer
from llamakit.core.kernels.rope import rotate
from llamakit.core.simd.op import Helper, helper
from llamakit.core.simd.ops import is_null, registers, view
from llamakit.core.simd.records import Ptr, f16, f32, f32x16, i8, i8x16, i32, i64


class Move(LayerCache):
    """One layer: cell sources[i] goes to cell targets[i], in this order, so they may overlap."""

    sources: Ptr[i32]  # (n_cells,)
    targets: Ptr[i32]  # (n_cells,)
    n_cells: i64
    angles: Ptr[f32]  # (n_rot / 2, 2): cos and sin of the keys' turn, the same for all; null: none
    n_rot: i64
    is_neox: i64


def key_reader(cell: CellType) -> Helper:
    """load_key(head, keys, place, n): column `place` of the transposed block, zeros up to a multiple of 16."""
    element, has_scales = cell.element, cell.has_scales

    @helper
    def load_key(head, keys, place, n):
        if n % 16 != 0:
            view(head, f32x16)[n // 16] = f32x16(0.0)
        elements = view(keys, element)
        for d in range(n):
            head[d] = f32(elements[d * BLOCK + place])
        if has_scales:
            scales = view(keys + n * BLOCK, f16)
            for d in range(n):
                head[d] = head[d] * f32(scales[d // GROUP * BLOCK + place])

    return load_key


def value_copier(cell: CellType) -> Helper:
    """copy_value(source, from_place, target, to_place, n): a row of bytes, and its column of scales."""
    size, has_scales = cell.element.size, cell.has_scales

    @helper
    def copy_value(source, from_place, target, to_place, n):
        n_vectors = (n + 15) // 16 * size  # of 16 bytes
        rows, new_rows = view(source, i8x16), view(target, i8x16)
        for i in range(n_vectors):
            new_rows[to_place * n_vectors + i] = rows[from_place * n_vectors + i]
        if has_scales:
            n_bytes = n_vectors * 16 * BLOCK
            scales, new_scales = view(source + n_bytes, f16), view(target + n_bytes, f16)
            for i in range((n + GROUP - 1) // GROUP):
                new_scales[i * BLOCK + to_place] = scales[i * BLOCK + from_place]

    return copy_value


def move(k_type, v_type):
    """Turn the keys of all cells by one angle table and store them, and their values, in the cells' new places."""
    load_key, store_key = key_reader(CELL_TYPES[k_type]), key_writer(CELL_TYPES[k_type])
    copy_value = value_copier(CELL_TYPES[v_type])

    @kernel(Move)
    def move(op, thread, n_threads):
        buffer = registers(f32x16, 64)
        head = view(buffer, f32)
        first, last = share(op.n_head_kv, thread, n_threads)
        for i_head in range(first, last):
            for i in range(op.n_cells):
                source, target = op.sources[i], op.targets[i]
                load_key(head, keys_of(op, i_head, source // BLOCK), source % BLOCK, op.head_dim)
                if is_null(op.angles) == 0:
                    rotate(head, op.angles, op.n_rot, op.is_neox)
                store_key(head, keys_of(op, i_head, target // BLOCK), target % BLOCK, op.head_dim)
                from_values, to_values = values_of(op, i_head, source // BLOCK), values_of(op, i_head, target // BLOCK)
                copy_value(from_values, source % BLOCK, to_values, target % BLOCK, op.head_dim_v)

    return move
