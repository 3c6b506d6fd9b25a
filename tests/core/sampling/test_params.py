"""What a user may ask for, and what is refused with the field's name."""

from __future__ import annotations

import math

import numpy as np
import pytest

from llamakit.core.sampling import SamplingParams
from llamakit.errors import UsageError


@pytest.mark.parametrize(
    "name, value",
    [("seed", -2), ("seed", 1 << 32), ("temperature", math.nan), ("temperature", 1e308), ("top_p", math.inf),
     ("top_p", -0.1), ("top_k", 1 << 40), ("min_p", math.nan), ("min_p", 1.1), ("min_keep", -1),
     ("repeat_penalty", 0.0), ("repeat_penalty", -1.0), ("repeat_penalty", math.nan), ("repeat_last_n", -2),
     ("repeat_last_n", 10**12), ("presence_penalty", math.inf), ("frequency_penalty", math.nan),
     ("samplers", ("top_q",)),
     ("mirostat", 3), ("mirostat_tau", math.nan), ("mirostat_eta", 1e9), ("dry_allowed_length", -1),
     ("dry_base", math.inf), ("dry_penalty_last_n", -2), ("xtc_threshold", -0.1), ("typical_p", -1.0),
     ("tfs_z", -1.0), ("dynatemp_exponent", -1.0), ("adaptive_target", 1.5), ("top_n_sigma", math.nan),
     ("logit_bias", {-1: 0.0}), ("logit_bias", {1: math.nan}), ("logit_bias", {1: math.inf})],
)  # fmt: skip
def test_a_value_that_makes_no_sense_is_refused_by_name(name, value):
    with pytest.raises(UsageError, match=rf"^{name}"):
        SamplingParams(**{name: value})


@pytest.mark.parametrize(
    "options",
    [{}, {"seed": 0}, {"seed": -1}, {"temperature": -1.0}, {"top_k": -5}, {"top_p": 2.0}, {"min_p": -1.0},
     {"repeat_last_n": 0}, {"logit_bias": {0: -math.inf}}],
)  # fmt: skip
def test_values_that_mean_off_are_fine(options):
    SamplingParams(**options)


@pytest.mark.parametrize(
    "options, has_penalties",
    [({}, False), ({"repeat_penalty": 1.1}, True), ({"repeat_penalty": 1.1, "repeat_last_n": 0}, False),
     ({"presence_penalty": -1.0}, True), ({"frequency_penalty": 0.1}, True)],
)  # fmt: skip
def test_penalties_are_on_when_one_of_them_changes_something(options, has_penalties):
    assert SamplingParams(**options).has_penalties is has_penalties


@pytest.mark.parametrize(
    "name", ["temperature", "top_p", "top_k", "seed", "repeat_last_n", "mirostat", "xtc_threshold"]
)
@pytest.mark.parametrize("value", ["1", [1], None, 10**400, -(10**400), 1e308, 1j])
def test_fault_71_values_of_another_kind_or_beyond_all_bounds_are_refused_by_name(name, value):
    if (name, value) == ("seed", None):
        return
    with pytest.raises(UsageError, match=rf"^{name} is"):
        SamplingParams(**{name: value})


@pytest.mark.parametrize("biases", [{"5": 1.0}, {1.5: 1.0}, {1: "much"}, {1: None}, {True: 1.0}])
def test_fault_71_a_bias_is_a_number_for_a_token(biases):
    with pytest.raises(UsageError, match=r"^logit_bias"):
        SamplingParams(logit_bias=biases)


def test_numbers_of_numpy_are_numbers():
    assert SamplingParams(top_k=np.int64(3), temperature=np.float32(0.5)).top_k == 3
