from __future__ import annotations

import random
from collections import Counter

import pytest

from llamakit.core.sampling.history import History


@pytest.mark.parametrize("size", [0, 1, 2, 7, 64])
def test_history_counts_the_last_tokens(size):
    rng, history, tokens = random.Random(size), History(size, 10), []
    for n_new in (0, 1, 1, 3, 100, 2, 5, 1):
        new = [rng.randrange(10) for _ in range(n_new)]
        history.extend(new)
        tokens += new
        last = tokens[len(tokens) - min(size, len(tokens)) :]
        assert sorted(history.recent[: history.n[0]].tolist()) == sorted(last)
        assert {t: c for t, c in enumerate(history.counts.tolist()) if c} == Counter(last)


def test_a_cleared_history_is_empty():
    history = History(4, 10)
    history.extend([1, 2, 3, 4, 5])
    history.clear()
    assert history.n[0] == 0 and not history.counts.any()
    history.extend([7])
    assert history.recent[: history.n[0]].tolist() == [7]
