"""The cells of a sequence as bytes, and back."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.kernels.kv_cells import BLOCK, CELL_TYPES
from llamakit.core.kv.cache import KVCache, LayerShape
from llamakit.core.kv.state import n_bytes_of, read_cells, write_cells
from llamakit.errors import ModelError

LAYERS = [LayerShape(2, 40, 24), LayerShape(0, 40, 24), LayerShape(1, 32, 32)]


def filled(name: str, seed: int = 0, n_ctx: int = 256) -> KVCache:
    """Random bytes in every cell, used or not."""
    cache, rng = KVCache(LAYERS, n_ctx, name, name, n_seq_max=2), np.random.default_rng(seed)
    for memory in (*cache.keys, *cache.values):
        memory[:] = rng.integers(1, 100, memory.shape)
    return cache


@pytest.mark.parametrize("n_past", [0, 1, 63, 64, 65, 200])
@pytest.mark.parametrize("name", CELL_TYPES)
def test_what_is_read_and_written_is_the_same_again(name, n_past):
    cache, other = filled(name), filled(name, seed=1)
    cache.place([(1, 30)])  # the blocks of the two caches are others
    cache.place([(0, n_past)])
    data = np.concatenate([np.zeros(0, np.uint8), *read_cells(cache, 0)])
    assert len(data) == n_bytes_of(cache, n_past)
    pieces = iter(np.split(data, np.cumsum([len(piece) for piece in read_cells(cache, 0)])[:-1]))

    def read(n):
        piece = next(pieces)
        assert len(piece) == n
        return piece

    write_cells(other, 0, n_past, read)
    assert other.n_past() == n_past
    np.testing.assert_array_equal(np.concatenate([np.zeros(0, np.uint8), *read_cells(other, 0)]), data)


@pytest.mark.parametrize("name", CELL_TYPES)
def test_what_lies_behind_the_last_position_does_not_get_out(name):
    cache = filled(name)  # no byte is 0
    cache.place([(0, 70)])
    data = np.concatenate([*read_cells(cache, 0)])
    type = CELL_TYPES[name]
    per_position = sum(
        s.n_head_kv * (type.key_bytes(s.head_dim) + type.value_bytes(s.head_dim_v)) // BLOCK for s in LAYERS
    )
    assert (data != 0).sum() == 70 * per_position
    assert all(memory.all() for memory in (*cache.keys, *cache.values))


def test_an_error_while_reading_leaves_an_empty_sequence():
    cache = filled("f16")
    cache.place([(0, 10), (1, 20)])

    def read(n):
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        write_cells(cache, 0, 100, read)
    assert (cache.n_past(0), cache.n_past(1), cache.pool.n_free) == (0, 20, cache.pool.n_blocks - 1)


def test_no_room_is_an_error_before_anything_is_read():
    cache = filled("f16")
    cache.place([(1, 200)])
    with pytest.raises(ModelError, match="KV cache is full"):
        write_cells(cache, 0, 130, lambda n: pytest.fail("was read"))
