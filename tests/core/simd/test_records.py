"""Records: laid out as C would, filled with what fits, and nothing else."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from llamakit.core.simd.op import Helper, Op, helper
from llamakit.core.simd.ops import fma
from llamakit.core.simd.records import (
    Array,
    Ptr,
    Record,
    bf16,
    f16,
    f16x16,
    f32,
    f32x16,
    i8,
    i8x64,
    i16,
    i32,
    i32x16,
    i64,
    u8,
)


class Inner(Record):
    a: i8
    b: i64


class Outer(Record):
    flag: u8
    small: i16
    number: i32
    x: Ptr[f32]
    scale: f32
    counts: Array[i16, 3]
    inner: Ptr[Inner]
    last: i8


class CInner(ctypes.Structure):
    _fields_ = (("a", ctypes.c_int8), ("b", ctypes.c_int64))


class COuter(ctypes.Structure):
    _fields_ = (
        ("flag", ctypes.c_uint8), ("small", ctypes.c_int16), ("number", ctypes.c_int32), ("x", ctypes.c_void_p),
        ("scale", ctypes.c_float), ("counts", ctypes.c_int16 * 3), ("inner", ctypes.c_void_p), ("last", ctypes.c_int8),
    )  # fmt: skip


class Longer(Inner):
    c: f32
    a: i32  # narrowed or widened in its own place


@pytest.mark.parametrize("record, structure", [(Inner, CInner), (Outer, COuter)])
def test_fields_lie_where_c_puts_them(record, structure):
    wanted = {name: getattr(structure, name).offset for name, _ in structure._fields_}
    assert {name: field.offset for name, field in record.FIELDS.items()} == wanted
    assert record.dtype.itemsize == record.size
    assert -(-record.size // 8) * 8 == ctypes.sizeof(structure)


def test_a_record_may_extend_another():
    assert list(Longer.FIELDS) == ["a", "b", "c"]
    assert Longer.FIELDS["a"].kind is i32
    assert list(Inner.FIELDS) == ["a", "b"]


class Pair(Record):
    flag: u8
    x: Ptr[f32]
    inner: Ptr[Inner]


def test_values_are_kept_and_so_are_the_arrays():
    x, inner = np.arange(4, dtype=np.float32), Inner(a=-1, b=2**40)
    pair = Pair(flag=9, x=x, inner=inner)
    assert bytes(inner) == b"\xff" + bytes(7) + (2**40).to_bytes(8, "little")
    assert pair.data["x"] == x.ctypes.data
    assert pair.data["inner"] == inner.data.ctypes.data
    assert pair.values["x"] is x
    assert pair.values["inner"] is inner


class Numbers(Record):
    a: i8
    b: u8
    c: i64
    d: f32


GOOD = {"a": 1, "b": 2, "c": 3, "d": 4.0}


@pytest.mark.parametrize(
    "field, value, error, words",
    [
        ("a", 128, ValueError, "Numbers.a: 128 is no i8"),
        ("a", -129, ValueError, "is no i8"),
        ("b", -1, ValueError, "is no u8"),
        ("c", 2**63, ValueError, "is no i64"),
        ("c", 1.5, ValueError, "1.5 is no i64"),
        ("c", True, TypeError, "needs a number, got True"),
        ("c", "3", TypeError, "needs a number"),
        ("c", None, TypeError, "needs a number"),
        ("c", np.array([3]), TypeError, "needs a number"),
        ("d", "x", TypeError, "Numbers.d: needs a number"),
    ],
)
def test_a_number_that_does_not_fit_is_refused(field, value, error, words):
    with pytest.raises(error, match=words.replace(".", r"\.")):
        Numbers(**GOOD | {field: value})


def test_numbers_that_fit_may_be_of_any_kind():
    record = Numbers(a=np.int64(-128), b=np.uint8(255), c=3.0, d=np.float64(0.1))
    assert [record.data[name].item() for name in "abc"] == [-128, 255, 3]
    assert record.data["d"] == np.float32(0.1)


def test_missing_and_unknown_fields_are_all_named():
    with pytest.raises(TypeError, match="Numbers: missing field 'b', unknown field 'bb', missing field 'd'"):
        Numbers(a=1, bb=2, c=3)


class Pointers(Record):
    x: Ptr[f32]


@pytest.mark.parametrize(
    "value, error, words",
    [
        (np.zeros((4, 4), np.float32)[:, ::2], ValueError, "contiguous"),
        (np.zeros((4, 4), np.float32).T, ValueError, "contiguous"),
        (np.zeros(4, np.float64), TypeError, "needs f32 elements, got float64"),
        (np.zeros(4, np.int32), TypeError, "needs f32 elements, got int32"),
        ([1.0, 2.0], TypeError, "needs an array or an address"),
        (0, TypeError, "needs an array or an address"),
        (-8, TypeError, "needs an array or an address"),
        ("x", TypeError, "needs an array or an address"),
    ],
)
def test_a_pointer_to_something_else_is_refused(value, error, words):
    with pytest.raises(error, match=f"Pointers.x: .*{words}"):
        Pointers(x=value)


def test_what_a_pointer_may_be():
    x, raw = np.zeros(4, np.float32), np.zeros(16, np.uint8)
    assert Pointers(x=None).data["x"] == 0
    assert Pointers(x=x).data["x"] == x.ctypes.data
    assert Pointers(x=raw).data["x"] == raw.ctypes.data  # bytes may hold anything
    assert Pointers(x=4096).data["x"] == 4096
    read_only = x.copy()
    read_only.flags.writeable = False
    assert Pointers(x=read_only).data["x"] == read_only.ctypes.data


@pytest.mark.parametrize(
    "kind, name, size",
    [(i8, "i8", 1), (f16, "f16", 2), (bf16, "bf16", 2), (f32x16, "f32x16", 64), (i8x64, "i8x64", 64),
     (f16x16, "f16x16", 32), (i32x16, "i32x16", 64), (Array[f32, 6], "f32[6]", 24), (Ptr[f32x16], "ptr<f32x16>", 8),
     (Ptr[Inner], "ptr<Inner>", 8)],
)  # fmt: skip
def test_kinds_know_their_names_and_sizes(kind, name, size):
    assert (kind.name, kind.size, kind.dtype.itemsize) == (name, size, size)


def test_ops_and_helpers_run_in_kernels_only():
    assert isinstance(fma, Op)
    with pytest.raises(TypeError, match="fma runs in kernels only"):
        fma(1, 2, 3)

    @helper
    def twice(x):
        return x + x

    assert isinstance(twice, Helper)
    with pytest.raises(TypeError, match="twice runs in kernels only"):
        twice(1)
