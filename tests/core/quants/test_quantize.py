"""Bytes must equal ggml's. The golden bytes are what ggml made of rows of a trained model (all-MiniLM-L6-v2)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from llamakit.core import quants
from llamakit.core.quants import available, dequantize, find_type, parse_type, quantize
from llamakit.errors import UsageError

REPO = Path(__file__).parents[3]
EXCERPT = REPO / "tests/data/quants_minilm.npz"  # a few rows, always here
GOLDEN = REPO.parent / "shared/golden/quants/minilm.npz"  # all of them

QUANTIZED = [name for name in available() if name not in ("F32", "F16", "BF16")]


@pytest.fixture(scope="module", params=[EXCERPT, GOLDEN], ids=["excerpt", "all rows"])
def golden(request):
    if not request.param.exists():
        pytest.skip("the full set of golden bytes lies outside the repository")
    with np.load(request.param) as arrays:
        return dict(arrays)


@pytest.mark.parametrize("name", QUANTIZED)
def test_bytes_equal_those_of_ggml(golden, name):
    if name not in golden:
        pytest.skip(f"{name} has no golden bytes without an imatrix")
    np.testing.assert_array_equal(quantize(golden["weights"], name), golden[name])


@pytest.mark.parametrize("name", QUANTIZED)
def test_bytes_with_an_imatrix_equal_those_of_ggml(golden, name):
    if f"{name}.imatrix" not in golden:
        pytest.skip(f"{name} has no golden bytes")
    np.testing.assert_array_equal(quantize(golden["weights"], name, golden["imatrix"]), golden[f"{name}.imatrix"])


def weights(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.02, shape).astype(np.float32)


def imatrix_for(name: str, n: int) -> np.ndarray | None:
    return np.ones(n, np.float32) if find_type(parse_type(name)).needs_imatrix else None


@pytest.mark.parametrize("name", available())
def test_a_row_is_packed_alike_alone_and_among_many(name, monkeypatch):
    rows = weights((9, 512))
    imatrix = imatrix_for(name, 512)
    whole = quantize(rows, name, imatrix)
    np.testing.assert_array_equal(quantize(rows[4:5], name, imatrix), whole[4:5])
    monkeypatch.setattr(quants, "SLAB", 1024)
    np.testing.assert_array_equal(quantize(rows, name, imatrix), whole)


@pytest.mark.parametrize("name", available())
@pytest.mark.parametrize(
    "value", [0.0, -0.0, 1.0, -3.5, 1e-40, 1e-20, 60000.0], ids=lambda value: f"all values {value:g}"
)
def test_rows_of_one_value_come_back_finite(name, value):
    rows = np.full((1, 512), value, np.float32)
    got = dequantize(quantize(rows, name, imatrix_for(name, 512)), name)
    assert np.isfinite(got).all()
    if value == 0:
        assert not got.any()


@pytest.mark.parametrize("name", available())
def test_values_that_are_not_finite_neither_raise_nor_warn(name):
    rows = weights((4, 512))
    rows[0, 3], rows[1, 40], rows[2, 300] = np.nan, np.inf, -np.inf
    assert quantize(rows, name, imatrix_for(name, 512)).shape[0] == 4


@pytest.mark.parametrize("name", [name for name in QUANTIZED if name[0] == "Q" and name not in ("Q1_0", "Q2_0")])
def test_more_bits_come_closer(name):
    rows = weights((8, 512))
    error = np.abs(dequantize(quantize(rows, name), name) - rows).mean() / np.abs(rows).mean()
    n_bits = int(name[1])
    assert 0.4 / 2**n_bits < error < 1.9 / 2**n_bits


def test_halves_are_rounded_to_even():
    rows = np.array([[1 + 2**-11, 1 + 3 * 2**-11, 1e6, -1e6]], np.float32)
    np.testing.assert_array_equal(dequantize(quantize(rows, "F16"), "F16"), [[1, 1 + 2**-9, np.inf, -np.inf]])


def test_bfloats_are_rounded_to_even_and_keep_nan():
    rows = np.array([[0x3F808000, 0x3F818000, 0x7F800001, 0xFF800000]], np.uint32).view(np.float32)
    got = quantize(rows, "BF16").view(np.uint16)
    np.testing.assert_array_equal(got, [[0x3F80, 0x3F82, 0x7FC0, 0xFF80]])


def test_q8_0_rounds_halves_away_from_zero():
    rows = np.zeros((1, 32), np.float32)
    rows[0, :6] = [127, 0.5, -0.5, 1.5, np.nextafter(np.float32(0.5), 0), -2.5]
    np.testing.assert_array_equal(dequantize(quantize(rows, "Q8_0"), "Q8_0")[0, :6], [127, 1, -1, 2, 0, -3])


def test_importance_brings_its_columns_closer():
    rows = weights((16, 256))
    imatrix = np.ones(256, np.float32)
    imatrix[::4] = 1000
    error = np.abs(dequantize(quantize(rows, "Q2_K", imatrix), "Q2_K") - rows)
    assert error[:, ::4].mean() < 0.7 * np.abs(dequantize(quantize(rows, "Q2_K"), "Q2_K") - rows)[:, ::4].mean()


def test_weights_of_other_float_types_and_more_axes_are_taken():
    rows = weights((2, 3, 64)).astype(np.float16)
    got = quantize(rows, "Q4_0")
    assert got.shape == (2, 3, 36)
    np.testing.assert_array_equal(got.reshape(6, -1), quantize(rows.astype(np.float32).reshape(6, -1), "Q4_0"))


@pytest.mark.parametrize(
    "shape, imatrix, message",
    [
        ((2, 100), None, "Q4_K packs 256 values a block; a row of 100 does not divide"),
        ((2, 256), (255,), r"importance matrix has shape \(255,\), the rows have 256 columns"),
        ((2, 256), (2, 256), r"importance matrix has shape \(2, 256\)"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(shape, imatrix, message):
    with pytest.raises(UsageError, match=message):
        quantize(weights(shape), "Q4_K", None if imatrix is None else np.abs(weights(imatrix)))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1.0])
def test_an_importance_that_is_none_is_refused(wrong):
    with pytest.raises(UsageError, match="imatrix: means of squares are finite and not below 0"):
        quantize(weights((1, 32)), "Q4_0", [1.0] * 31 + [wrong])


def test_lists_are_arrays_and_what_is_no_numbers_is_refused():
    rows = weights((2, 32))
    packed = quantize(rows.tolist(), "Q4_0")
    np.testing.assert_array_equal(packed, quantize(rows, "Q4_0"))
    np.testing.assert_array_equal(dequantize(packed.tolist(), "Q4_0"), dequantize(packed, "Q4_0"))
    for wrong in ("text", [[1.0], [2.0, 3.0]], None, 1.0):
        with pytest.raises(UsageError, match="weights: "):
            quantize(wrong, "Q4_0")
        with pytest.raises(UsageError, match="data: "):
            dequantize(wrong, "Q4_0")


def test_bytes_are_the_same_with_avx2():
    """A whole command's bytes do not depend on the machine: here the AVX2 form of what the tests above ran."""
    code = (
        "import sys, numpy as np; from llamakit.core.quants import quantize; g = np.load(sys.argv[1]);"
        "[np.testing.assert_array_equal(quantize(g['weights'], n), g[n]) for n in sys.argv[2:]]"
    )
    environment = os.environ | {"NUMBA_CPU_NAME": "haswell", "PYTHONPATH": str(REPO)}
    names = ["Q8_0", "Q4_K", "IQ4_NL", "MXFP4"]
    subprocess.run([sys.executable, "-c", code, str(EXCERPT), *names], env=environment, check=True)
