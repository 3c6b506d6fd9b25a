"""Vectors and pointers as Numba types: vectors live in registers, pointers know what they point to."""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.core.datamodel import models
from numba.extending import register_model

from llamakit.core.simd.records import Array, Ptr, Scalar, Vector

I8, I16, I32, I64, F16, F32 = (*(ir.IntType(n) for n in (8, 16, 32, 64)), ir.HalfType(), ir.FloatType())
MEMORY = {"i8": I8, "u8": I8, "i16": I16, "i32": I32, "i64": I64, "f16": F16, "bf16": I16, "f32": F32}
NUMBER = {
    "i8": types.int8, "u8": types.uint8, "i16": types.int16, "i32": types.int32, "i64": types.int64,
    "f16": types.float32, "bf16": types.float32, "f32": types.float32,
}  # fmt: skip


class VectorType(types.Type):
    """Numba's view of a Vector; f16 and bf16 lanes are widened to f32 on load, so the type is that of f32 lanes."""

    def __init__(self, vector):
        self.lanes, self.element = vector.lanes, NUMBER[vector.element.name]
        self.is_float = vector.element.is_float
        self.llvm = ir.VectorType(F32 if self.is_float else MEMORY[vector.element.name], vector.lanes)
        super().__init__(f"{'f32' if self.is_float else vector.element.name}x{vector.lanes}")


@register_model(VectorType)
class VectorModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, kind.llvm)


class PointerType(types.Type):
    """`constants` are record fields fixed when the kernel is compiled: reading one is no load but a number."""

    def __init__(self, element, **constants):
        self.element, self.constants = element, constants
        super().__init__(f"ptr<{element.name}{constants or ''}>")


@register_model(PointerType)
class PointerModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, I8.as_pointer())


def value_type(kind):
    """The Numba type a kernel gets when it reads memory described by `kind`."""
    if kind is None:
        return types.void
    if isinstance(kind, Scalar):
        return NUMBER[kind.name]
    if isinstance(kind, Vector):
        return VectorType(kind)
    return PointerType(kind.element if isinstance(kind, (Ptr, Array)) else kind)  # else: a record, by address


def memory_type(kind):
    """The LLVM type of `kind` in memory."""
    if isinstance(kind, Scalar):
        return MEMORY[kind.name]
    if isinstance(kind, Vector):
        return ir.VectorType(MEMORY[kind.element.name], kind.lanes)
    return I8.as_pointer()


def storage(kind):
    """The scalar that is stored: of a vector, its lanes'."""
    return kind.element if isinstance(kind, Vector) else kind
