from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import llamakit.quants
from llamakit.core.gguf.types import GGMLType
from llamakit.core.quants import available, base, find_type, parse_type, quantize
from llamakit.errors import UsageError


@pytest.mark.parametrize("asked", ["q4_k", "Q4_K", 12, GGMLType.Q4_K])
def test_a_type_is_found_by_name_or_id(asked):
    assert parse_type(asked) is GGMLType.Q4_K


@pytest.mark.parametrize("asked", ["q4_k_m", "", 4, -1, 1000])
def test_an_unknown_type_is_refused_by_naming_the_known(asked):
    with pytest.raises(UsageError, match=r"unknown tensor type .* known are F32, F16, Q4_0"):
        parse_type(asked)


def test_a_type_without_a_file_is_refused():
    with pytest.raises(UsageError, match="no quantizer for tensor type I32"):
        find_type(GGMLType.I32)


@pytest.mark.parametrize("name", available())
def test_the_layout_is_as_large_as_the_block(name):
    quant = find_type(parse_type(name))
    assert quant.type.name == name
    assert quant.layout.itemsize == quant.n_bytes


def test_row_bytes_count_whole_blocks():
    assert find_type(GGMLType.Q4_0).row_bytes(96) == 54
    with pytest.raises(UsageError, match="a row of 33 does not divide"):
        find_type(GGMLType.Q4_0).row_bytes(33)


def test_only_the_file_of_the_type_asked_for_is_imported():
    code = (
        "import sys, llamakit.core.quants as quants;"
        "assert 'llamakit.core.quants.packing' not in sys.modules;"
        "quants.find_type(quants.parse_type('q4_0'));"
        "assert 'llamakit.core.quants.q4_0' in sys.modules;"
        "assert 'llamakit.core.quants.q6_k' not in sys.modules;"
        "assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_file_named_after_a_type_holds_it(monkeypatch):
    types = [name for name in available() if name not in base.PLAIN]
    assert {"Q4_0", "Q8_0", "Q2_K", "Q6_K"} <= set(types)
    assert [find_type(GGMLType[name]).type.name for name in types] == types


def test_the_public_module_is_this_one():
    assert llamakit.quants.quantize is quantize
    assert set(llamakit.quants.__all__) <= set(dir(llamakit.quants))
    assert np.array_equal(llamakit.quants.dequantize(np.zeros((1, 34), np.uint8), "q8_0"), np.zeros((1, 32)))
