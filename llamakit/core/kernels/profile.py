"""The calling thread's walk of a program, with a look at the clock between ops.

The clock is C's `timespec_get`, called as kernels are: a row of the table of times is its address and the 16 bytes it
fills.
"""

from __future__ import annotations

from llamakit.core.kernels.executor import Control, barrier
from llamakit.core.kernels.kernel import Kernel
from llamakit.core.simd.ops import call_kernel
from llamakit.core.simd.records import Ptr, Record, i8, i64

TIME_UTC = 1
STRIDE = 32  # bytes of a row


class Times(Record):
    constant = False
    rows: Ptr[i8]  # (n_ops + 1, STRIDE)
    n_rows: i64


def walk(control, times):
    """As `executor.walk`, noting the time before each op and behind the last."""
    for i in range(control.n_ops):
        call_kernel(times.rows + i * STRIDE, TIME_UTC, 0)
        op = control.ops + i * control.stride
        call_kernel(op, 0, control.n_threads)
        if control.n_threads > 1:
            barrier(control, control.n_threads)
    call_kernel(times.rows + control.n_ops * STRIDE, TIME_UTC, 0)


walk = Kernel(walk, (Control, Times))
