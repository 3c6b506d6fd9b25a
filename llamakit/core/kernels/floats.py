"""Floats to floats of another kind, and whether all of them are numbers."""

from __future__ import annotations

from typing import Any

from llamakit.core.kernels.kernel import Kernel, kernel, share
from llamakit.core.kernels.pack import SOURCES
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import any_lane, as_int, less_i32, vabs, view
from llamakit.core.simd.records import Ptr, Record, Vector, f32x16, i8, i32x16, i64

KINDS = {source.name.lower(): kind for source, kind in SOURCES.items()}


class Convert(Record):
    """n floats of one kind to n of another."""

    source: Ptr[i8]
    kind: i64  # a Source
    out: Ptr[i8]
    n: i64


def converter(source_kind: Vector, out_kind: Vector) -> Any:
    """The helper that converts values first .. last - 1."""
    source_element, out_element = source_kind.element, out_kind.element

    @helper
    def convert_part(source, out, first, last):
        whole = (last - first) // 16
        wide_source = view(view(source, source_element) + first, source_kind)
        wide_out = view(view(out, out_element) + first, out_kind)
        for i in range(whole):
            wide_out[i] = wide_source[i]
        for k in range(first + 16 * whole, last):
            view(out, out_element)[k] = view(source, source_element)[k]

    return convert_part


def convert(name: str) -> Kernel:
    """To the nearest float of a kind, ties to even; what is too large becomes infinite, NaN stays one."""
    from_f32, from_f16, from_bf16 = (converter(kind, KINDS[name]) for kind in SOURCES.values())

    @kernel(Convert)
    def convert_all(op, thread, n_threads):
        first, last = share(op.n, thread, n_threads)
        if op.kind == 1:
            from_f16(op.source, op.out, first, last)
        elif op.kind == 2:
            from_bf16(op.source, op.out, first, last)
        else:
            from_f32(op.source, op.out, first, last)

    return convert_all


class Check(Record):
    """n floats; found[0] becomes 1 if one of them is infinite or no number."""

    constant = False
    source: Ptr[i8]
    kind: i64
    n: i64
    found: Ptr[i64]


@helper
def has_no_number(x):
    return any_lane(less_i32(i32x16(0x7F7FFFFF), as_int(vabs(x))))


def checker(kind: Vector) -> Any:
    """The helper that tells whether one of the values first .. last - 1 is not finite."""
    element = kind.element

    @helper
    def check_part(source, first, last):
        wide, whole = view(view(source, element) + first, kind), (last - first) // 16
        for i in range(whole):
            if has_no_number(wide[i]) != 0:
                return 1
        for k in range(first + 16 * whole, last):
            if has_no_number(f32x16(view(source, element)[k])) != 0:
                return 1
        return 0

    return check_part


check_f32, check_f16, check_bf16 = (checker(kind) for kind in SOURCES.values())


@kernel(Check)
def check(op, thread, n_threads):
    """found = any |x| above the largest float"""
    first, last = share(op.n, thread, n_threads)
    if op.kind == 1:
        found = check_f16(op.source, first, last)
    elif op.kind == 2:
        found = check_bf16(op.source, first, last)
    else:
        found = check_f32(op.source, first, last)
    if found != 0:
        op.found[0] = 1
