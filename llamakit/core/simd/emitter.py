"""What an operation writes LLVM IR with."""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils

from llamakit.core.simd import tables
from llamakit.core.simd.records import Vector
from llamakit.core.simd.target import host_target
from llamakit.core.simd.types import F16, F32, I8, I16, I32, I64, memory_type, value_type


def splat(builder, value, lanes):
    kind = ir.VectorType(value.type, lanes)
    empty = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(empty, value, I32(0))
    return builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(I32, lanes), [0] * lanes))


class BFloatPairs(ir.Type):
    """<32 x bfloat>, which llvmlite has no name for."""

    def _to_string(self):
        return "<32 x bfloat>"

    __str__ = _to_string

    def __eq__(self, other):
        return isinstance(other, BFloatPairs)

    def __hash__(self):
        return hash(BFloatPairs)


class Emitter:
    """What an operation's `emit` writes IR with: llvmlite's builder, and the few words it lacks."""

    i1, i8, i16, i32, i64, f16, f32 = ir.IntType(1), I8, I16, I32, I64, F16, F32

    def __init__(self, context, builder, sig):
        self.context, self.builder, self.signature, self.target = context, builder, sig, host_target()

    def __getattr__(self, name):
        return getattr(self.builder, name)

    def type(self, kind):
        return value_type(kind).llvm if isinstance(kind, Vector) else memory_type(kind)

    def vector(self, element, lanes):
        return ir.VectorType(element, lanes)

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

    def look_up(self, indices, low, high):
        """One instruction for 64 bytes or for 32; else sixteen selects."""
        words = ir.Constant(ir.VectorType(I64, 2), ir.Undefined)
        for i, word in enumerate((low, high)):
            words = self.builder.insert_element(words, word, I32(i))
        table = self.builder.bitcast(words, ir.VectorType(I8, 16))
        places = self.builder.bitcast(indices, ir.VectorType(I8, 64))
        if self.target.has_avx2 and self.target.has("avx512bw"):
            found = self.call("llvm.x86.avx512.pshuf.b.512", places.type, self.lanes(table, [*range(16)] * 4), places)
        elif self.target.has_avx2:
            twice = self.lanes(table, [*range(16)] * 2)
            halves = (self.lanes(places, range(i, i + 32)) for i in (0, 32))
            found = self.join(*(self.call("llvm.x86.avx2.pshuf.b", twice.type, twice, half) for half in halves))
        else:
            found = ir.Constant(places.type, None)
            for i in range(16):
                is_here = self.builder.icmp_unsigned("==", places, ir.Constant(places.type, [i] * 64))
                found = self.builder.select(is_here, self.lanes(table, [i] * 64), found)
        return self.builder.bitcast(found, indices.type)

    def look_up_large(self, table, low, high):
        return tables.look_up_large(self, table, low, high)

    def address(self, table):
        return tables.address(self, table)

    def spread(self, words, first, step, width, at):
        """With AVX-512 VBMI one instruction takes eight bits from anywhere in 64; else halves, then quarters."""
        b, kind, bytes_kind = self.builder, words.type, ir.VectorType(I8, 64)
        step, width, at = step.constant, width.constant, at.constant
        ones = (1 << width) - 1
        if self.target.has_vbmi:
            places = ir.Constant(bytes_kind, [32 * (k // 4 % 2) + k % 4 * step - at for k in range(64)])
            places = b.add(places, self.splat(b.trunc(first, I8), 64))
            taken = self.call("llvm.x86.avx512.pmultishift.qb.512", bytes_kind, places, b.bitcast(words, bytes_kind))
            return b.bitcast(b.and_(taken, ir.Constant(bytes_kind, [ones << at] * 64)), kind)

        def repeated(number):
            return ir.Constant(kind, [number] * 16)

        words = b.lshr(words, self.splat(b.trunc(first, I32), 16))
        if (step, width) == (1, 1):
            bits = ir.Constant(bytes_kind, [1 << k % 4 for k in range(64)])
            taken = self.lanes(b.bitcast(words, bytes_kind), (k // 4 * 4 for k in range(64)))
            is_set = b.icmp_unsigned("==", b.and_(taken, bits), bits)
            mask = b.sext(is_set, bytes_kind)
            return b.bitcast(b.and_(mask, ir.Constant(bytes_kind, [1 << at] * 64)), kind)
        for distance, n, mask in ((16, 2 * step, (1 << step + width) - 1), (8, step, ones | ones << 16)):
            far = b.and_(b.shl(words, repeated(distance - n)), repeated(mask << distance))
            words = b.or_(b.and_(words, repeated(mask)), far)
        return b.shl(words, repeated(at))

    def pick(self, table, indices):
        """One instruction for sixteen lanes; for eight, two and a choice by bit 3; else sixteen selects."""
        if self.target.has_avx512 and self.target.has_avx2:
            return self.call("llvm.x86.avx512.permvar.sf.512", table.type, table, indices)
        if self.target.has_avx2:
            halves = [self.lanes(table, range(i, i + 8)) for i in (0, 8)]
            picked = []
            for i in (0, 8):
                places = self.lanes(indices, range(i, i + 8))
                low, high = (self.call("llvm.x86.avx2.permps", half.type, half, places) for half in halves)
                is_low = self.builder.icmp_signed("<", places, ir.Constant(places.type, [8] * 8))
                picked.append(self.builder.select(is_low, low, high))
            return self.join(*picked)
        picked = ir.Constant(table.type, None)
        for i in range(16):
            is_here = self.builder.icmp_unsigned("==", indices, ir.Constant(indices.type, [i] * 16))
            picked = self.builder.select(is_here, self.lanes(table, [i] * 16), picked)
        return picked

    def pick_of_8(self, table, indices):
        """One instruction for sixteen lanes, or for eight."""
        if self.target.has_avx512 and self.target.has_avx2:
            return self.call("llvm.x86.avx512.permvar.sf.512", table.type, table, indices)
        if self.target.has_avx2:
            half = self.lanes(table, range(8))
            places = (self.lanes(indices, range(i, i + 8)) for i in (0, 8))
            return self.join(*(self.call("llvm.x86.avx2.permps", half.type, half, place) for place in places))
        return self.pick(table, self.builder.and_(indices, ir.Constant(indices.type, [7] * 16)))

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
