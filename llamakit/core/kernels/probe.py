"""One of everything that is an instruction of the machine, for the self-test."""

from __future__ import annotations

from llamakit.core.kernels.kernel import kernel
from llamakit.core.simd.ops import as_bytes, dot4, dot4_wide, has_wide_bias, view
from llamakit.core.simd.records import Ptr, Record, f16x16, f32x16, i8, i32x16, i64


class Probe(Record):
    low: Ptr[i8]  # 64 bytes below 128
    wide: Ptr[i8]  # 64 bytes of any value
    signed: Ptr[i8]  # 64 signed bytes
    halves: Ptr[i8]  # 16 f16
    out: Ptr[i8]  # i32x16 dot4(1, low, signed); i32x16 dot4_wide(1, wide, signed); f32x16 halves; i64 wide bias


@kernel(Probe)
def dots(op, thread, n_threads):
    out, signed = view(op.out, i32x16), as_bytes(view(op.signed, i32x16)[0])
    out[0] = dot4(i32x16(1), as_bytes(view(op.low, i32x16)[0]), signed)
    out[1] = dot4_wide(i32x16(1), as_bytes(view(op.wide, i32x16)[0]), signed)
    view(op.out, f32x16)[2] = view(op.halves, f16x16)[0]
    view(op.out, i64)[24] = has_wide_bias()
