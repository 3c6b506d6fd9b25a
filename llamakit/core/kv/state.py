"""The cells of one sequence as plain bytes, and back.

Layer by layer, keys before values, head by head: the blocks of the sequence in the order of its positions, each as it
lies in memory (see `kernels/kv_cells.py`), cells behind the last position zero. Then what layers that remember keep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from llamakit.core.kernels.kv_cells import BLOCK, CellType
from llamakit.core.kv.cache import KVCache
from llamakit.core.kv.sequences import n_blocks

Bytes = npt.NDArray[np.uint8]


def n_bytes_of(cache: KVCache, n_past: int) -> int:
    """Bytes of a sequence of n_past positions."""
    cells: int = n_blocks(n_past) * sum(memory[:, :1].nbytes for memory in (*cache.keys, *cache.values))
    return cells + sum(int(state[0].nbytes) for state in cache.states.values())


def read_cells(cache: KVCache, seq: int) -> Iterator[Bytes]:
    """The bytes of a sequence, one head of one layer at a time; each piece is a copy."""
    n_past = cache.n_past(seq)
    blocks, n_used = cache.tables[seq, : n_blocks(n_past)], n_past % BLOCK
    for shape, keys, values in zip(cache.layers, cache.keys, cache.values, strict=True):
        for head in range(shape.n_head_kv):
            piece: Bytes = keys[head, blocks]
            if n_used:
                clear_keys(piece[-1], cache.type_k, shape.head_dim, n_used)
            yield piece.reshape(-1)
        for head in range(shape.n_head_kv):
            piece = values[head, blocks]
            if n_used:
                clear_values(piece[-1], cache.type_v, shape.head_dim_v, n_used)
            yield piece.reshape(-1)
    for state in cache.states.values():
        yield state[seq].copy().view(np.uint8)


def write_cells(cache: KVCache, seq: int, n_past: int, read: Callable[[int], Bytes]) -> None:
    """Let a sequence be n_past positions whose bytes `read(n)` gives, n at a time; what it had is forgotten.

    Raises ModelError when there is no room for them: then the sequence is empty, as after any error of `read`.
    """
    cache.truncate(seq, 0)
    cache.sequences.append(seq, n_past)
    blocks = cache.tables[seq, : n_blocks(n_past)]
    try:
        for keys, values in zip(cache.keys, cache.values, strict=True):
            for memory in (keys, values):
                for head in memory:
                    head[blocks] = read(len(blocks) * head.shape[1]).reshape(len(blocks), head.shape[1])
        for state in cache.states.values():
            state[seq] = read(state[seq].nbytes).view(np.float32)
    except BaseException:
        cache.truncate(seq, 0)
        raise


def clear_keys(block: Bytes, type: CellType, head_dim: int, n_used: int) -> None:
    """Zero the keys of a block behind the first n_used positions."""
    quants, scales = np.split(block, [head_dim * type.row_bytes(BLOCK)])
    quants.reshape(head_dim, BLOCK, -1)[:, n_used:] = 0
    clear_scales(scales, n_used)


def clear_values(block: Bytes, type: CellType, head_dim_v: int, n_used: int) -> None:
    """The same for values."""
    quants, scales = np.split(block, [len(block) - type.scale_bytes(head_dim_v)])
    quants.reshape(BLOCK, -1)[n_used:] = 0
    clear_scales(scales, n_used)


def clear_scales(scales: Bytes, n_used: int) -> None:
    scales.view(np.float16).reshape(-1, BLOCK)[:, n_used:] = 0
