"""What this machine can do at best: bytes read a second, and dots of bytes a second."""

from __future__ import annotations

from llamakit.core.kernels.kernel import Kernel, kernel, share
from llamakit.core.simd.ops import as_bytes, as_float, dot4, registers, view
from llamakit.core.simd.records import Ptr, Record, f32, f32x16, i8, i32x16, i64
from llamakit.core.simd.target import host_target


class Limit(Record):
    source: Ptr[i8]
    n_bytes: i64  # a multiple of 1024, at least that
    n_rounds: i64
    out: Ptr[f32]  # 16 floats for each thread: what is computed must be used


@kernel(Limit)
def read(op, thread, n_threads):
    """Read every byte once, in ascending order."""
    first, last = share(op.n_bytes // 256, thread, n_threads)
    a, b, c, d = i32x16(0), i32x16(0), i32x16(0), i32x16(0)
    words = view(op.source, i32x16)
    for i in range(first, last):
        a, b = a ^ words[4 * i], b ^ words[4 * i + 1]
        c, d = c ^ words[4 * i + 2], d ^ words[4 * i + 3]
    view(op.out, f32x16)[thread] = as_float((a ^ b) ^ (c ^ d))


def n_chains() -> int:
    """Independent sums that fit the registers and hide the instruction's latency."""
    return 12 if host_target().has_avx512 else 6


def dots(n: int) -> Kernel:
    """n_rounds x n independent dots of 64 bytes: 128 operations each."""

    @kernel(Limit)
    def dots(op, thread, n_threads):
        total = registers(i32x16, n)
        words = view(op.source, i32x16)
        for k in range(n):
            total[k] = i32x16(0)
        for i in range(op.n_rounds):
            s = as_bytes(words[i % 8])  # other operands each time: nothing may be computed once for all
            for k in range(n):
                total[k] = dot4(total[k], as_bytes(words[k]), s)
        result = i32x16(0)
        for k in range(n):
            result = result ^ total[k]
        view(op.out, f32x16)[thread] = as_float(result)

    return dots
