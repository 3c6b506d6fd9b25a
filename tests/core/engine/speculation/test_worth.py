"""When guessing pays."""

from __future__ import annotations

import pytest

from llamakit.core.engine.speculation.worth import PATIENCE, StepCosts, Trust


def costs(**seconds):
    found = StepCosts()
    for n, value in seconds.items():
        found.took(int(n[1:]), value)
    return found


def test_costs_of_steps_lie_between_those_of_their_neighbours():
    found = costs(n1=1.0, n5=3.0)
    assert [found.of(n) for n in (1, 2, 3, 5)] == [1.0, 1.5, 2.0, 3.0]
    assert found.of(6) is None
    found.took(1, 2.0)
    assert found.of(1) == pytest.approx(1.1)


@pytest.mark.parametrize(
    "p, per_token, each, n",
    [
        (0.9, 0.0, 0.0, 8),  # nothing to lose
        (0.9, 1.0, 0.0, 0),  # a guess costs as much as a step
        (0.9, 0.1, 0.0, 8),
        (0.5, 0.15, 0.0, 2),
        (0.1, 0.2, 0.0, 0),
        (0.9, 0.0, 1.0, 0),  # guessing itself costs too much
    ],
)
def test_as_many_guesses_as_pay(p, per_token, each, n):
    trust = Trust()
    trust.p = p
    known = costs(**{f"n{i}": 1 + per_token * (i - 1) for i in range(1, 10)})
    assert trust.best(8, 1, known, each) == n


def test_sizes_of_steps_that_are_unknown_are_tried_one_by_one():
    trust = Trust()
    assert trust.best(8, 2, StepCosts(), 0.0) == 8
    assert trust.best(8, 2, costs(n2=1.0), 0.0) == 1
    assert trust.best(8, 2, costs(n2=1.0, n3=1.0), 0.0) == 2


def test_who_was_wrong_often_is_asked_again_later():
    trust, known = Trust(), costs(n1=1.0, n9=2.0)
    for _ in range(40):
        trust.saw(4, 0)
    assert trust.best(8, 1, known, 0.0) == 0
    trust.n_without = PATIENCE
    assert trust.best(8, 1, known, 0.0) == 8
    for _ in range(40):
        trust.saw(4, 4)
    trust.n_without = 0
    assert trust.best(8, 1, known, 0.0) == 8
