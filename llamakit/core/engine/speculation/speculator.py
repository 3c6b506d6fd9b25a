"""Guesses for the jobs of a scheduler, as many as pay."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from llamakit.core.engine.speculation.guesser import Guesser, Want
from llamakit.core.engine.speculation.worth import FADE, StepCosts, Trust


class Speculator:
    """Asks a guesser, and learns from what becomes of the guesses."""

    def __init__(self, guesser: Guesser) -> None:
        self.guesser, self.costs = guesser, StepCosts()
        self.trusts: dict[int, Trust] = {}  # by sequence
        self.seconds_each = 0.0  # a guess

    def begin(self, seq: int) -> None:
        """Another text."""
        self.guesser.forget(seq)
        self.trusts[seq] = Trust()

    def guess(self, wants: Sequence[Want], n_rows: int) -> dict[int, list[int]]:
        """By sequence, what may follow, in a step that computes n_rows tokens anyway; a want's n is the most."""
        chosen = []
        for want in wants:
            trust = self.trusts[want.seq]
            n = trust.best(min(want.n, self.guesser.n_most), n_rows, self.costs, self.seconds_each)
            if n:
                chosen.append(replace(want, n=n))
            else:
                trust.n_without += 1
        if not chosen:
            return {}
        started = time.perf_counter()
        guesses = self.guesser.guess(chosen)
        if n_guessed := sum(map(len, guesses)):
            seconds = (time.perf_counter() - started) / n_guessed
            self.seconds_each = FADE * (self.seconds_each or seconds) + (1 - FADE) * seconds
        return {want.seq: guess for want, guess in zip(chosen, guesses, strict=True) if guess}

    def saw(self, seq: int, n_guesses: int, n_right: int) -> None:
        """What became of the guesses of a sequence."""
        self.trusts[seq].n_without = 0
        self.trusts[seq].saw(n_guesses, n_right)

    def took(self, n_tokens: int, seconds: float) -> None:
        """A step that only drew, or verified guesses."""
        self.costs.took(n_tokens, seconds)
