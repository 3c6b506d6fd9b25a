"""How large the inputs of a matrix product are, column by column."""

from __future__ import annotations

from llamakit.core.kernels.batch import Batch
from llamakit.core.kernels.kernel import kernel, share
from llamakit.core.simd.ops import fma, is_null, view
from llamakit.core.simd.records import Ptr, Record, f32, f32x16, i32, i64

FEWEST_TOKENS = 16  # a batch of fewer is passed over, as llama-imatrix does


class InputSquares(Record):
    """Rows of x, `pitch` apart (a multiple of 16).

    With a choice, product r takes row r // x_share of x to the matrix choice[r]; else all rows go to matrix 0.
    """

    x: Ptr[f32]
    choice: Ptr[i32]  # null, or (n_rows,)
    x_share: i64
    n_rows: Ptr[i64]  # products
    batch: Ptr[Batch]
    sums: Ptr[f32]  # (n_matrices, pitch)
    counts: Ptr[i64]  # (n_matrices,)
    pitch: i64


@kernel(InputSquares)
def add(op, thread, n_threads):
    """sums[m] += x^2 and counts[m] += 1 for each row that goes to matrix m. Threads share the columns."""
    if op.batch.n_tokens >= FEWEST_TOKENS:
        n_vectors = op.pitch // 16
        first, last = share(n_vectors, thread, n_threads)
        for row in range(op.n_rows[0]):
            matrix = op.choice[row] if is_null(op.choice) == 0 else i32(0)
            x = view(op.x + row // op.x_share * op.pitch, f32x16)
            sums = view(op.sums + matrix * op.pitch, f32x16)
            for i in range(first, last):
                sums[i] = fma(x[i], x[i], sums[i])
            if thread == 0:
                op.counts[matrix] += 1
