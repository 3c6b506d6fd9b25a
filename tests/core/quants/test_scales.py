"""The searches against plain loops over one group, written as the format's description has them."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.quants.scales import columns, make_q3, make_qkx, make_qp, make_qx, peak, round_half_away, total

F = np.float32


def groups(n: int, n_groups: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.standard_t(3, (n, n_groups)).astype(F)
    x[:, ::7] = 0
    return x


def ordered_sum(terms) -> np.float32:
    result = F(0)
    for term in terms:
        result += term
    return result


@pytest.mark.parametrize("n_groups", [1, 2, 3, 8, 1000])
def test_sums_run_from_first_to_last_whatever_the_number_of_groups(n_groups):
    terms = groups(256, n_groups)
    np.testing.assert_array_equal(total(terms), [ordered_sum(column) for column in terms.T])


def test_groups_of_neighbours_become_columns():
    np.testing.assert_array_equal(columns(np.arange(6, dtype=F).reshape(1, 6), 2), [[0, 2, 4], [1, 3, 5]])


@pytest.mark.parametrize(
    "x, expected", [([1, -3, 3], -3), ([1, 3, -3], 3), ([0, 0, 0], 0), ([-0.0, 0, 0], 0), ([2, -1, 0], 2)]
)
def test_the_peak_is_the_first_of_largest_magnitude(x, expected):
    got = peak(np.array(x, F)[:, None])[0]
    assert got == expected
    assert not (np.signbit(got) and got == 0)


@pytest.mark.parametrize("x, expected", [(0.5, 1), (-0.5, -1), (2.5, 3), (np.nextafter(F(0.5), F(0)), 0), (-1.2, -1)])
def test_halves_round_away_from_zero(x, expected):
    assert round_half_away(np.array([x], F))[0] == expected


@pytest.mark.parametrize("n_max", [4, 8, 32])
def test_qx_beats_the_scale_that_fits_the_peak(n_max):
    x = groups(16, 50)
    weights = np.abs(x) + F(0.1)
    with np.errstate(all="ignore"):
        scale, q = make_qx(x, weights, n_max)
        simple = peak(x) / -n_max
        rounded = simple * np.clip(np.rint(x / simple), -n_max, n_max - 1)
    assert q.min() >= 0 and q.max() <= 2 * n_max - 1
    error = (weights * (scale * (q - n_max) - x) ** 2).sum(axis=0)
    simple_error = np.nan_to_num((weights * (rounded - x) ** 2).sum(axis=0))
    assert (error <= simple_error * F(1.0001)).all()
    assert error.sum() < 0.95 * simple_error.sum()


def naive_q3(x, n_max):
    """One group: x (n,) -> scale, q."""
    top = x[np.abs(x).argmax()]
    if top == 0:
        return F(0), np.zeros(len(x))
    levels, w = np.clip(np.rint(F(-n_max) / top * x), -n_max, n_max - 1), x * x
    lx, l2 = ordered_sum(w * x * levels), ordered_sum(w * levels * levels)
    for _ in range(5):
        before = levels.copy()
        for i in range(len(x)):
            rest_lx, rest_l2 = lx - w[i] * x[i] * levels[i], l2 - w[i] * levels[i] * levels[i]
            if rest_lx > 0:
                level = np.clip(np.rint(x[i] * rest_l2 / rest_lx), -n_max, n_max - 1)
                new_lx, new_l2 = rest_lx + w[i] * x[i] * level, rest_l2 + w[i] * level * level
                if level != levels[i] and new_l2 > 0 and new_lx * new_lx * l2 > lx * lx * new_l2:
                    levels[i], lx, l2 = level, new_lx, new_l2
        if (levels == before).all():
            break
    return lx / l2, levels + n_max


def test_q3_equals_the_loop_over_one_group():
    x = groups(16, 40, seed=5)
    with np.errstate(all="ignore"):
        scale, q = make_q3(x, 4)
    for group in range(x.shape[1]):
        expected_scale, expected_q = naive_q3(x[:, group], 4)
        assert scale[group] == expected_scale
        np.testing.assert_array_equal(q[:, group], expected_q)


def test_qp_of_exact_multiples_is_exact():
    x = np.array([[0, 1, 2, 15, 7, 3]], F).T * F(0.25)
    scale, q = make_qp(x, np.ones_like(x), 15)
    np.testing.assert_array_equal(scale * q, x)


def naive_qkx(x, w, n_max, r_min, r_delta, n_steps, use_mad):
    """One group: x, w (n,) -> scale, minimum, q."""
    low, high = min(F(0), min(x)), max(x)
    sum_w, sum_x = ordered_sum(w), ordered_sum(w * x)
    if high == low:
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


@pytest.mark.parametrize("n_max, search, use_mad", [(3, (-0.5, 0.1, 15), True), (15, (-1.0, 0.1, 20), False)])
def test_qkx_equals_the_loop_over_one_group(n_max, search, use_mad):
    x = groups(16, 20, seed=3)
    x[:, 1] = np.abs(x[:, 1]) + 1
    weights = np.abs(x) + F(0.01)
    with np.errstate(all="ignore"):
        scale, minimum, q = make_qkx(x, weights, n_max, *search, use_mad=use_mad)
    for group in range(x.shape[1]):
        expected = naive_qkx(x[:, group], weights[:, group], n_max, *search, use_mad)
        assert (scale[group], minimum[group]) == expected[:2]
        np.testing.assert_array_equal(q[:, group], expected[2])
