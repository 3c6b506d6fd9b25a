"""The mix is the best there is, held against every mix of small cases."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from llamakit.tools.measured import knapsack
from llamakit.tools.measured.knapsack import Knapsack, undominated


def random_groups(seed: int, n_groups: int = 5, unit: int = 1) -> list[list[tuple[int, float]]]:
    """Sizes up to 40 units; damage falls with size, more or less."""
    rng = np.random.default_rng(seed)
    groups = []
    for _ in range(n_groups):
        sizes = np.sort(rng.integers(1, 41, rng.integers(1, 6)))
        damages = rng.uniform(0, 1, len(sizes)) * np.exp(-sizes / 15)
        groups.append([(int(s) * unit, float(d)) for s, d in zip(sizes, damages, strict=True)])
    return groups


def best(groups: list[list[tuple[int, float]]], budget: int) -> float | None:
    mixes = itertools.product(*groups)
    return min((sum(d for _, d in mix) for mix in mixes if sum(s for s, _ in mix) <= budget), default=None)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("unit", [1, 1728])
def test_every_budget_gets_its_best_mix(seed, unit):
    groups = random_groups(seed, unit=unit)
    problem = Knapsack(groups, 10**9)
    for budget in range(0, 200 * unit, 7 * unit):
        wanted, found = best(groups, budget), problem.solve(budget)
        if wanted is None:
            assert found is None
            continue
        assert found is not None and found.n_bytes <= budget
        assert found.damage == pytest.approx(wanted, abs=1e-12)
        chosen = [group[i] for group, i in zip(groups, found.chosen, strict=True)]
        assert found.n_bytes == sum(s for s, _ in chosen) and found.damage == pytest.approx(sum(d for _, d in chosen))


@pytest.mark.parametrize("seed", range(10))
def test_rounded_sizes_cost_little_and_never_break_the_budget(seed, monkeypatch):
    monkeypatch.setattr(knapsack, "MOST_STEPS", 100)
    groups = random_groups(seed, n_groups=6, unit=997)
    problem = Knapsack(groups, 10**9)
    for budget in range(problem.least, 200 * 997, 3001):
        found = problem.solve(budget)
        room = 6 * problem.step
        assert found is not None and found.n_bytes <= budget
        assert found.damage <= best(groups, max(problem.least, budget - room)) + 1e-12


def test_the_frontier_falls_from_the_smallest_mix_to_no_damage():
    groups = [[(10, 1.0), (20, 0.25), (40, 0.0)], [(5, 2.0), (15, 0.0)]]
    points = Knapsack(groups, 10**9).frontier()
    assert points[0] == (15, 3.0) and points[-1] == (55, 0.0)
    assert all(a[1] >= b[1] for a, b in itertools.pairwise(points))


def test_larger_and_worse_items_are_never_taken():
    assert undominated([(10, 1.0), (12, 1.5), (9, 1.0), (20, 0.5), (30, 0.5)]) == [2, 3]


def test_a_budget_below_the_smallest_mix_has_no_solution():
    assert Knapsack([[(10, 1.0)], [(7, 0.0)]], 10**9).solve(16) is None
