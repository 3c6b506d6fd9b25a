"""The words of `records.py` and `op.py` as Numba types: vectors live in registers, pointers know what they point to.

`p[i]` loads or stores element i, `p + n` moves by elements, `p.field` reaches into a record, `f32x16(x)` fills every
lane. Nothing here costs at run time: each is one address computation and one load or store. Only compiler processes
import this module.
"""

from __future__ import annotations

import operator

from llvmlite import ir
from numba import njit
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.core.imputils import lower_constant, lower_getattr_generic, lower_setattr_generic
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr, infer_global, signature
from numba.extending import lower_builtin, register_model, typeof_impl

from llamakit.core.simd import ops as _ops  # noqa: F401  (fills OPS)
from llamakit.core.simd.op import ANY, OPS, Helper, Op
from llamakit.core.simd.records import Array, Ptr, RecordType, Scalar, Vector, bf16, f16
from llamakit.core.simd.target import host_target

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
        return builder.bitcast(builder.shl(builder.zext(value, wide), shift), ir.VectorType(F32, kind.lanes) if isinstance(kind, Vector) else F32)
    return value


def store(builder, kind, address, value):
    if storage(kind) is f16:
        value = builder.fptrunc(value, memory_type(kind))
    elif storage(kind) is bf16:
        value = round_to_bf16(builder, kind, value)
    builder.store(value, builder.bitcast(address, memory_type(kind).as_pointer()), align=kind.align)


def round_to_bf16(builder, kind, value):
    """The upper 16 bits, rounded to nearest even (finite values)."""
    lanes = kind.lanes if isinstance(kind, Vector) else 0
    wide = ir.VectorType(I32, lanes) if lanes else I32

    def number(n):
        return ir.Constant(wide, [n] * lanes if lanes else n)

    bits = builder.bitcast(value, wide)
    odd = builder.and_(builder.lshr(bits, number(16)), number(1))
    rounded = builder.add(bits, builder.add(odd, number(0x7FFF)))
    return builder.trunc(builder.lshr(rounded, number(16)), memory_type(kind))


def move(builder, address, element, index):
    return builder.gep(address, [builder.mul(index, I64(element.size))])


def splat(builder, value, lanes):
    kind = ir.VectorType(value.type, lanes)
    empty = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(empty, value, I32(0))
    return builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(I32, lanes), [0] * lanes))


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
        left, right = (v if t == kind else splat(builder, v, kind.lanes) for v, t in zip(args, sig.args))
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


class BFloatPairs(ir.Type):
    """<32 x bfloat>, which llvmlite has no name for."""

    def _to_string(self):
        return "<32 x bfloat>"

    __str__ = _to_string

    def __eq__(self, other):
        return isinstance(other, BFloatPairs)

    def __hash__(self):
        return hash(BFloatPairs)


# operations and helpers
class Emitter:
    """What an operation's `emit` writes IR with: llvmlite's builder, and the few words it lacks."""

    i8, i32, i64, f32 = I8, I32, I64, F32

    def __init__(self, context, builder, sig):
        self.context, self.builder, self.signature, self.target = context, builder, sig, host_target()

    def __getattr__(self, name):
        return getattr(self.builder, name)

    def type(self, kind):
        return value_type(kind).llvm if isinstance(kind, Vector) else memory_type(kind)

    def call(self, name, result, *args):
        """An LLVM intrinsic or a C function, by name."""
        kind = ir.FunctionType(result, [a.type for a in args])
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), args)

    def lanes(self, vector, which):
        which = list(which)
        empty = ir.Constant(vector.type, ir.Undefined)
        return self.builder.shuffle_vector(vector, empty, ir.Constant(ir.VectorType(I32, len(which)), which))

    def join(self, low, high):
        both = list(range(low.type.count + high.type.count))
        return self.builder.shuffle_vector(low, high, ir.Constant(ir.VectorType(I32, len(both)), both))

    def extract(self, vector, lane):
        return self.builder.extract_element(vector, I32(lane))

    def splat(self, value, lanes):
        return splat(self.builder, value, lanes)

    def constant(self, kind, value):
        return ir.Constant(kind, value)

    def zero(self, kind):
        return ir.Constant(kind, None)

    def alloca(self, kind, count):
        place = cgutils.alloca_once(self.builder, ir.ArrayType(kind, count))
        return self.builder.bitcast(place, I8.as_pointer())

    def pause(self):
        if self.target.is_x86:
            self.call("llvm.x86.sse2.pause", ir.VoidType())

    def call_kernel(self, record, thread, n_threads):
        kind = ir.FunctionType(ir.VoidType(), [I8.as_pointer(), I64, I64])
        address = self.builder.load(self.builder.bitcast(record, kind.as_pointer().as_pointer()))
        self.builder.call(address, [self.builder.gep(record, [I64(8)]), thread, n_threads])

    # the dot of bytes, for each instruction set
    def dot4(self, total, u, s):
        if self.target.has_avx512 and self.target.has_vnni:
            return self.call("llvm.x86.avx512.vpdpbusd.512", total.type, total, u, s)
        if self.target.has_vnni:
            return self.halves(lambda t, a, b: self.call("llvm.x86.avx512.vpdpbusd.256", t.type, t, a, b), total, u, s)
        if self.target.has_avx2:
            return self.halves(self.dot4_avx2, total, u, s)
        return self.dot4_generic(total, u, s, self.builder.zext)

    def dot4_wide(self, total, u, s):
        if self.target.has_vnni:
            return self.dot4(total, u, s)
        q = self.builder.xor(u, ir.Constant(u.type, [-128] * 64))
        if self.target.has_avx2:
            return self.halves(self.dot4_signs, total, q, s)
        return self.dot4_generic(total, q, s, self.builder.sext)

    def halves(self, dot, total, u, s):
        low = dot(self.lanes(total, range(8)), self.lanes(u, range(32)), self.lanes(s, range(32)))
        high = dot(self.lanes(total, range(8, 16)), self.lanes(u, range(32, 64)), self.lanes(s, range(32, 64)))
        return self.join(low, high)

    def dot4_avx2(self, total, u, s):
        """Pairs in 16 bits (u < 128, so they fit), then pairs of pairs in 32."""
        pairs = self.call("llvm.x86.avx2.pmadd.ub.sw", ir.VectorType(I16, 16), u, s)
        ones = ir.Constant(ir.VectorType(I16, 16), [1] * 16)
        return self.builder.add(total, self.call("llvm.x86.avx2.pmadd.wd", total.type, pairs, ones))

    def dot4_signs(self, total, q, s):
        """|q| times s with q's sign: 128 * 127 * 2 still fits 16 bits."""
        s = self.call("llvm.x86.avx2.psign.b", s.type, s, q)
        negative = self.builder.icmp_signed("<", q, ir.Constant(q.type, None))
        return self.dot4_avx2(total, self.builder.select(negative, self.builder.neg(q), q), s)

    def dot2(self, total, x, y):
        """With AVX-512 BF16 one instruction; else the same sums, one after the other (products of bf16 are exact)."""
        if self.target.has_bf16:
            pairs = BFloatPairs()
            x, y = self.builder.bitcast(x, pairs), self.builder.bitcast(y, pairs)
            return self.call("llvm.x86.avx512bf16.dpbf16ps.512", total.type, total, x, y)
        upper, shift = (ir.Constant(x.type, [n] * 16) for n in (-0x10000, 16))
        second = [self.builder.bitcast(self.builder.and_(v, upper), total.type) for v in (x, y)]
        first = [self.builder.bitcast(self.builder.shl(v, shift), total.type) for v in (x, y)]
        total = self.call("llvm.fma.v16f32", total.type, *second, total)
        return self.call("llvm.fma.v16f32", total.type, *first, total)

    def dot4_generic(self, total, u, s, extend):
        wide = ir.VectorType(I32, 64)
        product = self.builder.mul(extend(u, wide), self.builder.sext(s, wide))
        for j in range(4):
            total = self.builder.add(total, self.lanes(product, range(j, 64, 4)))
        return total


class OpType(types.Callable):
    def __init__(self, op):
        self.op = op
        super().__init__(f"op({op.name} {id(op)})")

    def get_call_type(self, context, args, kws):
        op = self.op
        if kws or len(args) != len(op.parameters):
            raise TypeError(f"{op.name} takes {len(op.parameters)} arguments, is given {len(args)}")
        expected = [a if p is ANY else value_type(p) for p, a in zip(op.parameters, args)]
        for given, wanted in zip(args, expected):
            if given != wanted and not (isinstance(given, types.Number) and isinstance(wanted, types.Number)) and not (
                isinstance(given, PointerType) and isinstance(wanted, PointerType)
            ):
                raise TypeError(f"{op.name} needs {wanted}, is given {given}")
        expected = [g if isinstance(g, PointerType) else w for g, w in zip(args, expected)]
        returns = op.returns if op.returns is None or not callable(op.returns) else op.returns(*args)
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


@typeof_impl.register(Helper)
def helper_type(value, context):
    """A helper is a Numba function from the first time that a kernel mentions it."""
    if value.dispatcher is None:
        options = {"forceinline": True} if value.is_inlined else {}
        value.dispatcher = njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)(value.function)
    return types.Dispatcher(value.dispatcher)
