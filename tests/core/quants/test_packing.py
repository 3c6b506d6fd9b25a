from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.gguf.types import GGMLType
from llamakit.core.quants import available, dequantize, find_type, packing, quantize
from llamakit.core.quants.packing import is_finite, pack
from llamakit.errors import UsageError

TYPES = [GGMLType[name] for name in available()]


def weights(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.02, shape).astype(np.float32)


def as_bfloats(rows: np.ndarray) -> np.ndarray:
    return (rows.view(np.uint32) >> 16).astype(np.uint16)


def packed(rows: np.ndarray, type: GGMLType, imatrix: np.ndarray | None = None, n_threads: int = 1) -> np.ndarray:
    if imatrix is None and find_type(type).needs_imatrix:
        imatrix = np.ones(rows.shape[1], np.float32)
    out = np.empty((len(rows), find_type(type).row_bytes(rows.shape[1])), np.uint8)
    pack(rows, type, imatrix, out, n_threads)
    return out


@pytest.mark.parametrize("type", TYPES, ids=lambda type: type.name)
def test_halves_and_bfloats_are_packed_as_the_floats_they_are(type):
    rows = weights((5, 512))
    halves = rows.astype(np.float16)
    np.testing.assert_array_equal(packed(halves, type), packed(halves.astype(np.float32), type))
    bfloats = as_bfloats(rows)
    floats = (bfloats.astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(packed(bfloats, type), packed(floats, type))


@pytest.mark.parametrize("type", [GGMLType.Q4_K, GGMLType.Q8_0, GGMLType.BF16], ids=lambda type: type.name)
def test_the_bytes_do_not_depend_on_threads_and_chunks(type, monkeypatch):
    rows = weights((37, 768))
    whole = packed(rows, type)
    monkeypatch.setattr(packing, "CHUNK", 1000)
    np.testing.assert_array_equal(packed(rows, type, n_threads=3), whole)


@pytest.mark.parametrize("type", [GGMLType.Q4_0, GGMLType.Q4_K], ids=lambda type: type.name)
def test_importance_follows_the_columns_of_every_row(type):
    """Sixteen blocks in the lanes are of rows of three blocks each: none takes another's column or row."""
    n = 3 * find_type(type).n_values
    rows, imatrix = weights((11, n)) * np.arange(1, 12, dtype=np.float32)[:, None], weights((1, n), seed=1)[0] ** 2
    whole = packed(rows, type, imatrix)
    for row in range(11):
        np.testing.assert_array_equal(packed(rows[row : row + 1], type, imatrix)[0], whole[row])
    assert (whole != packed(rows, type, imatrix[::-1].copy())).any()


def test_only_the_given_memory_is_written():
    memory = np.full(4 * 34 + 20, 7, np.uint8)
    pack(weights((4, 32)), GGMLType.Q8_0, None, memory[10:-10].reshape(4, 34), 1)
    assert (memory[:10] == 7).all() and (memory[-10:] == 7).all()


def test_memory_of_another_size_is_refused():
    with pytest.raises(UsageError, match=r"Q8_0: rows \(4, 32\) need \(4, 34\) bytes, not \(4, 32\)"):
        pack(weights((4, 32)), GGMLType.Q8_0, None, np.empty((4, 32), np.uint8))


def test_no_rows_are_no_work():
    assert packed(weights((0, 256)), GGMLType.Q4_K).shape == (0, 144)
    assert quantize(np.empty((0, 32), np.float32), "q8_0").shape == (0, 34)


def test_a_type_that_needs_an_imatrix_is_refused_without():
    types = [type for type in TYPES if find_type(type).needs_imatrix]
    assert GGMLType.IQ2_XXS in types and GGMLType.Q2_K not in types
    with pytest.raises(UsageError, match="IQ2_XXS needs an importance matrix"):
        pack(weights((1, 256)), GGMLType.IQ2_XXS, None, np.empty((1, 66), np.uint8))


@pytest.mark.parametrize("n", [1, 15, 16, 40])
def test_floats_of_any_number_are_converted(n):
    rows = weights((3, n))
    np.testing.assert_array_equal(dequantize(packed(rows.astype(np.float16), GGMLType.F32), "f32"), rows.astype("f2"))


@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 17, 49])
def test_one_value_that_is_not_finite_is_found(value, place):
    rows = weights((2, 25))
    rows.reshape(-1)[place] = value
    assert not is_finite(rows)
    assert not is_finite(rows.astype(np.float16))
    assert not is_finite(as_bfloats(rows))


def test_the_largest_floats_are_finite():
    assert is_finite(np.array([[np.finfo("f4").max, np.finfo("f4").min, 1e-45]], np.float32))
    assert is_finite(np.array([[65504, -65504, 6e-8]], np.float16))
    assert is_finite(np.array([[0x7F7F, 0xFF7F, 1]], np.uint16))
