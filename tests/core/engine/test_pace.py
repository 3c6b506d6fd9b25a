"""The number of threads follows what steps take, in a machine made up of numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from llamakit.core.engine.pace import MOST_PATIENCE, PATIENCE, TRIAL, WINDOW, Pace


def run(pace: Pace, n_steps: int, seconds: Callable[[int], float]) -> list[int]:
    """The numbers of threads that the steps were run with."""
    used = []
    for _ in range(n_steps):
        used.append(pace.n_threads)
        pace.took(seconds(pace.n_threads))
    return used


def quiet(n_threads: int) -> float:
    return 0.008 / n_threads


def beside_a_neighbour(n_threads: int) -> float:
    """One of four cores is taken: with a thread on each, all wait for that one."""
    return 0.02 if n_threads == 4 else quiet(n_threads)


def test_an_undisturbed_machine_uses_all_threads():
    assert set(run(Pace(4), 1000, quiet)) == {4}


def test_beside_a_neighbour_it_is_one_thread_fewer_and_back_when_it_has_gone():
    pace = Pace(4)
    run(pace, 50, quiet)
    used = run(pace, 5000, beside_a_neighbour)
    assert used[-1] == 3
    assert used[2 * WINDOW :].count(4) <= TRIAL * (6 + 5000 // MOST_PATIENCE)  # tried ever more rarely
    assert run(pace, MOST_PATIENCE + WINDOW + TRIAL, quiet)[-1] == 4


def test_after_a_short_visit_all_threads_are_soon_back():
    pace = Pace(4)
    run(pace, 50, quiet)
    assert run(pace, 2 * WINDOW, beside_a_neighbour)[-1] == 3
    assert run(pace, PATIENCE + WINDOW + TRIAL, quiet)[-1] == 4


def test_several_neighbours_take_several_threads():
    pace = Pace(4)
    run(pace, 50, quiet)
    assert run(pace, 150, lambda n: quiet(n) if n <= 2 else 0.03)[-1] == 2


def test_a_machine_that_is_slower_for_everybody_keeps_all_threads():
    pace = Pace(4)
    run(pace, 50, quiet)
    used = run(pace, 300, lambda n: 2 * quiet(n))
    assert used.count(3) == used.count(2) == used.count(1) == TRIAL  # each tried once
    assert used[-1] == 4


def test_a_text_that_grows_disturbs_nobody():
    pace, used = Pace(4), []
    for i in range(4000):
        used += run(pace, 1, lambda n, i=i: quiet(n) * (1 + i / 2000))
    assert set(used) == {4}


@pytest.mark.parametrize("spike", [1, WINDOW // 2 - 1])
def test_single_slow_steps_are_no_reason(spike):
    pace = Pace(2)
    run(pace, 50, quiet)
    run(pace, spike, lambda n: 0.1)
    assert set(run(pace, 100, quiet)) == {2}


def test_one_thread_stays_one():
    assert set(run(Pace(1), 100, lambda n: 0.1)) == {1}
