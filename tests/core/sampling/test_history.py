from __future__ import annotations

import random
from collections import Counter

import pytest

from llamakit.core.sampling.history import History
from llamakit.errors import UsageError


@pytest.mark.parametrize("size, window", [(0, 0), (1, 1), (2, 1), (7, 7), (64, 5), (64, 0), (-1, -1), (-1, 3), (-1, 0)])
def test_history_keeps_the_last_tokens_and_counts_those_of_its_window(size, window):
    rng, history, tokens = random.Random(size), History(size, window, 10), []
    for n_new in (0, 1, 1, 3, 100, 2, 5, 1, *[1] * 300, 40, 17, 16, 1):
        new = [rng.randrange(10) for _ in range(n_new)]
        history.extend(new)
        tokens += new
        last = tokens[len(tokens) - min(size, len(tokens)) :] if size >= 0 else tokens
        kept = history.tokens[: history.n].tolist()
        assert kept[len(kept) - len(last) :] == last
        assert history.recent.data["n"] == history.n <= len(history.notes)
        assert history.recent.data["tokens"] == history.tokens.ctypes.data
        counted = tokens[len(tokens) - min(window, len(tokens)) :] if window >= 0 else tokens
        assert {t: c for t, c in enumerate(history.counts.tolist()) if c} == Counter(counted)


def test_a_cleared_history_is_empty():
    history = History(4, 4, 10)
    history.extend([1, 2, 3, 4, 5])
    history.clear()
    assert history.n == 0 and not history.counts.any()
    history.extend([7])
    assert history.tokens[: history.n].tolist() == [7]


@pytest.mark.parametrize("tokens", [[10], [-1], [1] * 50 + [10], [-1] + [1] * 50])
@pytest.mark.parametrize("window", [0, 64])
def test_tokens_that_do_not_exist_are_refused(tokens, window):
    with pytest.raises(UsageError, match="there is no token"):
        History(64, window, 10).extend(tokens)
