"""Reductions of logits against the same in NumPy, over widths of all kinds."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from llamakit.core.graph.executor import Executor
from llamakit.core.graph.program import link
from llamakit.core.kernels.store import KernelStore
from llamakit.core.simd.target import host_target
from llamakit.errors import ModelError, UsageError
from llamakit.tools.perplexity.packed import PackedRows
from llamakit.tools.perplexity.scorer import Scorer, with_pitch

WIDTHS = [1, 2, 15, 16, 17, 31, 32, 33, 47, 63, 1000, 1025, 3000]


class Threads:
    """All that a scorer needs of a context."""

    def __init__(self, n_threads: int) -> None:
        self.executor = Executor(KernelStore().load([*Executor.KERNELS]), n_threads)

    def run_kernels(self, steps, kernels):
        self.executor.run(link(steps, kernels))


@pytest.fixture(scope="module", params=[1, 3], ids=["1 thread", "3 threads"])
def scorer(request):
    threads = Threads(request.param)
    yield Scorer(threads)
    threads.executor.close()


def make(n_vocab, n_rows=5, spread=6.0, seed=0):
    rng = np.random.default_rng(n_vocab + seed)
    logits = (spread * rng.normal(size=(n_rows, n_vocab))).astype(np.float32)
    return logits, rng.integers(0, n_vocab, n_rows)


# the same in NumPy
def log_softmax(logits):
    x = logits.astype(np.float64)
    return x - np.logaddexp.reduce(x, axis=1)[:, None]


def pack(logits):
    """llama.cpp's row in its float32 arithmetic."""
    top = logits.max(axis=1, keepdims=True)
    low = np.maximum(logits.min(axis=1, keepdims=True), top - np.float32(16))
    scale = (top - low) / np.float32(65535)
    sums = np.log(np.exp((logits - top).astype(np.float64)).sum(axis=1, keepdims=True)).astype(np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        q = np.where((logits > low) & (scale > 0), np.rint(np.float32(1) / scale * (logits - low)), 0)
    return scale[:, 0], (low - top - sums)[:, 0], q.astype(np.uint16)


def unpack(packed):
    scale, least = packed.header.astype(np.float64).T
    return scale[:, None] * packed.rows[:, 4 : 4 + packed.n_vocab] + least[:, None]


def divergence(logits, base):
    ln_p = log_softmax(logits)
    return np.where(base > -16, np.exp(base) * (base - ln_p), 0).sum(axis=1)


@pytest.mark.parametrize("n_vocab", WIDTHS)
def test_nll_is_that_of_the_softmax(scorer, n_vocab):
    logits, targets = make(n_vocab, spread=100)
    wanted = -log_softmax(logits)[np.arange(5), targets]
    np.testing.assert_allclose(scorer.nll(logits, targets), wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("n_vocab", WIDTHS)
@pytest.mark.parametrize("spread", [0.0, 1.0, 20.0])
def test_packed_rows_are_llama_cpps(scorer, n_vocab, spread):
    logits, targets = make(n_vocab, spread=spread)
    packed = PackedRows.empty(5, n_vocab)
    nll = scorer.pack(logits, targets, packed)
    np.testing.assert_array_equal(nll, scorer.nll(logits, targets))
    scale, least, q = pack(logits)
    np.testing.assert_array_equal(packed.header[:, 0], scale)
    np.testing.assert_allclose(packed.header[:, 1], least, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(packed.rows[:, 4 : 4 + n_vocab], q)
    assert packed.rows.shape[1] % 2 == 0 and not packed.rows[:, 4 + n_vocab :].any()
    np.testing.assert_allclose(packed.logprobs(targets), unpack(packed)[np.arange(5), targets])


@pytest.mark.parametrize("n_vocab", WIDTHS)
def test_a_divergence_is_the_sum_over_the_vocabulary(scorer, n_vocab):
    logits, targets = make(n_vocab)
    packed = PackedRows.empty(5, n_vocab)
    scorer.pack(logits, targets, packed)
    other = make(n_vocab, seed=1)[0]
    other[0] = logits[0]  # one row agrees
    found, base = scorer.divergence(other, targets, packed), unpack(packed)
    np.testing.assert_allclose(found.kld, divergence(other, base), rtol=1e-4, atol=2e-6)
    np.testing.assert_array_equal(found.is_same_top, other.argmax(axis=1) == base.argmax(axis=1))
    np.testing.assert_allclose(found.nll, scorer.nll(other, targets))
    np.testing.assert_allclose(found.nll_base, -base[np.arange(5), targets])
    np.testing.assert_allclose(found.p_diff, np.exp(-found.nll) - np.exp(-found.nll_base))
    assert abs(found.kld[0]) < 1e-4 and found.is_same_top[0]


def test_of_equal_logits_the_first_is_the_most_likely(scorer):
    logits = np.zeros((3, 100), np.float32)
    logits[0, [20, 70]] = logits[1, 70] = 5
    logits[2, [20, 70]] = 5
    packed = PackedRows.empty(3, 100)
    scorer.pack(logits[[1, 0, 0]], np.zeros(3, int), packed)
    assert scorer.divergence(logits, np.zeros(3, int), packed).is_same_top.tolist() == [False, False, True]


def test_tokens_that_cannot_come_have_no_weight(scorer):
    logits, targets = make(100)
    logits[:, 50:], targets[:] = -np.inf, 7
    packed = PackedRows.empty(5, 100)
    scorer.pack(logits, targets, packed)
    np.testing.assert_allclose(scorer.nll(logits, targets), scorer.nll(logits[:, :50], targets), rtol=1e-6)
    assert not packed.rows[:, 54:104].any()


def test_rows_may_lie_apart_and_what_is_between_them_does_not_count(scorer):
    logits, targets = make(100)
    room = np.full((5, 112), np.nan, np.float32)
    room[:, :100] = logits
    assert with_pitch(room[:, :100]) is not None and with_pitch(room[:, :100]).base is room
    np.testing.assert_array_equal(scorer.nll(room[:, :100], targets), scorer.nll(logits, targets))
    packed, same = PackedRows.empty(5, 100), PackedRows.empty(5, 100)
    scorer.pack(room[:, :100], targets, packed)
    scorer.pack(logits, targets, same)
    np.testing.assert_array_equal(packed.rows, same.rows)
    np.testing.assert_array_equal(
        scorer.divergence(room[:, :100], targets, packed).kld, scorer.divergence(logits, targets, packed).kld
    )


def test_packing_some_rows_leaves_the_others_alone(scorer):
    logits, targets = make(37, n_rows=7)
    packed = PackedRows.empty(9, 37)
    packed.rows[:] = 0xABCD
    scorer.pack(logits, targets, packed[1:8])
    assert (packed.rows[0] == 0xABCD).all() and (packed.rows[8] == 0xABCD).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_fault_95_logits_that_are_no_numbers_are_refused(scorer, bad):
    logits, targets = make(100)
    logits[3, 41] = bad
    packed = PackedRows.empty(5, 100)
    for call in (
        lambda: scorer.nll(logits, targets),
        lambda: scorer.pack(logits, targets, packed),
        lambda: scorer.divergence(logits, targets, packed),
    ):
        with pytest.raises(ModelError, match="not a number"):
            call()


def test_fault_95_a_token_that_cannot_come_but_came_is_refused(scorer):
    logits, _ = make(100)
    logits[2, 5] = -np.inf
    with pytest.raises(ModelError, match="not a number"):
        scorer.nll(logits, np.full(5, 5))


def test_rows_are_held_against_rows_of_the_same_kind(scorer):
    logits, targets = make(100)
    for base in (PackedRows.empty(4, 100), PackedRows.empty(5, 101)):
        with pytest.raises(UsageError, match="base rows"):
            scorer.divergence(logits, targets, base)


@pytest.mark.slow
@pytest.mark.skipif(not host_target().has_avx512, reason="this machine has one instruction set")
def test_avx2_does_the_same():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    environment = os.environ | {"NUMBA_CPU_NAME": "haswell"}
    assert subprocess.run(command, env=environment, capture_output=True).returncode == 0
