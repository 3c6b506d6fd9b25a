"""The KV cache's memory and what it writes into a batch."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.kv.cache import KVCache, LayerShape, n_bytes
from llamakit.errors import ModelError, UsageError

LAYERS = [LayerShape(2, 64, 64), LayerShape(1, 32, 16)]


def make(n_ctx=256, n_seq_max=3):
    return KVCache(LAYERS, n_ctx, "f16", "q8_0", n_seq_max, n_batch=200)


@pytest.mark.parametrize("type_k, type_v", [("f16", "f16"), ("q8_0", "f32"), ("BF16", "q8_0")])
def test_the_planned_size_is_the_size(type_k, type_v):
    cache = KVCache(LAYERS, 300, type_k, type_v, n_seq_max=2)
    assert sum(m.nbytes for m in cache.keys + cache.values) == n_bytes(LAYERS, 300, type_k, type_v, n_seq_max=2)


def test_sizes_of_known_shapes():
    one = [LayerShape(1, 64, 64)]
    assert n_bytes(one, 64, "f16", "f16") == 2 * 64 * 64 * 2
    assert n_bytes(one, 64, "f32", "f32") == 2 * 64 * 64 * 4
    assert n_bytes(one, 64, "q8_0", "q8_0") == 2 * (64 * 64 + 2 * 64 * 2)


def test_memory_is_zeroed_and_starts_on_a_cache_line():
    for memory in [m for cache in [make()] for m in cache.keys + cache.values]:
        assert memory.ctypes.data % 64 == 0
        assert not memory.any()


def test_an_unknown_type_is_refused():
    with pytest.raises(UsageError, match="cannot be 'q3_k'; it can be f32, f16, bf16, q8_0"):
        KVCache(LAYERS, 64, "q3_k", "f16")


def test_place_says_where_each_token_goes():
    cache = make()
    assert cache.place([(1, 70)]) == 70
    assert cache.place([(0, 1), (1, 2)]) == 3
    assert cache.positions[:3].tolist() == [0, 70, 71]
    first, second = cache.tables[1, :2].tolist()
    assert cache.cells[:3].tolist() == [cache.tables[0, 0] * 64, second * 64 + 6, second * 64 + 7]
    assert first != second
    width = cache.tables.shape[1]
    assert [tuple(r) for r in cache.runs[:2].tolist()] == [(0, 1, 0, 0, 0, 0), (1, 2, 70, width, 1, 0)]


def test_a_batch_that_does_not_fit_changes_nothing():
    cache = make(n_ctx=128, n_seq_max=2)
    cache.place([(0, 100)])
    with pytest.raises(ModelError, match="the KV cache is full"):
        cache.place([(0, 1), (1, 100)])
    assert (cache.n_past(0), cache.n_past(1)) == (100, 0)


def test_what_is_forgotten_can_be_filled_again():
    cache = make(n_ctx=128, n_seq_max=1)
    for _ in range(5):
        cache.place([(0, 128)])
        cache.clear()
    assert cache.n_past() == 0


def test_a_fork_keeps_its_own_bytes_from_the_first_write():
    cache = make()
    cache.place([(0, 10)])
    cache.keys[1][:] = 7
    cache.values[0][:] = 9
    cache.fork(0, 1)
    cache.place([(1, 1)])
    block = int(cache.tables[1, 0])
    cache.values[0][:, cache.tables[0, 0]] += 1
    assert block != cache.tables[0, 0]
    cache.keys[1][:, block] += 1
    assert (cache.keys[1][:, cache.tables[0, 0]] == 7).all()
    assert (cache.values[0][:, block] == 9).all()


def test_removing_a_range_names_the_cells_that_move():
    cache = make()
    cache.place([(0, 150)])
    cells = cache.sequences.cells(0, 0, 150)
    shift = cache.remove(0, 4, 74)
    np.testing.assert_array_equal(shift.sources, cells[74:150])
    np.testing.assert_array_equal(shift.targets, cells[4:80])
    assert (set(shift.distances), cache.n_past()) == ({70}, 80)


def test_removing_the_end_moves_nothing():
    cache = make()
    cache.place([(0, 100)])
    assert len(cache.remove(0, 30, 500).sources) == 0
    assert cache.n_past() == 30


def test_removing_from_a_shared_prefix_leaves_the_other_sequence_alone():
    cache = make()
    cache.place([(0, 100)])
    cache.fork(0, 1)
    before = cache.sequences.cells(0, 0, 100)
    shift = cache.remove(1, 70, 80)
    np.testing.assert_array_equal(cache.sequences.cells(0, 0, 100), before)
    assert not set(shift.targets.tolist()) & set(before.tolist())
