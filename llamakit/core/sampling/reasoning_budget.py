"""How long a model may think: after so many tokens it is made to end its thoughts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum

Tokens = Sequence[int]


class Thinking(Enum):
    IDLE = "no thoughts yet"
    COUNTING = "the budget runs down"
    WAITING = "it is used up, but a character is unfinished"
    FORCING = "the end comes, token by token"
    DONE = "the thoughts have ended"


class ReasoningBudget:
    """Watches generated tokens; `forced` is the only one that may come next, or None.

    `starts` and `ends` are the tags as tokens, any of which begins or ends the thoughts; `forced_end` is what is
    written when the budget is used up: a message perhaps, then an end tag. `ends_character` says whether a token's
    text ends a character. A budget below 0 is endless: then only the state is of use.
    """

    def __init__(
        self,
        starts: Sequence[Tokens],
        ends: Sequence[Tokens],
        forced_end: Tokens,
        budget: int,
        ends_character: Callable[[int], bool] = lambda token: True,
    ) -> None:
        self.starts, self.ends = TagFinder(starts), TagFinder(ends)
        self.forced_end, self.budget, self.ends_character = [*forced_end], budget, ends_character
        self.reset()

    def reset(self) -> None:
        self.state = Thinking.IDLE
        self.n_left = self.budget
        self.n_forced = 0
        self.end_tag: tuple[int, ...] | None = None  # the tag that ended the thoughts
        self.starts.reset()
        self.ends.reset()

    @property
    def is_thinking(self) -> bool:
        return self.state in (Thinking.COUNTING, Thinking.WAITING, Thinking.FORCING)

    @property
    def forced(self) -> int | None:
        return self.forced_end[self.n_forced] if self.state is Thinking.FORCING else None

    def accept(self, token: int) -> None:
        """The text goes on with this token; also for those of a prompt that ends in thoughts."""
        if self.state in (Thinking.IDLE, Thinking.DONE):
            if self.starts.push(token) is not None:
                self.begin()
        elif self.state is Thinking.FORCING:
            tag = self.ends.push(token)
            self.n_forced += 1
            if self.n_forced == len(self.forced_end):
                self.finish(tag)
        elif (tag := self.ends.push(token)) is not None:
            self.finish(tag)
        else:
            self.count(token)

    def force(self) -> bool:
        """End the thoughts now; False where there are none that could end."""
        if self.state is not Thinking.COUNTING:
            return False
        self.end()
        return True

    def begin(self) -> None:
        self.state, self.n_left, self.end_tag = Thinking.COUNTING, self.budget, None
        self.ends.reset()
        if self.budget == 0:
            self.end()

    def count(self, token: int) -> None:
        self.n_left -= 1
        if self.n_left > 0 or self.budget < 0:
            return
        if self.ends_character(token):
            self.end()
        elif self.state is Thinking.COUNTING:
            self.state = Thinking.WAITING
            self.ends.reset()

    def end(self) -> None:
        self.n_forced = 0
        self.ends.reset()
        self.state = Thinking.FORCING if self.forced_end else Thinking.DONE

    def finish(self, tag: tuple[int, ...] | None) -> None:
        self.state, self.end_tag = Thinking.DONE, tag


class TagFinder:
    """Finds any of some token sequences in a stream; a token belongs to one find at most."""

    def __init__(self, tags: Sequence[Tokens]) -> None:
        self.tags = sorted({tuple(tag) for tag in tags if tag}, key=len, reverse=True)
        self.longest = len(self.tags[0]) if self.tags else 0
        self.last: list[int] = []

    def push(self, token: int) -> tuple[int, ...] | None:
        """The longest tag that ends with this token."""
        self.last = [*self.last, token][-self.longest :]
        for tag in self.tags:
            if tuple(self.last[-len(tag) :]) == tag:
                self.last = []
                return tag
        return None

    def reset(self) -> None:
        self.last = []
