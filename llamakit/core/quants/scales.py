"""The searches for a scale and a minimum that the types share.

A search looks at many groups of values at once: `x` and its weights are (n, n_groups) float32, a group per column, so
that every step is one NumPy operation over all groups. Bytes must equal ggml's, so each operation stands where ggml's
loops have it, and sums run from the first value to the last.
"""

from __future__ import annotations

import numpy as np

from llamakit.core.quants.base import Floats

# A group whose largest value is below this is stored as zeros.
FLAT = np.float32(1e-15)


def columns(values: Floats, n: int) -> Floats:
    """Groups of `n` neighbouring values side by side.   any shape -> (n, n_groups)"""
    return np.ascontiguousarray(values.reshape(-1, n).T)


def repeat_rows(imatrix: Floats, n: int, n_groups: int) -> Floats:
    """The importance of every value of every row, as `columns` lays the rows out.   (n_columns,) -> (n, n_groups)"""
    one_row: Floats = imatrix.reshape(-1, n).T
    return np.tile(one_row, (1, n_groups // one_row.shape[1]))


def total(terms: Floats) -> Floats:
    """Sum of each group, added up from first to last.   (n, n_groups) -> (n_groups,)"""
    if terms.shape[1] == 1:  # NumPy would add up a lone column pairwise
        terms = np.repeat(terms, 2, axis=1)
        return total(terms)[:1]
    sums: Floats = np.add.reduce(terms, axis=0)
    return sums


def divide(a: Floats | float, b: Floats) -> Floats:
    """a / b, and zero where b is zero."""
    return np.where(b == 0, np.float32(0), a / b)


def nearest(x: Floats, low: int, high: int) -> Floats:
    """The nearest level, halves to even, within low..high."""
    levels = np.rint(x)
    return np.clip(levels, low, high, out=levels)


def stretch(n_max: int, delta: float, step: int, start: float = 0) -> np.float32:
    """How many levels a trial spreads over the range: start + delta * step + n_max, in float32 from left to right."""
    return np.float32(start) + np.float32(delta) * np.float32(step) + np.float32(n_max)


def round_half_away(x: Floats) -> Floats:
    """The nearest integer, halves away from zero, as C's roundf."""
    whole: Floats = np.trunc(x)
    step: Floats = np.copysign(np.abs(x - whole) >= 0.5, x)
    return whole + step


def peak(x: Floats) -> Floats:
    """The value of largest magnitude of each group, signed; the first of equals.   (n, n_groups) -> (n_groups,)"""
    first = np.abs(x).argmax(axis=0)
    values: Floats = np.take_along_axis(x, first[None], axis=0)[0] + np.float32(0)  # never a negative zero
    return values


def smallest(x: Floats) -> Floats:
    """The least value of each group; of two zeros the first, with its sign.   (n, n_groups) -> (n_groups,)"""
    first = x.argmin(axis=0)
    values: Floats = np.take_along_axis(x, first[None], axis=0)[0]
    return values


def make_qx(x: Floats, weights: Floats, n_max: int) -> tuple[Floats, Floats]:
    """x = scale * (q - n_max) with least weighted square error, of 19 scales around the one that fits the peak.

    Returns scale (n_groups,), which may be negative, and q (n, n_groups) in 0..2 * n_max - 1; both zero in flat groups.
    """
    top = peak(x)
    flat = np.abs(top) < FLAT
    weighted_x = weights * x
    inverse = -stretch(n_max, 0.1, 0) / top
    scale = best = np.zeros_like(top)
    for step in (0, *range(-9, 0), *range(1, 10)):
        trial = -stretch(n_max, 0.1, step) / top
        levels = nearest(trial * x, -n_max, n_max - 1)
        sum_lx = total(weighted_x * levels)
        sum_l2 = total(weights * levels * levels)
        # The first trial stands without a contest.
        better = (sum_l2 > 0) & ((sum_lx * sum_lx > best * sum_l2) | (step == 0))
        scale = np.where(better, sum_lx / sum_l2, scale)
        best = np.where(better, scale * sum_lx, best)
        inverse = np.where(better, trial, inverse)
    q = nearest(inverse * x, -n_max, n_max - 1) + np.float32(n_max)
    return np.where(flat, np.float32(0), scale), np.where(flat, np.float32(0), q)


def make_q3(x: Floats, n_max: int) -> tuple[Floats, Floats]:
    """x = scale * (q - n_max), weights x^2: the levels that fit the peak, then each level in turn made the best.

    Returns as `make_qx`.
    """
    top = peak(x)
    flat = np.abs(top) < FLAT
    weights = x * x
    levels = nearest(np.float32(-n_max) / top * x, -n_max, n_max - 1)
    scale = descend(x, weights, levels, -n_max, n_max - 1)
    q = levels + np.float32(n_max)
    return np.where(flat, np.float32(0), scale), np.where(flat, np.float32(0), q)


def make_qp(x: Floats, weights: Floats, n_max: int) -> tuple[Floats, Floats]:
    """x = scale * q for x >= 0: the best of nine scales, then each level in turn made the best.

    Returns scale (n_groups,) and q (n, n_groups) in 0..n_max; both zero in flat groups. A negative x, the scale of a
    sub-block with hardly a column of any importance, becomes 0; in ggml it wraps around a byte.
    """
    top: Floats = x.max(axis=0, initial=0)
    flat = top < FLAT
    inverse = np.float32(n_max) / top
    diff = x - np.float32(1) / inverse * np.rint(inverse * x)
    best_error = total(weights * diff * diff)
    for step in (*range(-4, 0), *range(1, 5)):
        trial = stretch(n_max, 0.1, step) / top
        diff = x - np.float32(1) / trial * nearest(trial * x, 0, n_max)
        error = total(weights * diff * diff)
        better = error < best_error
        best_error = np.where(better, error, best_error)
        inverse = np.where(better, trial, inverse)
    levels = nearest(inverse * x, 0, n_max)
    scale = descend(x, weights, levels, 0, n_max)
    return np.where(flat, np.float32(0), scale), np.where(flat, np.float32(0), levels)


def descend(x: Floats, weights: Floats, levels: Floats, low: int, high: int) -> Floats:
    """Improves `levels` in place, coordinate by coordinate, until five passes are done or nothing changes.

    What is maximized is (sum w x l)^2 / (sum w l^2); their quotient is the scale (n_groups,) that is returned.
    """
    weighted_x = weights * x
    sum_lx = total(weighted_x * levels)
    sum_l2 = total(weights * levels * levels)
    for _ in range(5):
        changed = False
        for i in range(len(x)):
            w, wx, old = weights[i], weighted_x[i], levels[i]
            rest_lx = sum_lx - wx * old
            rest_l2 = sum_l2 - w * old * old
            new = nearest(x[i] * rest_l2 / rest_lx, low, high)
            new_lx = rest_lx + wx * new
            new_l2 = rest_l2 + w * new * new
            better = (rest_lx > 0) & (new != old) & (new_l2 > 0)
            better &= new_lx * new_lx * sum_l2 > sum_lx * sum_lx * new_l2
            if better.any():
                changed = True
                levels[i] = np.where(better, new, old)
                sum_lx = np.where(better, new_lx, sum_lx)
                sum_l2 = np.where(better, new_l2, sum_l2)
        if not changed:
            break
    return np.where(sum_l2 > 0, sum_lx / sum_l2, np.float32(0))


def make_qkx(
    x: Floats, weights: Floats, n_max: int, r_min: float, r_delta: float, n_steps: int, use_mad: bool = False
) -> tuple[Floats, Floats, Floats]:
    """x = scale * q - minimum with minimum >= 0 and least weighted square error (or absolute, with `use_mad`).

    The levels come from n_steps + 1 stretches of the range, (n_max + r_min + r_delta * step) / (max - min) each; scale
    and minimum from the weighted regression over them. Returns scale (n_groups,), minimum (n_groups,) and q
    (n, n_groups) in 0..n_max; scale and q are zero in groups without a range.
    """
    floor = smallest(x)
    floor = np.where(floor > 0, np.float32(0), floor)
    top = x.max(axis=0)
    flat = top <= floor
    sum_w, sum_x = total(weights), total(weights * x)

    def levels_at(inverse: Floats, floor: Floats) -> Floats:
        return nearest(inverse * (x - floor), 0, n_max)

    def error_of(levels: Floats, scale: Floats, floor: Floats) -> Floats:
        diff = scale * levels + floor - x
        return total(weights * (np.abs(diff) if use_mad else diff * diff))

    best_inverse, best_floor = np.float32(n_max) / (top - floor), floor  # what the best levels came from
    scale: Floats = np.float32(1) / best_inverse
    best_error = error_of(levels_at(best_inverse, floor), scale, floor)
    for step in range(n_steps + 1):
        # A better minimum moves the ranges of the steps after it.
        inverse = stretch(n_max, r_delta, step, r_min) / (top - floor)
        levels = levels_at(inverse, floor)
        weighted = weights * levels
        sum_l, sum_l2, sum_xl = total(weighted), total(weighted * levels), total(weighted * x)
        # Regression of x over the levels by Cramer's rule.
        determinant: Floats = sum_w * sum_l2 - sum_l * sum_l
        slope: Floats = sum_w * sum_xl - sum_x * sum_l
        intercept: Floats = sum_l2 * sum_x - sum_l * sum_xl
        new_scale, new_floor = slope / determinant, intercept / determinant
        above = new_floor > 0
        new_scale = np.where(above, sum_xl / sum_l2, new_scale)
        new_floor = np.where(above, np.float32(0), new_floor)
        error = error_of(levels, new_scale, new_floor)
        better = (determinant > 0) & (error < best_error)
        best_error = np.where(better, error, best_error)
        best_inverse = np.where(better, inverse, best_inverse)
        best_floor = np.where(better, floor, best_floor)
        scale = np.where(better, new_scale, scale)
        floor = np.where(better, new_floor, floor)
    q = levels_at(best_inverse, best_floor)
    return np.where(flat, np.float32(0), scale), -floor, np.where(flat, np.float32(0), q)
