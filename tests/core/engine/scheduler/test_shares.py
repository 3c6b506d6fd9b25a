"""How the tokens of a step are divided."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamakit.core.engine.scheduler.shares import shares


@pytest.mark.parametrize(
    "wanted, n_most, given",
    [
        ([], 8, []),
        ([1, 1, 1], 8, [1, 1, 1]),
        ([100], 8, [8]),
        ([100, 1, 100], 9, [4, 1, 4]),
        ([100, 2, 50], 30, [14, 2, 14]),
        ([5, 9], 100, [5, 9]),
        ([9, 9, 9], 2, [1, 1, 1]),
    ],
)
def test_who_wants_little_gets_it_and_the_others_equal_parts(wanted, n_most, given):
    assert shares(wanted, n_most) == given


@given(st.lists(st.integers(1, 1000), max_size=20), st.integers(1, 600))
def test_nobody_gets_nothing_or_more_than_wanted(wanted, n_most):
    got = shares(wanted, n_most)
    assert all(1 <= given <= want for given, want in zip(got, wanted, strict=True))
    assert sum(got) == min(sum(wanted), max(n_most, len(wanted)))
