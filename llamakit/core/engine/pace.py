"""How many threads generate: fewer while other processes keep cores busy.

Threads meet after every op, so one that shares its core with somebody holds up all the others, and generating on fewer
cores is faster than waiting. The logits do not depend on it.
"""

from __future__ import annotations

from collections import deque
from statistics import median

WINDOW = 16  # steps: a neighbour who is gone before most of them have been slow changes nothing
TRIAL = 6  # steps with another number of threads, whose median is compared
SLOWER = 1.8  # times the usual: somebody else is there
BETTER = 0.8  # of what it was: worth fewer threads
NO_WORSE = 0.95  # of what it was: worth one more again
PATIENCE, MOST_PATIENCE = 32, 512  # steps with fewer threads before one more is tried: twice as many each time in vain
FORGET = 1.001  # a step: the usual grows with the text


class Pace:
    """The number of threads for the next step, by how long the last ones took."""

    def __init__(self, most: int) -> None:
        self.most = self.n_threads = most
        self.usual = float("inf")  # seconds of a step with as many threads as now, undisturbed
        self.recent: deque[float] = deque(maxlen=WINDOW)
        self.n_steps = 0  # with as many threads as now
        self.patience = PATIENCE
        self.before: tuple[int, float] | None = None  # during trials: the number of threads until then, and seconds
        self.trials: list[int] = []  # numbers of threads still to be tried, the next one last

    def took(self, seconds: float) -> None:
        """The last step took so long."""
        if self.most == 1:
            return
        self.recent.append(seconds)
        self.n_steps += 1
        if self.before is not None:
            if self.n_steps == TRIAL:
                self.judge(*self.before, median(self.recent))
            return
        if self.n_steps < WINDOW:
            return
        now, n = median(self.recent), self.n_threads
        self.usual = min(self.usual * FORGET, now)
        if n > 1 and now > SLOWER * self.usual:
            self.try_next(sorted({1, n // 2, n - 1} - {0}), (n, now))
        elif n < self.most and self.n_steps >= self.patience:
            self.try_next([n + 1], (n, now))

    def judge(self, n_before: int, before: float, now: float) -> None:
        """A trial ends: stay, try another, or go back and take as usual what was measured there."""
        is_more = self.n_threads > n_before
        if now < (NO_WORSE if is_more else BETTER) * before:
            self.patience = PATIENCE
            self.change(self.n_threads)
            self.usual = now
        elif self.trials:
            self.try_next(self.trials, (n_before, before))
        else:
            self.patience = min(2 * self.patience, MOST_PATIENCE) if is_more else PATIENCE
            self.change(n_before)
            self.usual = before

    def try_next(self, trials: list[int], before: tuple[int, float]) -> None:
        self.change(trials[-1])
        self.trials, self.before = trials[:-1], before

    def change(self, n_threads: int) -> None:
        self.n_threads, self.before, self.n_steps, self.trials = n_threads, None, 0, []
        self.recent.clear()
