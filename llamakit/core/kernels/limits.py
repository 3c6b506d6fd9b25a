"""What this machine can do at best: bytes read a second, and dots of bytes a second."""

from __future__ import annotations

from llamakit.core.kernels.kernel import kernel, share
from llamakit.core.simd.ops import as_bytes, as_float, dot4, registers, view
from llamakit.core.simd.records import Ptr, Record, f32, f32x16, i8, i32x16, i64


class Limit(Record):
    source: Ptr[i8]
    n_bytes: i64  # a multiple of 1024
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


@kernel(Limit)
def dots(op, thread, n_threads):
    """n_rounds x 12 independent dots of 64 bytes: 128 operations each."""
    total = registers(i32x16, 12)
    u, s = as_bytes(view(op.source, i32x16)[0]), as_bytes(view(op.source, i32x16)[1])
    for k in range(12):
        total[k] = i32x16(0)
    for _ in range(op.n_rounds):
        for k in range(12):
            total[k] = dot4(total[k], u, s)
    result = i32x16(0)
    for k in range(12):
        result = result ^ total[k]
    view(op.out, f32x16)[thread] = as_float(result)
