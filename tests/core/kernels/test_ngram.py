"""Table rows found by the last few tokens, against the formula, however a text is cut."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.gguf.types import GGMLType
from llamakit.core.graph.ops import Tokens, Weight
from llamakit.core.graph.ops.recurrent import Convolution, NgramEmbed
from llamakit.core.graph.reference.interpreter import Reference
from llamakit.core.kernels.batch import Batch, Run
from llamakit.core.kernels.ngram import Hash

EOS, SIZE, OFFSET = 5, 1009, 40
MULTIPLIERS = [
    [3, 7], [1, 3, 5], [2**63 + 11, 2**64 - 3, 0x9E3779B97F4A7C15, 1],
]  # fmt: skip
TOKENS = np.random.default_rng(3).integers(0, 200_000, 40)
TOKENS[[4, 9, 10, 25]] = EOS


def wanted(multipliers: list[int], tokens: np.ndarray) -> np.ndarray:
    """The table has its own row numbers in it."""
    rows = np.arange(SIZE + OFFSET, dtype=np.float32)[:, None]
    table = Weight("table", rows.shape, GGMLType.F32)
    node = NgramEmbed(Tokens(), table, tuple(multipliers), SIZE, OFFSET, EOS, 0)
    return Reference(node, lambda name: rows).run(tokens)[:, 0].astype(int)


@pytest.mark.parametrize("multipliers", MULTIPLIERS, ids=["two tokens", "three tokens", "four, beyond 63 bits"])
@pytest.mark.parametrize("sizes", [[40], [1] * 40, [3, 1, 30, 6]], ids=["whole", "one by one", "pieces"])
def test_hashes_are_the_formula_however_a_text_is_cut(run_kernel, multipliers, sizes):
    states, first, got = np.zeros((2, 16), np.float32), 0, []
    numbers = np.array(multipliers, np.uint64).view(np.int64)
    for size in sizes:
        tokens = TOKENS[first : first + size].astype(np.int32)
        runs = np.zeros(1, Run.dtype)
        runs["n_tokens"], runs["position"], runs["seq"] = size, first, 1
        batch = Batch(n_tokens=size, n_outputs=0, n_runs=1, tokens=tokens, positions=None, cells=None, outputs=None,
                      runs=runs.view(np.uint8), tables=None)  # fmt: skip
        ids = np.full(size, -1, np.int32)
        run_kernel("ngram.hash", Hash(batch=batch, states=states, state_pitch=16, ids=ids, multipliers=numbers,
                                      n=len(numbers), size=SIZE, offset=OFFSET, eos=EOS), 2)  # fmt: skip
        got.append(ids)
        first += size
    np.testing.assert_array_equal(np.concatenate(got), wanted(multipliers, TOKENS))
    assert not states[0].any()


def test_tokens_before_an_end_of_text_do_not_count():
    a, b = TOKENS.copy(), TOKENS.copy()
    b[:25] = 17
    b[25] = EOS
    np.testing.assert_array_equal(wanted(MULTIPLIERS[1], a)[26:], wanted(MULTIPLIERS[1], b)[26:])
    assert (wanted(MULTIPLIERS[1], a)[:20] != wanted(MULTIPLIERS[1], b)[:20]).any()


@pytest.mark.parametrize("dilation", [1, 3])
def test_a_convolution_passes_tokens_over(dilation):
    x, taps = np.random.default_rng(1).standard_normal((20, 6)).astype(np.float32), np.ones((6, 3), np.float32)
    values = {"x": x, "taps": taps}
    rows, weight = (Weight(name, value.shape, GGMLType.F32) for name, value in values.items())
    run = Reference(Convolution(rows, weight, 0, dilation=dilation), values.__getitem__)
    padded = np.concatenate([np.zeros((2 * dilation, 6), np.float32), x])
    whole = sum(padded[j * dilation : j * dilation + 20] for j in range(3))
    np.testing.assert_allclose(run.run(np.zeros(20)), whole, rtol=1e-5)
