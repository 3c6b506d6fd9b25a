"""python -m tests.core.simd.probe IN.npz OUT.npz: run every op of the SIMD layer once, in a compiler process.

A kernel for each kind of result; rows of its output follow the names beside it.
"""

from __future__ import annotations

import ctypes
import sys
from functools import partial

import llvmlite.binding as llvm
import numpy as np

from llamakit.core.kernels.compile import only
from llamakit.core.kernels.jit import to_ir
from llamakit.core.kernels.kernel import Kernel, kernel
from llamakit.core.kernels.store import link
from llamakit.core.simd.op import Table
from llamakit.core.simd.ops import (
    any_lane,
    as_bytes,
    as_float,
    as_int,
    as_pointer,
    as_words,
    atomic_add,
    atomic_load,
    atomic_store,
    bytes_to_float0,
    bytes_to_float1,
    bytes_to_float2,
    bytes_to_float3,
    clamp,
    dot2,
    dot4,
    dot4_wide,
    entries,
    even_lanes,
    fma,
    gather_i32,
    half_to_float,
    has_wide_bias,
    interleave_high,
    interleave_low,
    is_null,
    lane_numbers,
    less,
    less_i32,
    look_up,
    look_up_large,
    max_lanes,
    max_lanes_as_float,
    min_lanes_i32,
    n_vector_registers,
    narrow,
    odd_lanes,
    pause,
    pick,
    pick_of_8,
    registers,
    repeat4,
    repeat_f32,
    repeat_i32,
    round_half_away,
    round_to_11_bits,
    select,
    select_i32,
    spread,
    sqrt,
    sum_lanes,
    sum_lanes_i32,
    to_float,
    to_int,
    vabs,
    view,
    vmax,
    vmax_i32,
    vmin,
    vmin_i32,
    vround,
    vsqrt,
    widen,
    yield_thread,
)
from llamakit.core.simd.records import (
    Ptr,
    Record,
    bf16,
    bf16x16,
    f16,
    f16x16,
    f32,
    f32x16,
    i8,
    i8x16,
    i16,
    i32,
    i32x16,
    i64,
    u8,
)
from llamakit.core.simd.target import target_machine


class Probe(Record):
    """Sixteen of each: floats x, y, z; words i, j; 64 bytes of any value, 64 below 128, 64 signed;
    16 of f16, 64 of bf16."""

    constant = False
    x: Ptr[f32]
    y: Ptr[f32]
    z: Ptr[f32]
    i: Ptr[i32]
    j: Ptr[i32]
    any: Ptr[u8]
    low: Ptr[u8]
    signed: Ptr[i8]
    halves: Ptr[f16]
    brains: Ptr[bf16]
    null: Ptr[i8]
    out: Ptr[i8]
    number: i64


FLOATS = (
    "fma", "vmax", "vmin", "vabs", "vround", "lane_numbers", "even_lanes", "odd_lanes", "interleave_low",
    "interleave_high", "to_float", "as_float", "bytes_to_float0", "bytes_to_float1", "bytes_to_float2",
    "bytes_to_float3", "select", "repeat_f32", "load f16", "load bf16", "registers", "+", "-", "*", "/", "splat",
    "number *", "+=", "*=", "dot2", "round_half_away", "vsqrt", "clamp", "clamp NaN", "pick",
    "pick_of_8",
    "sqrt max_lanes sum_lanes round_to_11_bits f32 half brain vmax_i32 max_lanes_as_float",
)  # fmt: skip


@kernel(Probe)
def floats(op, thread, n_threads):
    x, y, z = view(op.x, f32x16)[0], view(op.y, f32x16)[0], view(op.z, f32x16)[0]
    i, out = view(op.i, i32x16)[0], view(op.out, f32x16)
    words = view(op.any, i32x16)[0]
    out[0], out[1], out[2], out[3], out[4] = fma(x, y, z), vmax(x, y), vmin(x, y), vabs(x), vround(x)
    out[5], out[6], out[7] = lane_numbers(), even_lanes(x, y), odd_lanes(x, y)
    out[8], out[9] = interleave_low(x, y), interleave_high(x, y)
    out[10], out[11] = to_float(i), as_float(as_int(x) ^ 1)
    out[12], out[13] = bytes_to_float0(words), bytes_to_float1(words)
    out[14], out[15] = bytes_to_float2(words), bytes_to_float3(words)
    out[16], out[17] = select(less(x, y), x, z), repeat_f32(op.x + 3)
    out[18], out[19] = view(op.halves, f16x16)[0], view(op.brains, bf16x16)[0]
    tile = registers(f32x16, 4)
    for k in range(4):
        tile[k] = x * f32(k)
    for k in range(3):
        tile[3] = tile[3] + tile[k]
    out[20] = tile[3]
    out[21], out[22], out[23], out[24] = x + y, x - y, x * y, x / y
    out[25], out[26] = f32x16(2.5), 0.5 * x - 1.0
    x += y
    out[27] = x
    x *= z
    out[28] = x
    out[29] = dot2(z, view(op.brains, i32x16)[0], view(op.brains, i32x16)[1])
    first = view(op.x, f32x16)[0]
    out[30], out[31], out[32] = round_half_away(first), vsqrt(vabs(first)), clamp(first, -1.0, 2.0)
    out[33] = clamp((first - first) / (first - first), -1.0, 2.0)
    out[34] = pick(y, view(op.low, i32x16)[0] & 15)
    out[35] = pick_of_8(pick(first, to_int(lane_numbers()) & 7), words)
    single = op.out + 36 * 64
    numbers = view(single, f32)
    numbers[0], numbers[1], numbers[2] = sqrt(op.y[0]), max_lanes(first), sum_lanes(first)
    numbers[3], numbers[4] = round_to_11_bits(op.x[2]), f32(op.number)
    numbers[5], numbers[6] = op.halves[5], op.brains[6]
    second = view(op.y, f32x16)[0]
    numbers[7] = max_lanes_as_float(vmax_i32(as_int(vabs(first)), as_int(vabs(second))))


INTS = (
    "to_int", "widen narrow", "as_words as_bytes", "as_int", "less", "dot4", "dot4_wide", "repeat4", "repeat_i32", "&",
    "|", "^", "<<", ">>", "+", "* number", "look_up", "vmin_i32", "less_i32", "select_i32", "gather_i32",
    "sum_lanes_i32 any_lane any_lane min_lanes_i32",
)  # fmt: skip


@kernel(Probe)
def ints(op, thread, n_threads):
    x, y = view(op.x, f32x16)[0], view(op.y, f32x16)[0]
    i, j, out = view(op.i, i32x16)[0], view(op.j, i32x16)[0], view(op.out, i32x16)
    low, any_byte = as_bytes(view(op.low, i32x16)[0]), as_bytes(view(op.any, i32x16)[0])
    signed = as_bytes(view(op.signed, i32x16)[0])
    out[0], out[1], out[2] = to_int(x), widen(narrow(i)), as_words(as_bytes(i))
    out[3], out[4] = as_int(x), less(x, y)
    out[5], out[6] = dot4(i, low, signed), dot4_wide(i, any_byte, signed)
    out[7], out[8] = as_words(repeat4(view(op.signed, i8) + 5)), repeat_i32(op.i + 2)
    out[9], out[10], out[11] = i & j, i | j, i ^ j
    out[12], out[13] = i << 3, i >> 5
    out[14], out[15] = i + j, i * 7
    out[16] = look_up(view(op.any, i32x16)[0] & 0x0F0F0F0F, 0x7060504030201080, 0x00FEDCBA98765432)
    out[17], out[18], out[19] = vmin_i32(i, j), less_i32(i, j), select_i32(less_i32(i, j), i, j * 3)
    out[20] = gather_i32(op.j, view(op.low, i32x16)[0] & 15)
    numbers = view(op.out + 21 * 64, i32)
    numbers[0] = sum_lanes_i32(view(op.j, i32x16)[0])
    numbers[1], numbers[2] = i32(any_lane(less_i32(i, i))), i32(any_lane(less_i32(i, j)))
    numbers[3] = min_lanes_i32(i)


def random_bytes(n: int) -> bytes:
    return np.random.default_rng(n).bytes(n)


SMALL, MIDDLE, LARGE, HUGE = TABLES = [Table(n, partial(random_bytes, n)) for n in (128, 256, 512, 2048)]
STEPS = Table(2048, lambda: bytes(i // 17 for i in range(2048)))
SPREADS = (  # first, step, width, at
    (8, 2, 2, 0), (0, 4, 3, 0), (0, 7, 7, 0), (28, 1, 1, 3), (8, 1, 1, 2), (19, 0, 1, 2), (16, 3, 3, 0),
)  # fmt: skip


@kernel(Probe)
def pieces(op, thread, n_threads):
    """Bytes by tables, then bits that become bytes, then half floats."""
    any_word, low, out = view(op.any, i32x16)[0], view(op.low, i32x16)[0], view(op.out, i32x16)
    out[0], out[1] = look_up_large(SMALL, low, any_word), look_up_large(MIDDLE, any_word, low)
    out[2], out[3] = look_up_large(LARGE, any_word, low), look_up_large(HUGE, any_word, low & 0x07070707)
    out[4], out[5], out[6] = spread(any_word, 8, 2, 2, 0), spread(any_word, 0, 4, 3, 0), spread(any_word, 0, 7, 7, 0)
    out[7], out[8] = spread(any_word, 28, 1, 1, 3), spread(any_word, 4 * thread, 1, 1, 2)
    out[9], out[10] = spread(any_word, 19, 0, 1, 2), spread(any_word, 16, 3, 3, 0)
    out[11] = gather_i32(view(entries(SMALL), i32), low & 31)
    out[12] = look_up_large(STEPS, any_word, low & 0x07070707)
    halves = view(op.out, f32x16) + 13
    halves[0] = half_to_float(view(op.halves, i32x16)[0] & 0xFFFF)
    halves[1] = half_to_float(any_word)


STORES = ("f16", "bf16", "i8x16", "f16 number", "bf16 number", "i16 number")


@kernel(Probe)
def stores(op, thread, n_threads):
    """Rounded on the way to memory, 64 bytes apart."""
    x = view(op.x, f32x16)[0]
    view(op.out, f16x16)[0] = x
    view(op.out + 64, bf16x16)[0] = x
    view(op.out + 128, i8x16)[0] = narrow(view(op.i, i32x16)[0])
    view(op.out + 192, f16)[0] = op.x[1]
    view(op.out + 256, bf16)[0] = op.x[1]
    view(op.out + 320, i16)[0] = i16(op.i[3])


@kernel(Probe)
def addresses(op, thread, n_threads):
    """Pointers, atomics and calls: words of eight bytes."""
    out = view(op.out, i64)
    out[0], out[1] = is_null(op.null), is_null(op.x)
    out[2], out[3] = has_wide_bias(), n_vector_registers()
    cell = out + 10
    cell[0] = 40
    out[4] = atomic_add(cell, 2)
    out[5] = atomic_load(cell)
    atomic_store(cell + 1, 7)
    out[6] = cell[1]
    pause()
    yield_thread()
    out[7] = as_pointer(i64(op.number))[0]
    out[8], out[9] = thread, n_threads


@kernel(Probe, number=12)
def constants(op, thread, n_threads):
    """A field fixed at compile time is not read."""
    view(op.out, i64)[0] = op.number


def compiled(what: Kernel, symbol: str):
    """A kernel as a Python function of its record, thread and number of threads."""
    machine = target_machine()
    module = only(llvm.parse_assembly(to_ir(what, symbol)), symbol, machine)
    library = link({symbol: machine.emit_object(module)})
    entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(library[symbol])
    entry.library = library
    return entry


def main(source: str, target: str) -> None:
    given = dict(np.load(source))
    results = {}

    def run(what: Kernel, name: str, n_bytes: int, number: int = 3) -> np.ndarray:
        out = np.zeros(n_bytes + 64, np.uint8)
        out = out[-out.ctypes.data % 64 :][:n_bytes]
        record = Probe(null=None, out=out, number=number, **given)
        compiled(what, name)(record.data.ctypes.data, 2, 4)
        return out

    results["floats"] = run(floats, "floats", 64 * (len(FLOATS) + 1)).view(np.float32).reshape(-1, 16)
    results["ints"] = run(ints, "ints", 64 * (len(INTS) + 1)).view(np.int32).reshape(-1, 16)
    results["pieces"] = run(pieces, "pieces", 64 * 15).reshape(-1, 64)
    results["spreads"] = np.array(SPREADS)
    results |= {f"table {k}": np.frombuffer(table.make(), np.uint8) for k, table in enumerate(TABLES)}
    results["stores"] = run(stores, "stores", 64 * len(STORES)).reshape(-1, 64)
    eleven = np.array([11])
    results["addresses"] = run(addresses, "addresses", 128, eleven.ctypes.data).view(np.int64)
    results["constants"] = run(constants, "constants", 64).view(np.int64)
    np.savez(target, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
