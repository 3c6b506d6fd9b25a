"""After a context shift, the cache holds what it would if the removed positions had never been."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.kernels.batch import Batch
from llamakit.core.kernels.rope import RopeStore
from llamakit.core.kv.cache import KVCache, LayerShape
from llamakit.core.kv.shift import move_layer, turns_back

N_HEAD_KV, HEAD_DIM, MAGNITUDE = 2, 40, 1.3
THETA = np.arange(300)[:, None] * 10000.0 ** (-np.arange(16) / 16)
ANGLES = (MAGNITUDE * np.stack([np.cos(THETA), np.sin(THETA)], -1)).astype(np.float32)


def fill(run_kernel, cache, kv, is_neox):
    """Store the rows of kv as the next positions of sequence 0."""
    cache.place([(0, len(kv))])
    batch = Batch(
        n_tokens=len(kv), n_outputs=0, n_runs=0, tokens=None, positions=cache.positions, cells=cache.cells,
        outputs=None, runs=None, tables=None,
    )  # fmt: skip
    k, v = (np.ascontiguousarray(half) for half in np.split(kv, 2, axis=1))
    record = RopeStore(
        batch=batch, q=None, k=k, v=v, q_norm=None, k_norm=None, angles=ANGLES, keys=cache.keys[0],
        values=cache.values[0], q_pitch=0, k_pitch=k.shape[1], v_pitch=v.shape[1], n_head=0, n_head_kv=N_HEAD_KV,
        head_dim=HEAD_DIM, head_dim_v=HEAD_DIM, n_rot=32, is_neox=int(is_neox),
        key_bytes=cache.type_k.key_bytes(HEAD_DIM), value_bytes=cache.type_v.value_bytes(HEAD_DIM), eps=0,
    )  # fmt: skip
    run_kernel(f"rope.rope_store[{cache.type_k.name},{cache.type_v.name}]", record)


def read(cache):
    """Keys and values of sequence 0 as floats, dimension by dimension (the values' tail of zeros included)."""
    n = cache.n_past()
    cells = cache.sequences.cells(0, 0, n)
    keys = unpack(cache.keys[0], cache.type_k.name, HEAD_DIM).transpose(0, 1, 3, 2).reshape(N_HEAD_KV, -1, HEAD_DIM)
    width = -(-HEAD_DIM // 16) * 16
    values = unpack(cache.values[0], cache.type_v.name, width, is_row=True).reshape(N_HEAD_KV, -1, width)
    return keys[:, cells], values[:, cells]


def unpack(memory, name, width, is_row=False):
    shape = (*memory.shape[:2], *((64, width) if is_row else (width, 64)))
    if name == "f32":
        return memory.view(np.float32).reshape(shape)
    quants = memory[..., : width * 64].view(np.int8).reshape(shape).astype(np.float32)
    scales = np.ascontiguousarray(memory[..., width * 64 :]).view(np.float16).reshape(*memory.shape[:2], -1, 64)
    scales = scales.astype(np.float32).repeat(32, axis=2)[:, :, :width]
    return quants * (scales.transpose(0, 1, 3, 2) if is_row else scales)


@pytest.mark.parametrize("name, tolerance", [("f32", 1e-5), ("q8_0", 0.05)])
@pytest.mark.parametrize("first, end", [(4, 24), (0, 64), (70, 135)])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_shifted_cells_hold_what_never_removed_ones_would(run_kernel, name, tolerance, first, end, n_threads):
    rng = np.random.default_rng(3)
    kv = rng.normal(size=(200, 2 * N_HEAD_KV * HEAD_DIM)).astype(np.float32)
    is_neox = first % 2 == 0
    shifted, fresh = (KVCache([LayerShape(N_HEAD_KV, HEAD_DIM, HEAD_DIM)], 256, name, name) for _ in range(2))
    fill(run_kernel, shifted, kv, is_neox)
    kernel, record = move_layer(shifted, 0, shifted.remove(0, first, end), ANGLES, is_neox)
    run_kernel(kernel, record, n_threads)
    fill(run_kernel, fresh, np.delete(kv, np.s_[first:end], axis=0), is_neox)
    (got_k, got_v), (want_k, want_v) = read(shifted), read(fresh)
    np.testing.assert_allclose(got_k, want_k, atol=tolerance)
    np.testing.assert_array_equal(got_v, want_v)


def test_turning_back_by_nothing_is_no_turn():
    np.testing.assert_allclose(turns_back(ANGLES, np.array([0]))[0], np.tile([1, 0], (16, 1)))
