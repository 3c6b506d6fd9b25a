"""What kernels may do with the words of `records.py` and `op.py`, taught to Numba.

`p[i]` loads or stores element i, `p + n` moves by elements, `p.field` reaches into a record, `f32x16(x)` fills every
lane. Nothing here costs at run time: each is one address computation and one load or store. Only compiler processes
import this module.
"""

from __future__ import annotations

import operator
from inspect import isfunction

from llvmlite import ir
from numba import njit
from numba.core import types
from numba.core.datamodel import models
from numba.core.imputils import lower_constant, lower_getattr_generic, lower_setattr_generic
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr, infer_global, signature
from numba.extending import lower_builtin, register_model, typeof_impl

from llamakit.core.simd import ops as _ops  # noqa: F401  (fills OPS)
from llamakit.core.simd.emitter import Emitter, splat
from llamakit.core.simd.op import ANY, OPS, Helper, Op, Table
from llamakit.core.simd.records import Array, RecordType, Scalar, Vector, bf16, f16
from llamakit.core.simd.types import F32, I32, I64, PointerType, VectorType, memory_type, storage, value_type


def load(builder, kind, address, invariant=False):
    """Read `kind` at `address`; arrays and records are not read, their address is the value."""
    if isinstance(kind, Array) or isinstance(kind, RecordType):
        return address
    value = builder.load(builder.bitcast(address, memory_type(kind).as_pointer()), align=kind.align)
    if invariant:
        value.set_metadata("invariant.load", builder.module.add_metadata([]))
    if storage(kind) is f16:
        return builder.fpext(value, value_type(kind).llvm if isinstance(kind, Vector) else F32)
    if storage(kind) is bf16:
        wide = ir.VectorType(I32, kind.lanes) if isinstance(kind, Vector) else I32
        shift = ir.Constant(wide, [16] * kind.lanes if isinstance(kind, Vector) else 16)
        floats = ir.VectorType(F32, kind.lanes) if isinstance(kind, Vector) else F32
        return builder.bitcast(builder.shl(builder.zext(value, wide), shift), floats)
    return value


def store(builder, kind, address, value):
    if storage(kind) is f16:
        value = builder.fptrunc(value, memory_type(kind))
    elif storage(kind) is bf16:
        value = round_to_bf16(builder, kind, value)
    builder.store(value, builder.bitcast(address, memory_type(kind).as_pointer()), align=kind.align)


def round_to_bf16(builder, kind, value):
    """The upper 16 bits, rounded to nearest even; NaN stays NaN."""
    lanes = kind.lanes if isinstance(kind, Vector) else 0
    wide = ir.VectorType(I32, lanes) if lanes else I32

    def number(n):
        return ir.Constant(wide, [n] * lanes if lanes else n)

    bits = builder.bitcast(value, wide)
    odd = builder.and_(builder.lshr(bits, number(16)), number(1))
    rounded = builder.add(bits, builder.add(odd, number(0x7FFF)))
    rounded = builder.select(builder.fcmp_unordered("uno", value, value), number(0x7FC00000), rounded)
    return builder.trunc(builder.lshr(rounded, number(16)), memory_type(kind))


def move(builder, address, element, index):
    return builder.gep(address, [builder.mul(index, I64(element.size))])


# p[i], p[i] = value, p + n
@infer_global(operator.getitem)
class PointerGet(AbstractTemplate):
    def generic(self, args, kws):
        if isinstance(args[0], PointerType) and isinstance(args[1], types.Integer):
            return signature(value_type(args[0].element), args[0], types.int64)


@infer_global(operator.setitem)
class PointerSet(AbstractTemplate):
    def generic(self, args, kws):
        if isinstance(args[0], PointerType) and isinstance(args[1], types.Integer):
            return signature(types.none, args[0], types.int64, value_type(args[0].element))


@lower_builtin(operator.getitem, PointerType, types.Integer)
def pointer_get(context, builder, sig, args):
    element = sig.args[0].element
    return load(builder, element, move(builder, args[0], element, args[1]))


@lower_builtin(operator.setitem, PointerType, types.Integer, types.Any)
def pointer_set(context, builder, sig, args):
    element = sig.args[0].element
    store(builder, element, move(builder, args[0], element, args[1]), args[2])


class PointerAdd(AbstractTemplate):
    def generic(self, args, kws):
        if isinstance(args[0], PointerType) and isinstance(args[1], types.Integer):
            return signature(args[0], args[0], types.int64)


def pointer_add(context, builder, sig, args):
    return move(builder, args[0], sig.args[0].element, args[1])


for add in (operator.add, operator.iadd):  # in-place forms do not fall back to the plain ones
    infer_global(add)(PointerAdd)
    lower_builtin(add, PointerType, types.Integer)(pointer_add)


# record.field, record.field = value
@infer_getattr
class RecordFields(AttributeTemplate):
    key = PointerType

    def generic_resolve(self, pointer, name):
        fields = getattr(pointer.element, "FIELDS", {})
        return value_type(fields[name].kind) if name in fields else None


@lower_getattr_generic(PointerType)
def field_get(context, builder, kind, address, name):
    field = kind.element.FIELDS[name]
    if name in kind.constants:
        return context.get_constant(value_type(field.kind), kind.constants[name])
    return load(builder, field.kind, builder.gep(address, [I64(field.offset)]), invariant=kind.element.constant)


@lower_setattr_generic(PointerType)
def field_set(context, builder, sig, args, name):
    field = sig.args[0].element.FIELDS[name]
    store(builder, field.kind, builder.gep(args[0], [I64(field.offset)]), args[1])


# f32(x) converts a number, f32x16(x) fills every lane.  The names themselves are values Numba must know.
class KindType(types.Callable):
    def __init__(self, kind):
        self.kind = kind
        super().__init__(f"kind({kind.name})")

    def get_call_type(self, context, args, kws):
        kind = value_type(self.kind)
        return signature(kind, kind.element if isinstance(kind, VectorType) else args[0])

    def get_call_signatures(self):
        return [], False

    def get_impl_key(self, sig):
        return KindType


register_model(KindType)(models.OpaqueModel)
lower_constant(KindType)(lambda context, builder, kind, value: context.get_dummy_value())
for kind_class in (Scalar, Vector, RecordType):
    typeof_impl.register(kind_class)(lambda value, context: KindType(value))


@lower_builtin(KindType, types.Any)
def kind_call(context, builder, sig, args):
    if isinstance(sig.return_type, VectorType):
        return splat(builder, args[0], sig.return_type.lanes)
    return context.cast(builder, args[0], sig.args[0], sig.return_type)


# vector op vector, vector op number, number op vector
def define_operator(op, int_name, float_name):
    class VectorOperator(AbstractTemplate):
        def generic(self, args, kws):
            vectors = [a for a in args if isinstance(a, VectorType)]
            if len(args) == 2 and vectors and all(a in (vectors[0],) or isinstance(a, types.Number) for a in args):
                kind = vectors[0]
                return signature(kind, *(kind if a == kind else kind.element for a in args))

    def lower(context, builder, sig, args):
        kind = sig.return_type
        left, right = (v if t == kind else splat(builder, v, kind.lanes) for v, t in zip(args, sig.args, strict=True))
        return getattr(builder, float_name if kind.is_float else int_name)(left, right)

    infer_global(op)(VectorOperator)
    for left, right in ((VectorType, VectorType), (VectorType, types.Number), (types.Number, VectorType)):
        lower_builtin(op, left, right)(lower)


for name, int_name, float_name in (
    ("add", "add", "fadd"), ("sub", "sub", "fsub"), ("mul", "mul", "fmul"), ("truediv", None, "fdiv"),
    ("and", "and_", None), ("or", "or_", None), ("xor", "xor", None), ("lshift", "shl", None), ("rshift", "lshr", None),
):  # fmt: skip
    plain = getattr(operator, name + "_" if name in ("and", "or") else name)
    define_operator(plain, int_name, float_name)
    define_operator(getattr(operator, "i" + name), int_name, float_name)


# operations and helpers
class OpType(types.Callable):
    def __init__(self, op):
        self.op = op
        super().__init__(f"op({op.name} {id(op)})")

    def get_call_type(self, context, args, kws):
        op = self.op
        if kws or len(args) != len(op.parameters):
            raise TypeError(f"{op.name} takes {len(op.parameters)} arguments, is given {len(args)}")
        expected = [a if p is ANY else value_type(p) for p, a in zip(op.parameters, args, strict=True)]
        for given, wanted in zip(args, expected, strict=True):
            if (
                given != wanted
                and not (isinstance(given, types.Number) and isinstance(wanted, types.Number))
                and not (isinstance(given, PointerType) and isinstance(wanted, PointerType))
            ):
                raise TypeError(f"{op.name} needs {wanted}, is given {given}")
        expected = [g if isinstance(g, PointerType) else w for g, w in zip(args, expected, strict=True)]
        returns = op.returns(*args) if isfunction(op.returns) else op.returns
        return signature(value_type(returns), *expected)

    def get_call_signatures(self):
        return [], False

    def get_impl_key(self, sig):
        return self.op


register_model(OpType)(models.OpaqueModel)
lower_constant(OpType)(lambda context, builder, kind, value: context.get_dummy_value())
typeof_impl.register(Op)(lambda value, context: OpType(value))


def register_op(op):
    def lower(context, builder, sig, args):
        value = op.emit(Emitter(context, builder, sig), *args)
        return context.get_dummy_value() if op.returns is None else value

    lower_builtin(op, types.VarArg(types.Any))(lower)


for each in OPS:
    register_op(each)


class TableType(types.Type):
    def __init__(self, table):
        self.table = table
        super().__init__(f"table({id(table)})")


register_model(TableType)(models.OpaqueModel)
lower_constant(TableType)(lambda context, builder, kind, value: context.get_dummy_value())
typeof_impl.register(Table)(lambda value, context: TableType(value))


@typeof_impl.register(Helper)
def helper_type(value, context):
    """A helper is a Numba function from the first time that a kernel mentions it."""
    if value.dispatcher is None:
        options = {"forceinline": True} if value.is_inlined else {}
        make = njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)
        value.dispatcher = make(value.function)
    return types.Dispatcher(value.dispatcher)
