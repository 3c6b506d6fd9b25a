"""Which tokens are computed and which are scored."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.errors import UsageError
from llamakit.tools.perplexity.windows import cut, cut_strided, strided_length

TOKENS = list(range(100, 150))


@pytest.mark.parametrize("n_ctx, n_chunks, wanted", [(10, None, 5), (10, 2, 2), (10, 99, 5), (10, 0, 5), (7, None, 7)])
def test_windows_follow_each_other_and_score_their_second_half(n_ctx, n_chunks, wanted):
    windows = cut(TOKENS, n_ctx, n_chunks)
    assert len(windows) == wanted
    batch = range(1, 2)
    chunk = windows.chunks(batch)[0]
    assert list(chunk.tokens) == TOKENS[n_ctx : 2 * n_ctx - 1]
    predictors = [TOKENS[n_ctx + i] for i in chunk.outputs]
    assert [token + 1 for token in predictors] == windows.targets(batch).tolist()
    assert predictors[0] == TOKENS[n_ctx + n_ctx // 2] and predictors[-1] == TOKENS[2 * n_ctx - 2]
    assert len(predictors) == windows.n_scored == n_ctx - n_ctx // 2 - 1


def test_bos_is_computed_in_place_of_the_first_token_and_kept_out_of_the_windows():
    windows = cut(TOKENS, 10, bos_id=1)
    assert [list(c.tokens[:2]) for c in windows.chunks(range(2))] == [[1, 101], [1, 111]]
    assert windows.tokens[:, 0].tolist() == [100, 110, 120, 130, 140]


def test_batches_take_every_window_once():
    windows = cut(TOKENS, 10)
    assert list(windows.batches(2)) == [range(0, 2), range(2, 4), range(4, 5)]
    assert [c.seq for c in windows.chunks(range(2, 4))] == [0, 1]
    targets = np.concatenate([windows.targets(batch) for batch in windows.batches(2)])
    np.testing.assert_array_equal(targets, windows.tokens[:, 6:].reshape(-1))


def test_strided_windows_score_their_last_tokens_each_token_once():
    windows = cut_strided(TOKENS, 16, 5)
    assert windows.tokens[:, 0].tolist() == [100, 105, 110, 115, 120, 125, 130]
    assert windows.targets(range(7)).tolist() == list(range(111, 146))
    assert windows.chunks(range(1))[0].outputs == range(10, 15)
    assert len(cut_strided(TOKENS, 16, 5, 3)) == 3


@pytest.mark.parametrize("n_ctx, stride, length", [(512, 256, 768), (512, 512, 768), (64, 50, 256), (200, 56, 256)])
def test_strided_windows_are_as_long_as_llama_cpps(n_ctx, stride, length):
    assert strided_length(n_ctx, stride) == length


@pytest.mark.parametrize("stride", [0, -1, 16, 17])
def test_a_stride_leaves_a_context(stride):
    with pytest.raises(UsageError, match="stride"):
        cut_strided(TOKENS, 16, stride)


@pytest.mark.parametrize("n_tokens, n_ctx", [(0, 512), (1, 512), (49, 25), (50, 26)])
def test_fault_95_a_text_shorter_than_two_windows_is_refused_with_what_it_has(n_tokens, n_ctx):
    for make in (lambda: cut(TOKENS[:n_tokens], n_ctx), lambda: cut_strided(TOKENS[:n_tokens], n_ctx, 8)):
        with pytest.raises(UsageError, match=rf"at least {2 * n_ctx} tokens .* context of {n_ctx}.* has {n_tokens};"):
            make()


@pytest.mark.parametrize("n_ctx", [1, 2])
def test_fault_95_a_window_that_scores_nothing_is_refused(n_ctx):
    with pytest.raises(UsageError, match="no room to score"):
        cut(TOKENS, n_ctx)
