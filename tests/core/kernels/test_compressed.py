"""Summaries of positions and attention to them, against their formulas, however a text is cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from llamakit.core.gguf.types import GGMLType
from llamakit.core.graph.ops import Weight
from llamakit.core.graph.ops.compressed import CompressedAttention, Pooled
from llamakit.core.graph.reference.interpreter import Reference
from llamakit.core.kernels.batch import Batch, Run
from llamakit.core.kernels.compressed import CompressedAttention as Record
from llamakit.core.kernels.compressed import Pool
from llamakit.core.kernels.kv_cells import BLOCK, CELL_TYPES
from llamakit.core.kernels.rope import RopeStore

N_TOKENS, N_HEAD, DIM = 150, 3, 32
CUTS = [[N_TOKENS], [1] * N_TOKENS, [5, 64, 1, 80]]


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def formula(op: type, arrays: dict[str, np.ndarray], *rest: Any) -> np.ndarray:
    """What an op gives of arrays that stand in for its inputs."""
    inputs = [Weight(name, array.shape, GGMLType.F32) for name, array in arrays.items()]
    return Reference(op(*inputs, *rest), arrays.__getitem__).run(np.zeros(N_TOKENS))


def batch_of(first: int, size: int) -> Batch:
    """Tokens of sequence 1, whose blocks come in another order than its positions."""
    tables = np.array([[0, 0, 0], [2, 0, 1]], np.int32)
    positions = np.arange(first, first + size, dtype=np.int32)
    runs = np.zeros(1, Run.dtype)
    runs["n_tokens"], runs["position"], runs["table"], runs["seq"] = size, first, 3, 1
    cells = (tables[1, positions // BLOCK] * BLOCK + positions % BLOCK).astype(np.int32)
    return Batch(n_tokens=size, n_outputs=0, n_runs=1, tokens=None, positions=positions, cells=cells, outputs=None,
                 runs=runs.view(np.uint8), tables=tables)  # fmt: skip


@pytest.mark.parametrize("ratio, n_halves", [(4, 2), (4, 1), (7, 1), (128, 1)])
@pytest.mark.parametrize("sizes", CUTS, ids=["whole", "one by one", "pieces"])
def test_summaries_are_means_by_channel(run_kernel, ratio, n_halves, sizes):
    width = DIM * n_halves
    x, score, place = normal(N_TOKENS, width), normal(N_TOKENS, width, seed=1), normal(ratio, width, seed=2)
    wanted = formula(Pooled, {"x": x, "score": score, "place": place}, DIM, ratio, 0)
    states, first, got = np.full((2, ratio * n_halves * 2 * width), 7, np.float32), 0, []
    for size in sizes:
        out = np.full((size, DIM), np.nan, np.float32)
        run_kernel("compressed.pool", Pool(
            batch=batch_of(first, size), states=states, state_pitch=states.shape[1], x=x[first : first + size].copy(),
            score=score[first : first + size].copy(), place=place, out=out, pitch=width, out_pitch=DIM, n=DIM,
            ratio=ratio, n_halves=n_halves,
        ), 2)  # fmt: skip
        got.append(out)
        first += size
    np.testing.assert_allclose(np.concatenate(got), wanted, rtol=1e-4, atol=1e-5)
    assert (states[0] == 7).all()


def attended(
    run_kernel, q, keys, sinks, ratio: int, window: int, sizes: list[int], n_threads: int, chosen=None
) -> np.ndarray:
    """Stored and attended to, piece by piece."""
    cell = CELL_TYPES["f32"]
    shape: dict[str, Any] = {
        "keys": np.zeros((2, 3, cell.key_bytes(DIM)), np.uint8), "values": np.zeros((2, 3, 0), np.uint8),
        "n_head_kv": 2, "head_dim": DIM, "head_dim_v": 0, "key_bytes": cell.key_bytes(DIM), "value_bytes": 0,
    }  # fmt: skip
    first, got = 0, []
    for size in sizes:
        batch, part = batch_of(first, size), keys[first : first + size].copy()
        run_kernel("rope.rope_store[f32,f32]", RopeStore(
            batch=batch, q=part, k=part, v=part, q_pitch=0, k_pitch=2 * DIM, v_pitch=2 * DIM, q_norm=None, k_norm=None,
            angles=None, n_rot=0, is_neox=0, eps=0.0, n_head=0, **shape,
        ), n_threads)  # fmt: skip
        out = np.full((size, N_HEAD * DIM), np.nan, np.float32)
        run_kernel("compressed.attend[f32]", Record(
            batch=batch, q=q[first : first + size].copy(), out=out, sinks=sinks, q_pitch=N_HEAD * DIM,
            out_pitch=N_HEAD * DIM, n_head=N_HEAD, window=window, ratio=ratio, scale=0.3,
            chosen=None if chosen is None else chosen[first : first + size].copy(),
            chosen_pitch=0 if chosen is None else chosen.shape[1], **shape,
        ), n_threads)  # fmt: skip
        got.append(out)
        first += size
    return np.concatenate(got)


@pytest.mark.parametrize("ratio, window", [(4, 20), (7, 1), (128, 64)])
def test_attention_sees_the_last_keys_and_all_summaries(run_kernel, ratio, window):
    q, keys = normal(N_TOKENS, N_HEAD * DIM), normal(N_TOKENS, 2 * DIM, seed=1)
    sinks = np.pad(np.array([0.5, -40, 3], np.float32), (0, 13))
    arrays = {"q": q, "keys": keys, "sinks": sinks[:N_HEAD]}
    wanted = formula(CompressedAttention, arrays, 0, 0.3, window, ratio)
    whole = attended(run_kernel, q, keys, sinks, ratio, window, CUTS[0], 1)
    np.testing.assert_allclose(whole, wanted, rtol=1e-4, atol=1e-5)
    for sizes in CUTS[1:]:
        np.testing.assert_array_equal(attended(run_kernel, q, keys, sinks, ratio, window, sizes, 3), whole)


@pytest.mark.parametrize("ratio", [4, 7])
def test_only_summaries_that_are_chosen_count(run_kernel, ratio):
    q, keys = normal(N_TOKENS, N_HEAD * DIM), normal(N_TOKENS, 2 * DIM, seed=1)
    sinks = np.zeros(16, np.float32)
    bits = np.random.default_rng(3).random((N_TOKENS, 192)) < 0.3
    chosen = np.packbits(bits, axis=1, bitorder="little").view(np.float32)
    inputs = {"q": q, "keys": keys, "sinks": sinks[:N_HEAD], "chosen": chosen}
    names = {name: Weight(name, array.shape, GGMLType.F32) for name, array in inputs.items()}
    node = CompressedAttention(names["q"], names["keys"], names["sinks"], 0, 0.3, 20, ratio, chosen=names["chosen"])
    wanted = Reference(node, inputs.__getitem__).run(np.zeros(N_TOKENS))
    for sizes in CUTS:
        got = attended(run_kernel, q, keys, sinks, ratio, 20, sizes, 2, chosen)
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
