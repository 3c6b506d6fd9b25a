"""One candidate for each tensor, the least damage in a number of bytes: the multiple-choice knapsack."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Item = tuple[int, float]  # bytes, damage
MOST_STEPS = 60_000  # of the budget: sizes are rounded up to steps


@dataclass(frozen=True)
class Solution:
    """`chosen[i]` is an index of group i's items."""

    chosen: tuple[int, ...]
    n_bytes: int
    damage: float


class Knapsack:
    """Groups of items of which one each is to be taken; solved once for all budgets up to `most`.

    Exact where the items' sizes are multiples of `step`; else at most a step a group is left unused, and what is left
    over is spent on whatever still fits.
    """

    def __init__(self, groups: Sequence[Sequence[Item]], most: int) -> None:
        self.groups = groups
        self.useful = [undominated(group) for group in groups]
        self.least = sum(group[useful[0]][0] for group, useful in zip(groups, self.useful, strict=True))
        extras = [
            group[i][0] - group[useful[0]][0] for group, useful in zip(groups, self.useful, strict=True) for i in useful
        ]
        room = max(
            0,
            min(
                most - self.least,
                sum(group[u[-1]][0] for group, u in zip(groups, self.useful, strict=True)) - self.least,
            ),
        )
        common = math.gcd(*extras) if extras else 0
        self.step = max(common or 1, -(-room // MOST_STEPS))
        self.n_steps = room // self.step
        self.damages, self.taken = self._solve()

    def _solve(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int8]]:
        """damages[s]: the least in s steps above the smallest mix; taken[i, s]: group i's item, of the useful ones."""
        n = self.n_steps + 1
        best = np.zeros(n)
        taken = np.zeros((len(self.groups), n), np.int8)
        for i, (group, useful) in enumerate(zip(self.groups, self.useful, strict=True)):
            new = np.full(n, np.inf)
            for k, item in enumerate(useful):
                cost = -(-(group[item][0] - group[useful[0]][0]) // self.step)
                if cost >= n:
                    break
                candidate = best[: n - cost] + group[item][1]
                is_better = candidate < new[cost:]
                new[cost:][is_better] = candidate[is_better]
                taken[i, cost:][is_better] = k
            best = new
        return best, taken

    def solve(self, budget: int) -> Solution | None:
        """The best mix of at most `budget` bytes; None where even the smallest has more."""
        if budget < self.least:
            return None
        s = min(self.n_steps, (budget - self.least) // self.step)
        chosen = [0] * len(self.groups)
        for i in reversed(range(len(self.groups))):
            useful = self.useful[i]
            chosen[i] = useful[self.taken[i, s]]
            s -= -(-(self.groups[i][chosen[i]][0] - self.groups[i][useful[0]][0]) // self.step)
        return self._spend_rest(chosen, budget)

    def _spend_rest(self, chosen: list[int], budget: int) -> Solution:
        """Rounding sizes up may have left room: take what it buys, the best trade first."""
        n_bytes = sum(group[i][0] for group, i in zip(self.groups, chosen, strict=True))
        while True:
            trades = [
                (group[k][1] - group[chosen[i]][1], group[k][0] - group[chosen[i]][0], i, k)
                for i, group in enumerate(self.groups)
                for k in self.useful[i]
                if group[k][1] < group[chosen[i]][1] and group[k][0] - group[chosen[i]][0] <= budget - n_bytes
            ]
            if not trades:
                break
            _, more, i, k = min(trades)
            chosen[i], n_bytes = k, n_bytes + more
        damage = math.fsum(group[i][1] for group, i in zip(self.groups, chosen, strict=True))
        return Solution(tuple(chosen), n_bytes, damage)

    def frontier(self, n_points: int = 200) -> list[tuple[int, float]]:
        """Bytes and least damage from the smallest mix to the largest, for a curve."""
        steps = np.unique(np.linspace(0, self.n_steps, n_points).astype(int))
        return [
            (self.least + int(s) * self.step, float(self.damages[s])) for s in steps if np.isfinite(self.damages[s])
        ]


def undominated(group: Sequence[Item]) -> list[int]:
    """Indices of the items that are no worse than all smaller ones, the smallest first."""
    order = sorted(range(len(group)), key=lambda i: group[i])
    useful: list[int] = []
    for i in order:
        if not useful or group[i][1] < group[useful[-1]][1]:
            useful.append(i)
    return useful
