"""How many threads generate: fewer while other processes keep cores busy.

Threads meet after every op, so one that shares its core with somebody holds up all the others, and generating on fewer
cores is faster than waiting. The logits do not depend on it.
"""

from __future__ import annotations

from collections import deque

TRIAL = 5  # steps whose median is compared
SLOWER = 1.5  # times the usual: somebody else is there
FASTER = 0.95  # of what it was: one thread more is worth it
PATIENCE = 200  # steps with fewer threads before one more is tried
FORGET = 1.001  # a step: the usual grows with the text


class Pace:
    """The number of threads for the next step, by how long the last ones took."""

    def __init__(self, most: int) -> None:
        self.most = self.n_threads = most
        self.usual = float("inf")  # seconds of a step with as many threads as now, undisturbed
        self.recent: deque[float] = deque(maxlen=TRIAL)
        self.n_steps = 0  # with as many threads as now
        self.before: tuple[int, float] | None = None  # during trials: the number of threads until then, and seconds
        self.trials: list[int] = []  # numbers of threads still to be tried, the next one last

    def took(self, seconds: float) -> None:
        """The last step took so long."""
        if self.most == 1:
            return
        self.recent.append(seconds)
        self.n_steps += 1
        if self.n_steps < TRIAL:
            return
        now = sorted(self.recent)[TRIAL // 2]
        if self.before is not None:
            self.judge(*self.before, now)
            return
        self.usual = min(self.usual * FORGET, now)
        n = self.n_threads
        if n > 1 and now > SLOWER * self.usual:
            self.try_next(sorted({1, n // 2, n - 1} - {0}), (n, now))
        elif n < self.most and self.n_steps >= PATIENCE:
            self.try_next([n + 1], (n, now))

    def judge(self, n_before: int, before: float, now: float) -> None:
        """A trial ends: stay, try another, or go back and take as usual what was measured there."""
        if now < (before if self.n_threads < n_before else FASTER * before):
            self.change(self.n_threads)
            self.usual = now
        elif self.trials:
            self.try_next(self.trials, (n_before, before))
        else:
            self.change(n_before)
            self.usual = before

    def try_next(self, trials: list[int], before: tuple[int, float]) -> None:
        self.change(trials[-1])
        self.trials, self.before = trials[:-1], before

    def change(self, n_threads: int) -> None:
        self.n_threads, self.before, self.n_steps, self.trials = n_threads, None, 0, []
        self.recent.clear()
