"""softmax(q k^T) v over the paged cache, against float64 NumPy; and the promise that company changes no bit."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from llamakit.core.kernels.attention import ALL, BEHIND, SOURCE, Attention, scratch_bytes, tile_columns, tile_rows
from llamakit.core.kernels.batch import Batch, Run
from llamakit.core.kernels.kv_cells import BLOCK, CELL_TYPES
from llamakit.core.kernels.rope import RopeStore
from llamakit.core.kernels.store import KernelStore

N_BIAS = 500


@dataclass(frozen=True)
class Case:
    """Sequences of (n_past, n_tokens) in one batch; random q, k, v depend on nothing but seed and position."""

    sequences: tuple[tuple[int, int], ...] = ((0, 7),)
    n_head: int = 3
    n_head_kv: int = 3
    head_dim: int = 64
    head_dim_v: int = 64
    k_type: str = "f32"
    v_type: str = "f32"
    rows: int = 6
    window: int = 0
    softcap: float = 0.0
    is_chunked: int = 0
    is_causal: int = 1
    has_slopes: bool = False
    has_sinks: bool = False
    has_bias: bool = False  # by distance
    is_bias_by_key: bool = False
    chosen: float = 0.0  # the share of the keys that count; 0: all
    part: int = ALL
    n_source: int = 0
    shuffle: int = 0  # seed of the physical blocks' order
    n_threads: int = 1
    streams: tuple[int, ...] = field(default=())  # seeds of the sequences; default: their numbers

    @property
    def store_kernel(self):
        return f"rope.rope_store[{self.k_type},{self.v_type}]"

    @property
    def attend_kernel(self):
        return f"attention.attend[{self.k_type},{self.v_type},{self.rows},{tile_columns(self.rows)}]"

    def data(self, i):
        """q, k, v of all positions of sequence i."""
        rng = np.random.default_rng([self.streams[i] if self.streams else i, self.head_dim])
        n = sum(self.sequences[i])
        q = rng.normal(size=(1000, self.n_head, self.head_dim))[:n]
        k = rng.normal(size=(1000, self.n_head_kv, self.head_dim))[:n]
        v = rng.normal(size=(1000, self.n_head_kv, self.head_dim_v))[:n]
        return q.astype(np.float32), k.astype(np.float32), v.astype(np.float32)

    @property
    def slopes(self):
        return np.linspace(0.5, 0.01, self.n_head).astype(np.float32) if self.has_slopes else None

    @property
    def bias(self):
        """(n_head, keys up to 500 behind to 500 and a block ahead)"""
        table = np.random.default_rng(9).normal(size=(self.n_head, 2 * N_BIAS + BLOCK)).astype(np.float32)
        return table if self.has_bias else None

    def chosen_keys(self, i):
        """(n_tokens, positions) whether each key of sequence i counts; a token's own always does."""
        n_past, n = self.sequences[i]
        rng = np.random.default_rng([self.streams[i] if self.streams else i, 4])
        counts = rng.random((1000, 1000))[n_past : n_past + n, : n_past + n] < self.chosen
        counts[np.arange(n), np.arange(n_past, n_past + n)] = True
        return counts

    def chosen_bits(self):
        """Those of all tokens, 32 keys in a word, as the kernel takes them.   (tokens, words)"""
        n_bytes = max(-(-sum(s) // BLOCK) * BLOCK for s in self.sequences) // 8
        bits = [np.packbits(self.chosen_keys(i), axis=1, bitorder="little") for i in range(len(self.sequences))]
        return np.concatenate([np.pad(b, [(0, 0), (0, n_bytes - b.shape[1])]) for b in bits]).view(np.float32)

    @property
    def sinks(self):
        return np.linspace(-1, 3, self.n_head).astype(np.float32) if self.has_sinks else None


def run_case(run_kernel, case):
    """Store every position's k and v, then attend the last n_tokens: one (n_tokens, n_head, head_dim_v) a sequence."""
    k_cell, v_cell = CELL_TYPES[case.k_type], CELL_TYPES[case.v_type]
    n_blocks = [-(-sum(s) // BLOCK) for s in case.sequences]
    order = np.random.default_rng(case.shuffle).permutation(sum(n_blocks)).astype(np.int32)
    starts = np.cumsum([0, *n_blocks])
    key_bytes, value_bytes = k_cell.key_bytes(case.head_dim), v_cell.value_bytes(case.head_dim_v)
    # What an earlier sequence left behind must not matter. Scales of q8_0 stay finite with these bytes, as do floats.
    keys = np.full(len(order) * case.n_head_kv * key_bytes, 0x35, np.uint8)
    values = np.full(len(order) * case.n_head_kv * value_bytes, 0x35, np.uint8)

    data = [case.data(i) for i in range(len(case.sequences))]
    position = [np.arange(sum(s)) for s in case.sequences]
    cells = [order[starts[i] + p // BLOCK] * BLOCK + p % BLOCK for i, p in enumerate(position)]
    k, v = (np.concatenate([d[j].reshape(len(d[j]), -1) for d in data]) for j in (1, 2))
    kv = np.ascontiguousarray(np.concatenate([k, v], axis=1))
    first = kv.ctypes.data
    store = RopeStore(
        batch=make_batch(len(kv), np.concatenate(position), np.concatenate(cells)), q=None, k=first,
        v=first + 4 * k.shape[1], q_pitch=0, k_pitch=kv.shape[1], v_pitch=kv.shape[1], q_norm=None, k_norm=None,
        angles=None, keys=keys, values=values, n_head=0,
        n_head_kv=case.n_head_kv, head_dim=case.head_dim, head_dim_v=case.head_dim_v, n_rot=0, is_neox=0,
        key_bytes=key_bytes, value_bytes=value_bytes, eps=1e-6,
    )  # fmt: skip
    run_kernel(case.store_kernel, store)

    n_tokens = [s[1] for s in case.sequences]
    first = np.cumsum([0, *n_tokens])
    runs = np.zeros(len(n_tokens), Run.dtype)
    for i, (n_past, n) in enumerate(case.sequences):
        runs[i] = first[i], n, n_past, starts[i], i, case.n_source
    q = np.concatenate([d[0][-n:] for d, n in zip(data, n_tokens, strict=True)]).reshape(first[-1], -1)
    q_pitch, out_pitch = q.shape[1] + 5, case.n_head * case.head_dim_v + 3
    padded = np.full((len(q), q_pitch), 1e9, np.float32)
    padded[:, : q.shape[1]] = q
    out = np.full((len(q), out_pitch), 77, np.float32)
    n_scratch = scratch_bytes(max(map(sum, case.sequences)), case.head_dim, case.head_dim_v, case.rows)
    scratch = np.full(case.n_threads * n_scratch + 4, 0xFF, np.uint8)
    chosen = case.chosen_bits() if case.chosen else None
    attend = Attention(
        batch=make_batch(len(q), None, None, runs.view(np.uint8), order), q=padded, keys=keys, values=values, out=out,
        slopes=case.slopes, sinks=case.sinks, bias=case.bias, bias_zero=N_BIAS, part=case.part,
        is_bias_by_key=int(case.is_bias_by_key),
        chosen=chosen, chosen_pitch=0 if chosen is None else chosen.shape[1],
        scratch=scratch, scratch_pitch=n_scratch, q_pitch=q_pitch,
        out_pitch=out_pitch, n_head=case.n_head, n_head_kv=case.n_head_kv, head_dim=case.head_dim,
        head_dim_v=case.head_dim_v, key_bytes=key_bytes, value_bytes=value_bytes, window=case.window,
        is_chunked=case.is_chunked, is_causal=case.is_causal, scale=case.head_dim**-0.5, softcap=case.softcap,
    )  # fmt: skip
    run_kernel(case.attend_kernel, attend, case.n_threads)
    assert (out[:, case.n_head * case.head_dim_v :] == 77).all()
    assert (scratch[-4:] == 0xFF).all(), "scratch_bytes promises too little"
    results = out[:, : case.n_head * case.head_dim_v].reshape(len(q), case.n_head, case.head_dim_v)
    return np.split(results, first[1:-1])


def make_batch(n_tokens, positions, cells, runs=None, tables=None):
    positions, cells = (x.astype(np.int32) if x is not None else None for x in (positions, cells))
    return Batch(
        n_tokens=n_tokens, n_outputs=0, n_runs=len(runs) // Run.size if runs is not None else 0, tokens=None,
        positions=positions, cells=cells, outputs=None, runs=runs,
        tables=tables,
    )  # fmt: skip


def naive(case, i):
    """Attention of sequence i's last tokens in float64."""
    q, k, v = (x.astype(np.float64) for x in case.data(i))
    n_past, n_tokens = case.sequences[i]
    group = case.n_head // case.n_head_kv
    k, v = k.repeat(group, axis=1), v.repeat(group, axis=1)
    p_q, p_k = np.arange(n_past, n_past + n_tokens)[:, None], np.arange(n_past + n_tokens)
    scores = np.einsum("qhd,khd->hqk", q[n_past:], k) * case.head_dim**-0.5
    if case.softcap:
        scores = case.softcap * np.tanh(scores / case.softcap)
    if case.has_slopes:
        scores = scores - case.slopes[:, None, None] * np.abs(p_q - p_k)
    reach = p_q % case.window + 1 if case.is_chunked else case.window
    hidden = (p_k > p_q) * bool(case.is_causal) | (p_q - p_k >= reach) * (case.window > 0)
    hidden = hidden | (p_k - p_q >= case.window) * (case.window > 0)
    if case.chosen:
        hidden = hidden | ~case.chosen_keys(i)
    if case.has_bias:
        scores = scores + case.bias[:, N_BIAS + p_k - (0 * p_q if case.is_bias_by_key else p_q)]
    if case.part == SOURCE:
        hidden = np.broadcast_to(p_k >= case.n_source, hidden.shape)
    elif case.part == BEHIND:
        hidden = hidden | (p_k < case.n_source)
    scores = np.where(hidden, -np.inf, scores)
    peak = scores.max(axis=-1, keepdims=True)
    if case.has_sinks:
        peak = np.maximum(peak, case.sinks[:, None, None])
    weights = np.exp(scores - peak)
    total = weights.sum(axis=-1, keepdims=True)
    if case.has_sinks:
        total = total + np.exp(case.sinks[:, None, None] - peak)
    return np.einsum("hqk,khd->qhd", weights / total, v)


SHAPES = {
    "one token": Case(((0, 1),)),
    "63 positions": Case(((0, 63),)),
    "64 positions": Case(((60, 4),)),
    "65 positions": Case(((64, 1),)),
    "not a whole tile": Case(((100, 11),)),
    "two sequences": Case(((3, 9), (140, 2))),
    "many sequences of one token": Case(((3, 1), (140, 1), (0, 1), (63, 1), (64, 1))),
    "three heads share keys": Case(((70, 5),), n_head=9),
    "four heads share keys": Case(((70, 5),), n_head=8, n_head_kv=2),
    "head_dim 32": Case(((70, 5),), head_dim=32, head_dim_v=32),
    "head_dim 80": Case(((70, 5),), head_dim=80, head_dim_v=80),
    "head_dim 128": Case(((70, 5),), head_dim=128, head_dim_v=128),
    "head_dim 256": Case(((70, 5),), head_dim=256, head_dim_v=256),
    "head_dim 24": Case(((70, 5),), head_dim=24, head_dim_v=24),
    "keys of 96, values of 40": Case(((70, 5),), head_dim=96, head_dim_v=40),
    "values of 16": Case(((70, 5),), head_dim=64, head_dim_v=16),
    "window within a block": Case(((150, 9),), window=5),
    "window over blocks": Case(((300, 70),), window=100),
    "window of one": Case(((64, 3),), window=1),
    "chunks": Case(((300, 9), (0, 70)), window=100, is_chunked=1),
    "softcap": Case(((70, 5),), softcap=1.5),
    "alibi": Case(((70, 5),), has_slopes=True),
    "sinks": Case(((70, 5),), has_sinks=True),
    "sinks and window": Case(((200, 5),), n_head=6, has_sinks=True, window=16),
    "not causal": Case(((0, 75),), is_causal=0),
    "not causal with alibi": Case(((0, 75),), is_causal=0, has_slopes=True),
    "window to both sides": Case(((0, 150), (0, 3), (0, 70)), is_causal=0, window=20),
    "wide window to both sides": Case(((0, 150),), is_causal=0, window=100, has_slopes=True),
    "bias": Case(((70, 5), (0, 70)), has_bias=True),
    "bias by key": Case(((70, 5), (0, 70)), has_bias=True, is_bias_by_key=True),
    "bias to both sides": Case(((0, 150),), is_causal=0, has_bias=True),
    "some keys": Case(((70, 5), (0, 70)), chosen=0.3),
    "blocks without keys": Case(((300, 9), (0, 3)), chosen=0.01),
    "a source": Case(((170, 9), (150, 1)), part=SOURCE, n_source=100),
    "a source of whole blocks": Case(((128, 9),), part=SOURCE, n_source=128),
    "behind a source": Case(((170, 9), (150, 1)), part=BEHIND, n_source=100, has_bias=True),
    "everything": Case(((300, 9), (0, 70)), n_head=6, window=130, softcap=2.0, has_slopes=True, has_sinks=True),
}


TYPES = [("f16", "f16"), ("bf16", "bf16"), ("q8_0", "q8_0"), ("q8_0", "f16")]


@pytest.fixture(scope="module", autouse=True)
def all_kernels():
    """Compiled together, which takes less time than one after the other."""
    cases = [*SHAPES.values(), *(Case(k_type=k, v_type=v) for k, v in TYPES), *COMPANY.values()]
    KernelStore().load([*{name for case in cases for name in (case.store_kernel, case.attend_kernel)}])


@pytest.mark.parametrize("name", SHAPES)
def test_attention_is_the_formula(run_kernel, name):
    case = SHAPES[name]
    for i, got in enumerate(run_case(run_kernel, case)):
        np.testing.assert_allclose(got, naive(case, i), atol=3e-6)


@pytest.mark.parametrize("k_type, v_type", TYPES)
@pytest.mark.parametrize("head_dim", [64, 80, 24])
def test_every_cell_type_comes_close_to_the_formula(run_kernel, k_type, v_type, head_dim):
    case = Case(((130, 7),), k_type=k_type, v_type=v_type, head_dim=head_dim, head_dim_v=head_dim)
    error = run_case(run_kernel, case)[0] - naive(case, 0)
    assert np.sqrt(np.mean(error**2)) < {"f16": 1e-4, "bf16": 1e-3, "q8_0": 2e-3}[k_type]


BASE = Case(((0, 150), (70, 9)), n_head=6, n_head_kv=2, k_type="q8_0", v_type="q8_0", head_dim=80, head_dim_v=80)
COMPANY = {
    "two threads": replace(BASE, n_threads=2),
    "three threads": replace(BASE, n_threads=3),
    "other blocks": replace(BASE, shuffle=5),
    "tiles of one row": replace(BASE, rows=1),
    "tiles of one row, three threads": replace(BASE, rows=1, n_threads=3),
}


@pytest.mark.parametrize("name", COMPANY)
def test_no_bit_depends_on(run_kernel, name):
    for want, got in zip(run_case(run_kernel, BASE), run_case(run_kernel, COMPANY[name]), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    "base", [BASE, replace(BASE, window=40, k_type="f16", v_type="f16"), replace(BASE, chosen=0.1)]
)
@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_a_chunk_of_a_prompt_gives_the_bits_of_the_whole(run_kernel, base, chunk):
    whole = run_case(run_kernel, base)[0]
    for first in (0, 64 // chunk * chunk, 149 // chunk * chunk):
        n = min(chunk, 150 - first)
        alone = replace(base, sequences=((first, n),), n_threads=2)
        np.testing.assert_array_equal(run_case(run_kernel, alone)[0], whole[first : first + n])


def results_for_every_instruction_set(run_kernel):
    """Bytes that must be equal on AVX2 and AVX-512."""
    types = [("f32", "f32"), ("f16", "f16"), ("q8_0", "q8_0")]
    cases = [replace(SHAPES["everything"], k_type=k, v_type=v, head_dim_v=80, n_threads=2) for k, v in types]
    return b"".join(r.tobytes() for case in cases for r in run_case(run_kernel, case))


def test_avx2_gives_the_bits_of_the_host(run_kernel, tmp_path):
    script = f"""
import runpy
conftest = runpy.run_path({str(Path(__file__).parents[1] / "conftest.py")!r})
test = runpy.run_path({__file__!r}, run_name="test_attention")
open({str(tmp_path / "avx2")!r}, "wb").write(test["results_for_every_instruction_set"](conftest["make_runner"]()))
"""
    env = os.environ | {"NUMBA_CPU_NAME": "haswell", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    subprocess.run([sys.executable, "-c", script], env=env, check=True, timeout=120)
    assert (tmp_path / "avx2").read_bytes() == results_for_every_instruction_set(run_kernel)


@pytest.mark.parametrize(
    "n_head, n_head_kv, n_tokens, n_threads, rows",
    [
        (32, 8, 512, 2, 6),
        (32, 8, 1, 2, 4),
        (8, 8, 1, 2, 1),
        (64, 8, 1, 1, 4),
        (4, 1, 1, 1, 4),
        (4, 1, 1, 2, 2),
        (14, 2, 1, 2, 4),
    ],
)
def test_decode_tiles_fit_the_groups_and_keep_all_threads_busy(n_head, n_head_kv, n_tokens, n_threads, rows):
    assert tile_rows(n_head, n_head_kv, n_tokens, n_threads) == rows
