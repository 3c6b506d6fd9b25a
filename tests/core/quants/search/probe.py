"""python -m tests.core.quants.search.probe IN.npz OUT.npz: the searches on sixteen groups, in a compiler process."""

from __future__ import annotations

import sys

import numpy as np

from llamakit.core.kernels.kernel import Kernel, kernel
from llamakit.core.quants.search.descent import positive_descent, signed_descent
from llamakit.core.quants.search.groups import largest, largest_magnitude, peak, smallest, total, total_square
from llamakit.core.quants.search.ranges import range_search
from llamakit.core.quants.search.steps import step_search
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import view
from llamakit.core.simd.records import Ptr, Record, f32, f32x16
from tests.core.simd.probe import compiled

N = 16


class Groups(Record):
    """Sixteen groups side by side: x, weights and levels are (N, 16), numbers (6, 16)."""

    constant = False
    x: Ptr[f32]
    weights: Ptr[f32]
    levels: Ptr[f32]
    numbers: Ptr[f32]


def searched(fit) -> Kernel:
    @kernel(Groups)
    def search(op, thread, n_threads):
        numbers = view(op.numbers, f32x16)
        numbers[0], numbers[1] = fit(view(op.x, f32x16), view(op.weights, f32x16), view(op.levels, f32x16))

    return search


def with_no_minimum(fit):
    @helper
    def fit_scale(x, weights, levels):
        return fit(x, weights, levels), f32x16(0.0)

    return fit_scale


@kernel(Groups)
def extremes(op, thread, n_threads):
    x, numbers = view(op.x, f32x16), view(op.numbers, f32x16)
    numbers[0], numbers[1], numbers[2] = smallest(x, N), largest(x, N), largest_magnitude(x, N)
    numbers[3], numbers[4], numbers[5] = peak(x, N), total(x, N), total_square(x, N)


KERNELS = {
    "extremes": extremes,
    "range 3 mad": searched(range_search(N, 3, (-0.5, 0.1, 15), use_mad=True)),
    "range 15": searched(range_search(N, 15, (-1.0, 0.1, 20))),
    "step 4": searched(with_no_minimum(step_search(N, 4))),
    "step 32": searched(with_no_minimum(step_search(N, 32))),
    "descent 4": searched(with_no_minimum(signed_descent(N, 4))),
    "positive 15": searched(with_no_minimum(positive_descent(N, 15))),
}


def main(source: str, target: str) -> None:
    given, results = dict(np.load(source)), {}
    for name, what in KERNELS.items():
        x = given["positive"] if name.startswith("positive") else given["x"]
        levels, numbers = np.zeros((N, 16), np.float32), np.zeros((6, 16), np.float32)
        record = Groups(x=x, weights=given["weights"].copy(), levels=levels, numbers=numbers)
        compiled(what, name.replace(" ", "_"))(record.data.ctypes.data, 0, 1)
        results[f"{name} levels"], results[f"{name} numbers"] = levels, numbers
    np.savez(target, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
