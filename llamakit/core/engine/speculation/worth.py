"""Whether guessing pays: what steps cost, and how often guesses are right."""

from __future__ import annotations

FADE = 0.9  # of what was measured, at each new measurement
FIRST_TRUST = 0.6
PATIENCE = 48  # tokens without guesses before they are tried again


class StepCosts:
    """Seconds that steps take, by how many tokens they compute."""

    def __init__(self) -> None:
        self.seconds: dict[int, float] = {}

    def took(self, n_tokens: int, seconds: float) -> None:
        before = self.seconds.get(n_tokens, seconds)
        kept = FADE if seconds > before else 0.5  # a step may be held up, but none is faster than it can be
        self.seconds[n_tokens] = kept * before + (1 - kept) * seconds

    def of(self, n_tokens: int) -> float | None:
        """Of so many tokens, or between those of the nearest numbers; None where all that is known is less."""
        below = max((n for n in self.seconds if n <= n_tokens), default=None)
        above = min((n for n in self.seconds if n >= n_tokens), default=None)
        if below is None or above is None:
            return None if above is None else self.seconds[above]
        if below == above:
            return self.seconds[below]
        share = (n_tokens - below) / (above - below)
        return (1 - share) * self.seconds[below] + share * self.seconds[above]


class Trust:
    """How likely the guesses of one text are right, each if those before it were."""

    def __init__(self) -> None:
        self.p = FIRST_TRUST
        self.n_without = 0  # tokens since the last guess

    def saw(self, n_guesses: int, n_right: int) -> None:
        n_judged = min(n_guesses, n_right + 1)
        for i in range(n_judged):
            self.p = FADE * self.p + (1 - FADE) * (i < n_right)

    def expected(self, n: int) -> float:
        """How many of n guesses will be right."""
        return n if self.p >= 1 else self.p * (1 - self.p**n) / (1 - self.p)

    def best(self, n_most: int, n_rows: int, costs: StepCosts, seconds_each: float) -> int:
        """How many guesses bring most tokens a second, in a step that computes n_rows anyway.

        seconds_each: what a guess costs. Where steps of a size are unknown yet, they are tried.
        """
        if self.n_without >= PATIENCE:
            return n_most
        alone = costs.of(n_rows)
        if alone is None:
            return n_most
        best, best_rate = 0, n_rows / alone
        for n in range(1, n_most + 1):
            seconds = costs.of(n_rows + n)
            if seconds is None:
                return n
            rate = (n_rows + self.expected(n)) / (seconds + n * seconds_each)
            if rate > best_rate:
                best, best_rate = n, rate
        return best
