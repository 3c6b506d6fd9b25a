"""The searches against plain loops over one group, written as the format's description has them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

REPO = Path(__file__).parents[4]
F = np.float32
TARGETS = {"host": {}, "avx2": {"NUMBA_CPU_NAME": "haswell"}}


def groups() -> dict[str, np.ndarray]:
    """Sixteen groups of sixteen: heavy tails, all zero, too small to keep, one sign only, ties of magnitude."""
    rng = np.random.default_rng(0)
    x = rng.standard_t(3, (16, 16)).astype(F)
    x[:, 3], x[:, 5], x[:, 7] = 0, F(1e-16), np.abs(x[:, 7]) + 1
    x[:, 9], x[:, 11], x[:, 13] = -np.abs(x[:, 9]), np.sign(x[:, 11]), F(0.25) * np.arange(-8, 8)
    return {"x": x, "positive": np.abs(x), "weights": (np.abs(x) + F(0.01)) * rng.random((16, 16), F)}


@pytest.fixture(scope="module", params=TARGETS)
def results(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("probe")
    np.savez(folder / "in.npz", **groups())
    environment = os.environ | TARGETS[request.param] | {"PYTHONPATH": str(REPO)}
    command = [sys.executable, "-m", "tests.core.quants.search.probe", str(folder / "in.npz"), str(folder / "out.npz")]
    subprocess.run(command, env=environment, cwd=REPO, check=True)
    return dict(np.load(folder / "out.npz"))


def ordered_sum(terms) -> np.float32:
    result = F(0)
    for term in terms:
        result += term
    return result


def peak(x) -> np.float32:
    return x[np.abs(x).argmax()]


def test_extremes_and_sums(results):
    x = groups()["x"]
    wanted = [x.min(0), x.max(0), np.abs(x).max(0), [peak(column) for column in x.T]]
    wanted += [[ordered_sum(column) for column in x.T], [ordered_sum(column * column) for column in x.T]]
    np.testing.assert_array_equal(results["extremes numbers"], wanted)


def naive_range(x, w, n_max, r_min, r_delta, n_steps, use_mad):
    """One group: x, w (n,) -> scale, minimum, levels."""
    low, high = min(F(0), min(x)), max(x)
    sum_w, sum_x = ordered_sum(w), ordered_sum(w * x)
    if high <= low:
        return F(0), -low, np.zeros(len(x))

    def error_of(scale, low, levels):
        diff = scale * levels + low - x
        return ordered_sum(w * (np.abs(diff) if use_mad else diff * diff))

    inverse = F(n_max) / (high - low)
    scale, best = F(1) / inverse, np.clip(np.rint(inverse * (x - low)), 0, n_max)
    best_error = error_of(scale, low, best)
    for step in range(n_steps + 1):
        inverse = (F(r_min) + F(r_delta) * F(step) + F(n_max)) / (high - low)
        levels = np.clip(np.rint(inverse * (x - low)), 0, n_max)
        l1, l2, xl = ordered_sum(w * levels), ordered_sum(w * levels * levels), ordered_sum(w * levels * x)
        determinant = sum_w * l2 - l1 * l1
        if determinant > 0:
            new_scale, new_low = (sum_w * xl - sum_x * l1) / determinant, (l2 * sum_x - l1 * xl) / determinant
            if new_low > 0:
                new_scale, new_low = xl / l2, F(0)
            error = error_of(new_scale, new_low, levels)
            if error < best_error:
                best_error, scale, low, best = error, new_scale, new_low, levels
    return scale, -low, best


@pytest.mark.parametrize(
    "name, n_max, stretches, use_mad",
    [("range 3 mad", 3, (-0.5, 0.1, 15), True), ("range 15", 15, (-1.0, 0.1, 20), False)],
)
def test_a_range_is_searched_as_the_loop_does(results, name, n_max, stretches, use_mad):
    g = groups()
    for i in range(16):
        scale, minimum, levels = naive_range(g["x"][:, i], g["weights"][:, i], n_max, *stretches, use_mad)
        assert tuple(results[f"{name} numbers"][:2, i]) == (scale, minimum)
        np.testing.assert_array_equal(results[f"{name} levels"][:, i], levels)


def naive_step(x, w, n_max):
    """One group: x, w (n,) -> scale, levels from 0 up."""
    top = peak(x)
    if abs(top) < 1e-15:
        return F(0), np.zeros(len(x))
    scale = best = None
    for step in sorted(range(-9, 10), key=bool):  # zero first, then upwards
        levels = np.clip(np.rint(-(F(n_max) + F(0.1) * F(step)) / top * x), -n_max, n_max - 1)
        lx, l2 = ordered_sum(w * x * levels), ordered_sum(w * levels * levels)
        if best is None or (l2 > 0 and lx * lx > best * l2):
            scale, kept = lx / l2, levels
            best = scale * lx
    return scale, kept + n_max


@pytest.mark.parametrize("n_max", [4, 32])
def test_steps_are_searched_as_the_loop_does(results, n_max):
    g = groups()
    for i in range(16):
        scale, levels = naive_step(g["x"][:, i], g["weights"][:, i], n_max)
        assert results[f"step {n_max} numbers"][0, i] == scale
        np.testing.assert_array_equal(results[f"step {n_max} levels"][:, i], levels)


def naive_descent(x, w, levels, low, high):
    """Changes the levels of one group; returns the scale."""
    lx, l2 = ordered_sum(w * x * levels), ordered_sum(w * levels * levels)
    for _ in range(5):
        before = levels.copy()
        for i in range(len(x)):
            rest_lx, rest_l2 = lx - w[i] * x[i] * levels[i], l2 - w[i] * levels[i] * levels[i]
            if rest_lx > 0 and (low < 0 or rest_l2 > 0):
                level = np.clip(np.rint(x[i] * rest_l2 / rest_lx), low, high)
                new_lx, new_l2 = rest_lx + w[i] * x[i] * level, rest_l2 + w[i] * level * level
                if level != levels[i] and new_l2 > 0 and new_lx * new_lx * l2 > lx * lx * new_l2:
                    levels[i], lx, l2 = level, new_lx, new_l2
        if (levels == before).all():
            break
    return lx / l2 if l2 > 0 else F(0)


def test_levels_descend_one_by_one_as_in_the_loop(results):
    g = groups()
    for i in range(16):
        x = g["x"][:, i]
        scale, levels = F(0), np.zeros(16, F)
        if abs(peak(x)) >= 1e-15:
            levels = np.clip(np.rint(F(-4) / peak(x) * x), -4, 3)
            scale = naive_descent(x, x * x, levels, -4, 3)
            levels += 4
        assert results["descent 4 numbers"][0, i] == scale
        np.testing.assert_array_equal(results["descent 4 levels"][:, i], levels)


def test_positive_levels_descend_from_the_best_of_nine_scales(results):
    g = groups()
    for i in range(16):
        x, w = g["positive"][:, i], g["weights"][:, i]
        scale, levels = F(0), np.zeros(16, F)
        if x.max() >= 1e-15:
            best_error, inverse = None, None
            for step in sorted(range(-4, 5), key=bool):
                trial = (F(0.1) * F(step) + F(15)) / x.max()
                diff = x - F(1) / trial * np.minimum(np.rint(trial * x), 15)
                error = ordered_sum(w * diff * diff)
                if best_error is None or error < best_error:
                    best_error, inverse = error, trial
            levels = np.minimum(np.rint(inverse * x), 15)
            scale = naive_descent(x, w, levels, 0, 15)
        assert results["positive 15 numbers"][0, i] == scale
        np.testing.assert_array_equal(results["positive 15 levels"][:, i], levels)
