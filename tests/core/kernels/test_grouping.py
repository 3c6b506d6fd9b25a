"""Rows sorted by the expert they take."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.kernels.grouping import EMPTY, ExpertRows, GatherRows, Grouping, SortRows

CHOICES = {
    "no rows": [],
    "one row": [2],
    "all rows take one expert": [3] * 11,
    "one row each": [4, 2, 0, 1, 3],
    "some experts have none": [4, 0, 4, 4, 0, 4, 1, 4, 0],
    "a full tile and one more": [1] * 4 + [2] * 5,
}
N_EXPERT = 5


def naive_sort(chosen: list[int], n_tile: int, n_least: int) -> tuple[list[tuple[int, int, int]], list[int], list[int]]:
    """(expert, first slot, rows) of every expert that has enough, the row in each slot, and the lone rows."""
    experts, slots, lone = [], [], []
    for expert in range(N_EXPERT):
        rows = [row for row, e in enumerate(chosen) if e == expert]
        if len(rows) >= n_least:
            experts.append((expert, len(slots), len(rows)))
            slots += rows + [EMPTY] * (-len(rows) % n_tile)
        else:
            lone += rows
    return experts, slots, sorted(lone)


class Sorted:
    """What the kernel makes of a choice; its memory is dirty before."""

    def __init__(self, run_kernel, chosen: list[int], n_tile: int, n_least: int, n_threads: int = 1) -> None:
        n_rows = len(chosen)
        self.experts = np.full((N_EXPERT + 1) * ExpertRows.size, 0x5A, np.uint8)
        self.slots = np.full(n_rows + (n_tile - 1) * N_EXPERT, 77, np.int32)
        self.lone = np.full(n_rows + 1, 77, np.int32)
        self.grouping = Grouping(n_experts=9, n_slots=9, n_together=9, n_lone=9, experts=self.experts,
                                 slots=self.slots, lone=self.lone)  # fmt: skip
        run_kernel("grouping.sort", SortRows(
            chosen=np.array([*chosen, 0], np.int32), n_rows=np.array([n_rows]), ends=np.full(N_EXPERT, 9),
            out=self.grouping, n_expert=N_EXPERT, n_tile=n_tile, n_least=n_least,
        ), n_threads)  # fmt: skip

    def count(self, name: str) -> int:
        return int(self.grouping.data[name])


@pytest.mark.parametrize("chosen", CHOICES.values(), ids=CHOICES.keys())
@pytest.mark.parametrize("n_tile, n_least", [(8, 2), (4, 4), (1, 1)])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_rows_are_sorted_by_expert(run_kernel, chosen, n_tile, n_least, n_threads):
    experts, slots, lone = naive_sort(chosen, n_tile, n_least)
    got = Sorted(run_kernel, chosen, n_tile, n_least, n_threads)
    table = got.experts.view(ExpertRows.dtype)
    assert [tuple(map(int, row)) for row in table[: got.count("n_experts")]] == experts
    assert table[len(experts)]["first"] == got.count("n_slots") == len(slots)
    assert got.slots[: len(slots)].tolist() == slots
    assert got.lone[: got.count("n_lone")].tolist() == lone
    assert got.count("n_together") == len(chosen) - len(lone)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_rows_of_x_are_moved_to_their_slots(run_kernel, n_threads):
    chosen = CHOICES["some experts have none"]
    sorted_rows = Sorted(run_kernel, chosen, 4, 2)
    x = np.random.default_rng(0).standard_normal((3, 48)).astype(np.float32)  # each row for three of the result
    out = np.zeros((sorted_rows.count("n_slots"), 32), np.float32)
    run_kernel("grouping.gather", GatherRows(
        x=x, out=out, grouping=sorted_rows.grouping, pitch=32, x_pitch=48, x_share=3,
    ), n_threads)  # fmt: skip
    for slot, row in enumerate(naive_sort(chosen, 4, 2)[1]):
        np.testing.assert_array_equal(out[slot], 0 if row == EMPTY else x[row // 3, :32])
