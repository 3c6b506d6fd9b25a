"""Functions on vectors and pointers, each a line or two of LLVM IR."""

from __future__ import annotations

from llamakit.core.simd.op import ANY, op
from llamakit.core.simd.records import Ptr, f32, f32x16, i8, i8x16, i8x64, i32, i32x16, i64

BYTES = Ptr[i8]
CELL = Ptr[i64]


# arithmetic
@op(f32x16, f32x16, f32x16, returns=f32x16)
def fma(b, x, y, z):
    """x * y + z with one rounding."""
    return b.call("llvm.fma.v16f32", x.type, x, y, z)


@op(f32x16, f32x16, returns=f32x16)
def vmax(b, x, y):
    return b.call("llvm.maxnum.v16f32", x.type, x, y)


@op(f32x16, f32x16, returns=f32x16)
def vmin(b, x, y):
    return b.call("llvm.minnum.v16f32", x.type, x, y)


@op(f32x16, returns=f32x16)
def vabs(b, x):
    return b.call("llvm.fabs.v16f32", x.type, x)


@op(f32x16, returns=f32x16)
def vround(b, x):
    """To the nearest integer, halves to even."""
    return b.call("llvm.rint.v16f32", x.type, x)


@op(f32x16, returns=f32x16)
def round_half_away(b, x):
    """To the nearest integer, halves away from zero, as C's roundf."""
    return b.call("llvm.round.v16f32", x.type, x)


@op(f32x16, returns=f32x16)
def vsqrt(b, x):
    return b.call("llvm.sqrt.v16f32", x.type, x)


@op(f32x16, f32, f32, returns=f32x16)
def clamp(b, x, low, high):
    """x within low..high; low where x is NaN."""
    low, high = b.splat(low, 16), b.splat(high, 16)
    x = b.select(b.fcmp_ordered(">", x, low), x, low)
    return b.select(b.fcmp_ordered("<", x, high), x, high)


@op(f32, returns=f32)
def sqrt(b, x):
    return b.call("llvm.sqrt.f32", x.type, x)


@op(f32, returns=f32)
def round_to_11_bits(b, x):
    """x with the significand of a half float, halves to even, and the exponent of a float; NaN stays NaN."""
    bits = b.bitcast(x, b.i32)
    odd = b.and_(b.lshr(bits, b.i32(13)), b.i32(1))
    rounded = b.and_(b.add(bits, b.add(odd, b.i32(0xFFF))), b.i32(-0x2000))
    return b.select(b.fcmp_unordered("uno", x, x), x, b.bitcast(rounded, b.f32))


# across lanes
@op(f32x16, returns=f32)
def sum_lanes(b, x):
    """A fixed tree (lane i with lane i + 8, then 4, 2, 1): the same bits on every instruction set."""
    n = 16
    while n > 1:
        n //= 2
        x = b.fadd(b.lanes(x, range(n)), b.lanes(x, range(n, 2 * n)))
    return b.extract(x, 0)


@op(f32x16, returns=f32)
def max_lanes(b, x):
    return b.call("llvm.vector.reduce.fmax.v16f32", b.f32, x)


@op(i32x16, returns=i32)
def sum_lanes_i32(b, x):
    return b.call("llvm.vector.reduce.add.v16i32", b.i32, x)


@op(i32x16, returns=i32)
def min_lanes_i32(b, x):
    return b.call("llvm.vector.reduce.smin.v16i32", b.i32, x)


@op(returns=f32x16)
def lane_numbers(b):
    """0, 1, ... 15"""
    return b.constant(b.type(f32x16), [float(i) for i in range(16)])


def _pick(which):
    def emit(b, x, y):
        return b.lanes(b.join(x, y), which)

    return emit


# of the 32 lanes of two vectors: those at even places, at odd places; x0 y0 x1 y1 ... x7 y7, x8 y8 ... x15 y15
even_lanes, odd_lanes, interleave_low, interleave_high = (
    op(f32x16, f32x16, returns=f32x16)(_pick(which))
    for which in (
        range(0, 32, 2),
        range(1, 32, 2),
        [i // 2 + 16 * (i % 2) for i in range(16)],
        [8 + i // 2 + 16 * (i % 2) for i in range(16)],
    )
)


@op(i32x16, returns=i64)
def any_lane(b, mask):
    """1 if the mask is set anywhere, else 0."""
    return b.zext(b.call("llvm.vector.reduce.or.v16i1", b.i1, b.icmp_signed("<", mask, b.zero(mask.type))), b.i64)


@op(f32x16, i32x16, returns=f32x16)
def pick(b, table, indices):
    """Lane i becomes table[indices[i]], indices 0 to 15."""
    return b.pick(table, indices)


@op(f32x16, i32x16, returns=f32x16)
def pick_of_8(b, table, indices):
    """Lane i becomes table[indices[i] modulo 8]; the table repeats after eight lanes."""
    return b.pick_of_8(table, indices)


@op(i32x16, i32x16, returns=i32x16)
def vmin_i32(b, x, y):
    return b.call("llvm.smin.v16i32", x.type, x, y)


@op(i32x16, i32x16, returns=i32x16)
def vmax_i32(b, x, y):
    return b.call("llvm.smax.v16i32", x.type, x, y)


@op(i32x16, returns=f32)
def max_lanes_as_float(b, x):
    """The largest of the bit patterns, as a float: of floats that are not negative the largest, NaN above all."""
    return b.bitcast(b.call("llvm.vector.reduce.smax.v16i32", b.i32, x), b.f32)


# conversions
@op(i32x16, returns=f32x16)
def to_float(b, x):
    return b.sitofp(x, b.type(f32x16))


@op(f32x16, returns=i32x16)
def to_int(b, x):
    """Toward zero; out of range gives no defined value."""
    return b.fptosi(x, b.type(i32x16))


@op(i32x16, returns=i8x16)
def narrow(b, x):
    return b.trunc(x, b.type(i8x16))


@op(i8x16, returns=i32x16)
def widen(b, x):
    return b.sext(x, b.type(i32x16))


@op(i32x16, returns=i8x64)
def as_bytes(b, x):
    return b.bitcast(x, b.type(i8x64))


@op(i8x64, returns=i32x16)
def as_words(b, x):
    return b.bitcast(x, b.type(i32x16))


@op(i32x16, returns=f32x16)
def as_float(b, x):
    return b.bitcast(x, b.type(f32x16))


@op(f32x16, returns=i32x16)
def as_int(b, x):
    return b.bitcast(x, b.type(i32x16))


def _bytes_to_float(part):
    def emit(b, x):
        chosen = b.lanes(b.bitcast(x, b.type(i8x64)), range(16 * part, 16 * part + 16))
        return b.uitofp(chosen, b.type(f32x16))

    return emit


bytes_to_float0, bytes_to_float1, bytes_to_float2, bytes_to_float3 = (
    op(i32x16, returns=f32x16)(_bytes_to_float(part)) for part in range(4)
)  # unsigned bytes 16 part .. 16 part + 15 of a vector as floats


@op(i32x16, i64, i64, returns=i32x16)
def look_up(b, indices, low, high):
    """Each byte, 0 to 15, becomes its entry in a table of sixteen bytes: eight in `low`, eight in `high`."""
    return b.look_up(indices, low, high)


@op(ANY, i32x16, i32x16, returns=i32x16)
def look_up_large(b, table, low, high):
    """Each byte of `low` becomes its entry in a `Table`; the same byte of `high` has the bits from the eighth on."""
    return b.look_up_large(b.signature.args[0].table, low, high)


@op(ANY, returns=BYTES)
def entries(b, table):
    """The address of a `Table`."""
    return b.address(b.signature.args[0].table)


@op(i32x16, i64, i64, i64, i64, returns=i32x16)
def spread(b, words, first, step, width, at):
    """`width` bits of each word from `first + step * k` on become bits `at` .. of its byte k, k < 4; all else is 0.

    `step`, `width` and `at` must be literal numbers.
    """
    return b.spread(words, first, step, width, at)


@op(i32x16, returns=f32x16)
def half_to_float(b, words):
    """The low 16 bits of each word as a half float."""
    halves = b.bitcast(b.trunc(words, b.vector(b.i16, 16)), b.vector(b.f16, 16))
    return b.fpext(halves, b.type(f32x16))


# comparison: masks are i32 lanes of all ones or zeros
@op(f32x16, f32x16, returns=i32x16)
def less(b, x, y):
    return b.sext(b.fcmp_ordered("<", x, y), b.type(i32x16))


@op(i32x16, i32x16, returns=i32x16)
def less_i32(b, x, y):
    return b.sext(b.icmp_signed("<", x, y), b.type(i32x16))


def _select(b, mask, x, y):
    """x where the mask is set, else y."""
    return b.select(b.icmp_signed("<", mask, b.zero(mask.type)), x, y)


select = op(i32x16, f32x16, f32x16, returns=f32x16)(_select)
select_i32 = op(i32x16, i32x16, i32x16, returns=i32x16)(_select)


# the dot product of bytes
@op(i32x16, i8x64, i8x64, returns=i32x16)
def dot4(b, total, u, s):
    """total[i] + sum of u[4i+j] * s[4i+j], j < 4; u unsigned below 128, s signed."""
    return b.dot4(total, u, s)


@op(i32x16, i8x64, i8x64, returns=i32x16)
def dot4_wide(b, total, u, s):
    """As dot4 for u of all eight bits, which hold q + 128.

    With VNNI: the dot of q + 128 (`has_wide_bias` is 1); without: of q itself, as 16-bit sums would overflow.
    """
    return b.dot4_wide(total, u, s)


@op(f32x16, i32x16, i32x16, returns=f32x16)
def dot2(b, total, x, y):
    """total[i] + x[2i+1] * y[2i+1] + x[2i] * y[2i] of bf16 pairs in 32-bit lanes, rounded after each sum."""
    return b.dot2(total, x, y)


@op(returns=i64)
def has_wide_bias(b):
    """1 where `dot4_wide` leaves the 128 in, else 0."""
    return b.constant(b.i64, int(b.target.has_vnni))


@op(returns=i64)
def n_vector_registers(b):
    """Registers of 16 floats: 32 with AVX-512, 8 with AVX2 (two halves each of 16)."""
    return b.constant(b.i64, 32 if b.target.has_avx512 else 8)


# memory
@op(BYTES, returns=i8x64)
def repeat4(b, p):
    """Four bytes at p in each of the 16 lanes: folds into the operand of the dot."""
    return b.bitcast(b.splat(b.load(b.bitcast(p, b.i32.as_pointer()), align=1), 16), b.type(i8x64))


@op(Ptr[i32], returns=i32x16)
def repeat_i32(b, p):
    return b.splat(b.load(b.bitcast(p, b.i32.as_pointer()), align=1), 16)


@op(Ptr[f32], returns=f32x16)
def repeat_f32(b, p):
    return b.splat(b.load(b.bitcast(p, b.f32.as_pointer()), align=1), 16)


@op(Ptr[i32], i32x16, returns=i32x16)
def gather_i32(b, p, indices):
    """Lane i becomes p[indices[i]]."""
    words, result = b.bitcast(p, b.i32.as_pointer()), b.zero(indices.type)
    for lane in range(16):
        place = b.gep(words, [b.sext(b.extract(indices, lane), b.i64)])
        result = b.insert_element(result, b.load(place, align=1), b.i32(lane))
    return result


@op(ANY, ANY, returns=lambda pointer, kind: Ptr[kind.kind])
def view(b, pointer, kind):
    """The same address, seen as other elements: view(x, f32x16)[i] are floats 16i .. 16i+15 of x."""
    return pointer


@op(ANY, returns=i64)
def is_null(b, pointer):
    return b.zext(b.icmp_unsigned("==", pointer, b.zero(pointer.type)), b.i64)


@op(ANY, ANY, returns=lambda kind, count: Ptr[kind.kind])
def registers(b, kind, count):
    """`count` vectors on the stack (a literal number); loops with literal bounds over them become registers."""
    kind_type, count_type = b.signature.args
    return b.alloca(b.type(kind_type.kind), count_type.literal_value)


@op(i64, returns=CELL)
def as_pointer(b, address):
    return b.inttoptr(address, b.i8.as_pointer())


# threads
@op(CELL, i64, returns=i64)
def atomic_add(b, p, value):
    return b.atomic_rmw("add", b.bitcast(p, b.i64.as_pointer()), value, "seq_cst")


@op(CELL, returns=i64)
def atomic_load(b, p):
    return b.load_atomic(b.bitcast(p, b.i64.as_pointer()), "acquire", 8)


@op(CELL, i64)
def atomic_store(b, p, value):
    b.store_atomic(value, b.bitcast(p, b.i64.as_pointer()), "release", 8)


@op()
def pause(b):
    b.pause()


@op(returns=i32)
def yield_thread(b):
    return b.call("sched_yield", b.i32)


@op(ANY, i64, i64)
def call_kernel(b, record, thread, n_threads):
    """Call the kernel whose address is the word before the record's fields."""
    b.call_kernel(record, thread, n_threads)
