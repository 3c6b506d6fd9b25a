"""Damage of what was not measured, from what was."""

from __future__ import annotations

import math
from typing import Any

import pytest

from llamakit.core.gguf.types import GGMLType
from llamakit.tools.measured.candidates import Candidate, Choices
from llamakit.tools.measured.estimate import FLOOR, damage_of, reference_type

Q8, Q5, Q4, Q3, Q2 = (GGMLType[name] for name in ("Q8_0", "Q5_K", "Q4_K", "Q3_K", "Q2_K"))
ERRORS = {GGMLType.F16: 0.0, Q8: 1e-5, Q5: 1e-3, Q4: 4e-3, Q3: 16e-3, Q2: 64e-3}


class AnyTensor:
    name = "blk.0.attn_q.weight"


def choices(errors: dict[GGMLType, float] = ERRORS) -> Choices:
    tensor: Any = AnyTensor()
    return Choices(tensor, None, tuple(Candidate(type_, 100, error) for type_, error in errors.items()))


def damage(type_: GGMLType, measured: dict[GGMLType, float]) -> float:
    found = choices().find(type_)
    assert found is not None
    return damage_of(choices(), found, measured)


@pytest.mark.parametrize(
    "type_, measured, expected",
    [
        (GGMLType.F16, {}, 0.0),  # nothing is rounded
        (Q4, {Q4: 0.02}, 0.02),  # measured
        (Q4, {Q4: -1e-9}, FLOOR),
        (Q2, {Q4: 0.02}, 0.32),  # in proportion to the energy of the error
        (Q8, {Q4: 0.02}, 0.02 / 400),
        (Q3, {Q4: 0.02, Q2: 0.32}, 0.08),  # both agree with proportion
        (Q3, {Q4: 0.02, Q2: 1.28}, 0.16),  # the power law through both
        (Q2, {Q5: 0.01, Q3: 0.08}, 0.32),  # beyond the last, in proportion to it
        (Q5, {Q4: 0.02, Q2: 0.32}, 0.005),
    ],
)
def test_damage_is_measured_or_follows_the_power_law(type_, measured, expected):
    assert damage(type_, measured) == pytest.approx(expected, rel=1e-6)


def test_a_slope_that_noise_made_is_not_believed():
    low, high = damage(Q3, {Q4: 0.02, Q2: 0.0201}), damage(Q3, {Q4: 0.02, Q2: 40.0})
    assert 0.01 < low < 0.04 and high <= math.sqrt(0.02 * 16 * 40.0 / 16)


@pytest.mark.parametrize(
    "error, measured, expected",
    [(5e-3, {}, Q4), (5e-3, {Q4: 0.1}, None), (0.5, {Q4: 0.1}, Q2), (1e-9, {}, Q8)],
)
def test_the_first_type_to_measure_has_about_the_error_wanted(error, measured, expected):
    assert reference_type(choices(), error, measured) is expected


def test_where_nothing_is_rounded_nothing_is_measured():
    assert reference_type(choices({GGMLType.F16: 0.0}), 1e-3, {}) is None
