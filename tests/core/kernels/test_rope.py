"""Rotary embedding and the cache's cells, against NumPy in the same order of operations."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.kernels.batch import Batch
from llamakit.core.kernels.kv_cells import BLOCK, CELL_TYPES
from llamakit.core.kernels.rope import RopeStore
from llamakit.core.quants import dequantize, quantize

N_HEAD, N_HEAD_KV, N_CTX, N_BLOCKS = 3, 2, 300, 5


def rotate(x, angles, is_neox):
    """x: (..., head_dim), angles: (..., n_rot / 2, 2), both float32"""
    half = angles.shape[-2]
    low = np.arange(half) if is_neox else 2 * np.arange(half)
    high = low + (half if is_neox else 1)
    cos, sin = angles[..., 0], angles[..., 1]
    out = x.copy()
    out[..., low] = x[..., low] * cos - x[..., high] * sin
    out[..., high] = x[..., low] * sin + x[..., high] * cos
    return out


def angle_table(n_rot):
    theta = np.arange(N_CTX)[:, None] * 10000.0 ** (-2 * np.arange(n_rot // 2) / n_rot)
    return np.stack([np.cos(theta), np.sin(theta)], -1).astype(np.float32)


def as_stored(x, name):
    """x after a round trip through a cell type.   (..., head_dim)"""
    if name == "f32":
        return x
    if name == "f16":
        return x.astype(np.float16).astype(np.float32)
    if name == "bf16":
        return dequantize(quantize(x.reshape(1, -1), "bf16"), "bf16").reshape(x.shape)
    padded = np.zeros((*x.shape[:-1], -(-x.shape[-1] // 32) * 32), np.float32)
    padded[..., : x.shape[-1]] = x
    rows = padded.reshape(-1, padded.shape[-1])
    return dequantize(quantize(rows, name), name).reshape(padded.shape)[..., : x.shape[-1]]


def read_keys(memory, name, head_dim):
    """Bytes of a layer's keys -> (n_blocks * 64, n_head_kv, head_dim)"""
    cell = CELL_TYPES[name]
    groups = memory.reshape(N_HEAD_KV, -1, cell.key_bytes(head_dim))
    n = head_dim * BLOCK * cell.element.size
    x = widen(groups[..., :n], name).reshape(N_HEAD_KV, -1, head_dim, BLOCK)
    if name == "q8_0":
        scales = (
            np.ascontiguousarray(groups[..., n:]).view(np.float16).reshape(N_HEAD_KV, -1, -(-head_dim // 32), BLOCK)
        )
        x = x * scales.astype(np.float32).repeat(32, axis=2)[:, :, :head_dim]
    return x.transpose(1, 3, 0, 2).reshape(-1, N_HEAD_KV, head_dim)


def read_values(memory, name, head_dim):
    """Bytes of a layer's values -> (n_blocks * 64, n_head_kv, head_dim)"""
    cell = CELL_TYPES[name]
    padded = -(-head_dim // 16) * 16
    groups = memory.reshape(N_HEAD_KV, -1, cell.value_bytes(head_dim))
    n = padded * BLOCK * cell.element.size
    x = widen(groups[..., :n], name).reshape(N_HEAD_KV, -1, BLOCK, padded)
    assert not x[..., head_dim:].any()
    if name == "q8_0":
        scales = (
            np.ascontiguousarray(groups[..., n:]).view(np.float16).reshape(N_HEAD_KV, -1, -(-head_dim // 32), BLOCK)
        )
        x = x * scales.astype(np.float32).repeat(32, axis=2)[:, :, :padded].transpose(0, 1, 3, 2)
    return x[..., :head_dim].transpose(1, 2, 0, 3).reshape(-1, N_HEAD_KV, head_dim)


def widen(data, name):
    data = np.ascontiguousarray(data)
    if name == "bf16":
        return (data.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return data.view(CELL_TYPES[name].element.dtype).astype(np.float32)


class Case:
    """A batch of random q, k, v at scattered positions and cells, and an empty cache."""

    def __init__(self, n_tokens=5, head_dim=64, n_rot=64, is_neox=0, k_type="f32", v_type="f32", has_norm=False):
        rng = np.random.default_rng(head_dim + n_rot)
        self.head_dim, self.k_type, self.v_type, self.is_neox = head_dim, k_type, v_type, is_neox
        self.width = (N_HEAD + 2 * N_HEAD_KV) * head_dim
        self.qkv = rng.normal(size=(n_tokens, self.width + 16)).astype(np.float32)
        self.positions = rng.integers(0, N_CTX, n_tokens).astype(np.int32)
        self.cells = rng.permutation(N_BLOCKS * BLOCK)[:n_tokens].astype(np.int32)
        self.angles = angle_table(n_rot) if n_rot else None
        self.weights = np.zeros((2, -(-head_dim // 16) * 16), np.float32)
        self.weights[:, :head_dim] = rng.normal(1, 0.1, (2, head_dim))
        self.has_norm = has_norm
        k, v = CELL_TYPES[k_type], CELL_TYPES[v_type]
        self.keys = np.zeros(N_BLOCKS * N_HEAD_KV * k.key_bytes(head_dim), np.uint8)
        self.values = np.zeros(N_BLOCKS * N_HEAD_KV * v.value_bytes(head_dim), np.uint8)

    def heads(self):
        """Copies of q, k, v: (n_tokens, n_heads, head_dim)"""
        heads = self.qkv[:, : self.width].reshape(len(self.qkv), -1, self.head_dim)
        return np.split(heads.copy(), [N_HEAD, N_HEAD + N_HEAD_KV], axis=1)

    def stored_keys(self):
        """(n_tokens, n_heads, head_dim)"""
        return read_keys(self.keys, self.k_type, self.head_dim)[self.cells]

    def run(self, run_kernel, n_threads=1):
        batch = Batch(
            n_tokens=len(self.qkv), n_outputs=0, n_runs=0, tokens=None, positions=self.positions, cells=self.cells,
            outputs=None, runs=None, tables=None,
        )  # fmt: skip
        pitch, first = self.width + 16, self.qkv.ctypes.data
        places = {
            "q": first, "k": first + 4 * N_HEAD * self.head_dim, "v": first + 4 * (N_HEAD + N_HEAD_KV) * self.head_dim,
            "q_pitch": pitch, "k_pitch": pitch, "v_pitch": pitch,
        }  # fmt: skip
        record = RopeStore(
            batch=batch, angles=self.angles, keys=self.keys, values=self.values, **places,
            q_norm=self.weights[0] if self.has_norm else None, k_norm=self.weights[1] if self.has_norm else None,
            n_head=N_HEAD, n_head_kv=N_HEAD_KV, head_dim=self.head_dim, head_dim_v=self.head_dim,
            n_rot=2 * self.angles.shape[1] if self.angles is not None else 0, is_neox=self.is_neox,
            key_bytes=CELL_TYPES[self.k_type].key_bytes(self.head_dim),
            value_bytes=CELL_TYPES[self.v_type].value_bytes(self.head_dim), eps=1e-6,
        )  # fmt: skip
        run_kernel(f"rope.rope_store[{self.k_type},{self.v_type}]", record, n_threads)


@pytest.mark.parametrize("is_neox", [0, 1])
@pytest.mark.parametrize(
    "head_dim, n_rot", [(64, 64), (32, 32), (128, 64), (80, 32), (24, 24), (40, 20), (256, 256), (16, 2)]
)
def test_rotation_gives_the_bits_of_numpy(run_kernel, head_dim, n_rot, is_neox):
    case = Case(head_dim=head_dim, n_rot=n_rot, is_neox=is_neox)
    q, k, v = case.heads()
    rest = case.qkv[:, case.width :].copy()
    case.run(run_kernel)
    angles = case.angles[case.positions][:, None]
    new_q, same_k, new_v = case.heads()
    np.testing.assert_array_equal(new_q, rotate(q, angles, is_neox))
    np.testing.assert_array_equal(case.stored_keys(), rotate(k, angles, is_neox))
    np.testing.assert_array_equal(same_k, k)
    np.testing.assert_array_equal(new_v, v)
    np.testing.assert_array_equal(case.qkv[:, case.width :], rest)


@pytest.mark.parametrize("head_dim, n_rot", [(64, 64), (24, 0), (80, 80)])
def test_heads_are_normed_before_they_turn(run_kernel, head_dim, n_rot):
    case = Case(head_dim=head_dim, n_rot=n_rot, is_neox=1, has_norm=True)
    heads = case.heads()[:2]
    case.run(run_kernel)
    for x, weight, got in zip(heads, case.weights, (case.heads()[0], case.stored_keys()), strict=True):
        x = x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + 1e-6) * weight[:head_dim]
        if case.angles is not None:
            x = rotate(x, case.angles[case.positions][:, None], True)
        np.testing.assert_allclose(got, x, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("name", CELL_TYPES)
@pytest.mark.parametrize("head_dim", [64, 24, 80])
def test_cells_hold_keys_and_values_as_their_type_rounds(run_kernel, name, head_dim):
    case = Case(n_tokens=9, head_dim=head_dim, n_rot=0, k_type=name, v_type=name)
    _, k, v = case.heads()
    case.run(run_kernel)
    keys, values = read_keys(case.keys, name, head_dim), read_values(case.values, name, head_dim)
    np.testing.assert_array_equal(keys[case.cells], as_stored(k, name))
    np.testing.assert_array_equal(values[case.cells], as_stored(v, name))
    empty = np.setdiff1d(np.arange(N_BLOCKS * BLOCK), case.cells)
    assert not keys[empty].any() and not values[empty].any()


def test_a_head_of_zeros_is_stored_as_zeros(run_kernel):
    case = Case(k_type="q8_0", v_type="q8_0")
    case.qkv[:] = 0
    case.keys[:], case.values[:] = 1, 1
    case.run(run_kernel)
    assert not read_keys(case.keys, "q8_0", 64)[case.cells].any()
    assert not read_values(case.values, "q8_0", 64)[case.cells].any()


def test_threads_give_the_same_bits(run_kernel):
    results = []
    for n_threads in (1, 2, 3, 40):
        case = Case(has_norm=True)
        case.run(run_kernel, n_threads)
        results.append((case.qkv.tobytes(), case.keys.tobytes(), case.values.tobytes()))
    assert len(set(results)) == 1
