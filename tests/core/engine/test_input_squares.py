"""What an observer sees of a running model is what the formula computes."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.engine.context import Chunk, Outputs
from llamakit.core.engine.input_squares import InputSquares
from llamakit.core.graph.ops import Experts, Linear, in_order

from ...running import N_CTX, open_context, open_decoder, reference
from ...tiny import Tiny, write_tiny

DENSE = Tiny(n_embd=40, n_ff=96)  # rows that do not fill whole vectors
MIXTURE = Tiny(n_expert=4, n_expert_used=2)
TOKENS = np.random.default_rng(3).integers(0, DENSE.n_vocab, 100)


def observe(path, wanted=lambda name: True, sizes=(100,), **options) -> tuple[InputSquares, np.ndarray]:
    """The tokens in pieces of these sizes, and their logits."""
    squares, logits, first = InputSquares(wanted), [], 0
    with open_context(path, observer=squares, **{"n_ubatch": 128, **options}) as context:
        for size in sizes:
            logits.append(context.decode([Chunk(TOKENS[first : first + size], outputs=Outputs.ALL)]))
            first += size
        squares.take()
    return squares, np.concatenate(logits)


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("models") / "dense.gguf", DENSE)


@pytest.fixture(scope="module")
def mixture(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("models") / "mixture.gguf", MIXTURE)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_sums_are_those_of_the_formula(dense, n_threads):
    squares, _ = observe(dense, n_threads=n_threads)
    decoder = open_decoder(dense)
    root = decoder.logits(N_CTX)
    values = reference(decoder, root).values(TOKENS)
    linears = [n for n in in_order(root) if isinstance(n, Linear)]
    assert sorted(squares.seen) == sorted(n.weight.name for n in linears)
    for node in linears:
        seen, x = squares.seen[node.weight.name], values[id(node.x)]
        np.testing.assert_allclose(seen.sums, (x.astype(np.float64) ** 2).sum(0, keepdims=True), rtol=2e-4)
        assert seen.counts.tolist() == [len(TOKENS)]


def test_watching_changes_no_bit_of_the_logits(dense, mixture):
    for path in (dense, mixture):
        with open_context(path) as context:
            plain = context.decode([Chunk(TOKENS, outputs=Outputs.ALL)])
        np.testing.assert_array_equal(observe(path)[1], plain)


def test_each_expert_counts_the_rows_that_reach_it(mixture):
    squares, _ = observe(mixture)
    decoder = open_decoder(mixture)
    root = decoder.logits(N_CTX)
    values = reference(decoder, root).values(TOKENS)
    for node in (n for n in in_order(root) if isinstance(n, Experts)):
        x, router = values[id(node.x)].astype(np.float64), values[id(node.router)]
        chosen = np.argsort(-router, axis=1)[:, :2]
        for name in (node.gate.name, node.up.name):
            seen = squares.seen[name]
            for e in range(4):
                rows = x[(chosen == e).any(axis=1)]
                np.testing.assert_allclose(seen.sums[e], (rows**2).sum(0), rtol=1e-3)
                assert seen.counts[e] == len(rows)
        down = squares.seen[node.down.name]
        gate, up = (reference(decoder).weights(w.name).astype(np.float64) for w in (node.gate, node.up))
        for e in range(4):
            rows = x[(chosen == e).any(axis=1)]
            g = rows @ gate[e].T
            np.testing.assert_allclose(down.sums[e], ((g / (1 + np.exp(-g)) * (rows @ up[e].T)) ** 2).sum(0), rtol=2e-2)


def test_only_what_is_wanted_is_watched(dense):
    squares, _ = observe(dense, lambda name: name == "blk.1.ffn_down.weight")
    assert list(squares.seen) == ["blk.1.ffn_down.weight"]


def test_batches_of_fewer_than_16_tokens_are_passed_over(dense):
    squares, _ = observe(dense, sizes=(20, 15, 16, 1))
    assert {int(s.counts[0]) for s in squares.seen.values()} == {36}


def test_ubatches_and_takes_add_up(dense):
    whole, _ = observe(dense)
    parts = InputSquares(lambda name: True)
    with open_context(dense, observer=parts, n_ubatch=20) as context:
        for first in (0, 40):
            context.decode([Chunk(TOKENS[first : (40, 100)[first > 0]], outputs=Outputs.ALL)])
            parts.take()
    for name, seen in parts.seen.items():
        assert seen.counts.tolist() == [100]
        np.testing.assert_allclose(seen.sums, whole.seen[name].sums, rtol=1e-5)
