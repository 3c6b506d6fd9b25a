"""After a context shift a sequence goes on as if the discarded tokens had never been there.

With one layer that is exact up to rounding: a key depends on its own token and position only.
"""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.errors import UsageError

from ... import golden
from ...running import open_context
from ...tiny import Tiny, write_tiny

TOKENS = np.random.default_rng(3).integers(0, 67, 150)
YARN = {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 64}


def error(got, wanted):
    return float(((got - wanted) ** 2).sum() / (wanted**2).sum())


@pytest.mark.parametrize(
    "tiny",
    [
        Tiny(n_layer=1),
        Tiny(n_layer=1, metadata={"llama.rope.dimension_count": 6}),
        Tiny(n_layer=1, metadata={f"llama.{key}": value for key, value in YARN.items()}),
        Tiny("qwen3", n_layer=1, head_dim=24),
        Tiny("gemma3", n_layer=1, head_dim=40, window=100),
    ],
    ids=["llama", "part of a head", "yarn", "qwen3", "gemma3"],
)
def test_later_tokens_are_where_they_would_have_been(tmp_path, tiny):
    path = write_tiny(tmp_path / "tiny.gguf", tiny)
    with open_context(path, n_ctx=200) as context:
        unshifted = context.prefill([*TOKENS, 7])
        context.truncate(150)
        context.shift(5, 70)
        assert context.n_past() == 80
        shifted = context.step(7)
        context.truncate(0)
        wanted = context.prefill([*TOKENS[:5], *TOKENS[75:], 7])
    assert error(shifted, wanted) < 1e-11
    assert error(unshifted, wanted) > 1e-5


@pytest.mark.parametrize("name, limit", [("f16", 1e-6), ("bf16", 1e-5), ("q8_0", 1e-4)])
def test_smaller_cells_move_too(tmp_path, name, limit):
    path = write_tiny(tmp_path / "tiny.gguf", Tiny(n_layer=1, head_dim=24))
    with open_context(path, n_ctx=200, type_k=name, type_v=name) as context:
        context.prefill(TOKENS)
        context.shift(5, 70)
        shifted = context.step(7)
        context.truncate(0)
        assert error(shifted, context.prefill([*TOKENS[:5], *TOKENS[75:], 7])) < limit


def test_other_sequences_stay_as_they_are(tmp_path):
    path = write_tiny(tmp_path / "tiny.gguf", Tiny())
    with open_context(path, n_seq_max=2) as context:
        context.prefill(TOKENS[:100])
        context.cache.fork(0, 1)
        wanted = context.step(7)
        context.shift(3, 50, seq=0)
        np.testing.assert_array_equal(context.step(7, seq=1), wanted)


def test_nothing_discarded_changes_nothing(tmp_path):
    path = write_tiny(tmp_path / "tiny.gguf", Tiny())
    with open_context(path) as context:
        context.prefill(TOKENS[:20])
        wanted = context.step(7)
        for n_keep, n_discard in ((5, 0), (20, 10), (300, 1)):
            context.truncate(20)
            context.shift(n_keep, n_discard)
            np.testing.assert_array_equal(context.step(7), wanted)
        context.truncate(20)
        context.shift(4, 300)  # all behind the first four
        assert context.n_past() == 4


@pytest.mark.parametrize("name, is_possible", [("llama-dense", True), ("bloom-dense", True), ("deepseek2-moe", False)])
def test_what_cannot_move_is_left_as_it_is(tmp_path, name, is_possible):
    """Keys of latent attention are joined of parts after their rotation."""
    with open_context(golden.write_golden(golden.excerpts()[name], tmp_path / "model.gguf")) as context:
        context.prefill(TOKENS[:20])
        assert context.can_shift == is_possible
        if not is_possible:
            with pytest.raises(UsageError, match="a deepseek2 model cannot"):
                context.shift(4, 8)
            assert context.n_past() == 20


@pytest.mark.parametrize("n_keep, n_discard", [(-1, 4), (4, -1)])
def test_negative_numbers_are_refused(tmp_path, n_keep, n_discard):
    path = write_tiny(tmp_path / "tiny.gguf", Tiny())
    with open_context(path) as context, pytest.raises(UsageError, match="at least 0"):
        context.shift(n_keep, n_discard)


def grouped_positions(n: int, width: int, factor: int, n_windows: int) -> list[int]:
    """Where self-extend puts tokens 0 .. n - 1: those of each full window share positions, the rest follow."""
    first, positions = 0, list(range(n))
    for window in range(n_windows):
        for i in range(window * width, n):
            behind = i - window * width
            positions[i] = first + (behind // factor if behind < width else behind - width + width // factor)
        first += width // factor
    return positions


@pytest.mark.parametrize("name, limit", [("f32", 1e-11), ("f16", 1e-6)])
@pytest.mark.parametrize("n_windows", [1, 2, 3])
def test_grouped_tokens_are_where_self_extend_puts_them(tmp_path, n_windows, name, limit):
    path, n = write_tiny(tmp_path / "tiny.gguf", Tiny(n_layer=1)), 140
    with open_context(path, type_k=name, type_v=name) as context:
        for i in range(n_windows):
            context.prefill(TOKENS[context.n_past() : 40 * (i + 1) + 10])
            context.group(40, 4)
        context.prefill(TOKENS[context.n_past() : n])
        assert context.n_ungrouped() == n - 40 * n_windows
        grouped = context.step(7)
        context.truncate(0)
        for i, position in enumerate(grouped_positions(n, 40, 4, n_windows)):
            context.cache.sequences.n_merged[0] = i - position
            context.step(int(TOKENS[i]))
        wanted = context.step(7)
        context.truncate(0)
        assert error(grouped, wanted) < limit
        assert error(context.prefill([*TOKENS[:n], 7]), wanted) > 1e-4


def test_grouped_positions_cannot_be_cut_but_forgotten(tmp_path):
    path = write_tiny(tmp_path / "tiny.gguf", Tiny())
    with open_context(path, n_seq_max=2) as context:
        wanted = context.prefill(TOKENS[:100])
        context.group(64, 2)
        for cut in (context.truncate, lambda n: context.shift(n, 10), lambda n: context.cache.fork(0, 1, n)):
            with pytest.raises(UsageError, match="grouped"):
                cut(63)
        context.cache.fork(0, 1)
        np.testing.assert_array_equal(context.step(7, 0), context.step(7, 1))
        context.truncate(0)
        np.testing.assert_array_equal(context.prefill(TOKENS[:100]), wanted)


@pytest.mark.parametrize("width, n", [(0, 1), (10, 3), (10, 0), (101, 1)])
def test_only_whole_windows_are_grouped(tmp_path, width, n):
    with open_context(write_tiny(tmp_path / "tiny.gguf", Tiny())) as context:
        context.prefill(TOKENS[:100])
        with pytest.raises(UsageError, match="cannot group"):
            context.group(width, n)
