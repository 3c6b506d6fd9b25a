"""What happens while a model answers, and what is known of the answer afterwards."""

from __future__ import annotations

from dataclasses import dataclass

from llamakit.core.engine.generate import Finish


@dataclass(frozen=True, slots=True)
class Delta:
    """More text of the answer, or of the thinking before it."""

    text: str
    is_thinking: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """The prompt is being computed: so many of its tokens are done."""

    n_done: int
    n_total: int


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the person should know: the model no longer sees all that was said, say."""

    text: str


Event = Delta | Reading | Notice


@dataclass(slots=True)
class Turn:
    """One answer in numbers; complete when its events have ended."""

    n_prompt: int = 0  # tokens that the model sees before its answer
    n_reused: int = 0  # of these, what the cache still held
    n_said: int = 0  # tokens of the answer
    prompt_seconds: float = 0.0
    said_seconds: float = 0.0
    finish: Finish | None = None  # None: interrupted

    @property
    def prompt_speed(self) -> float:
        """Tokens per second, of those that had to be computed."""
        return (self.n_prompt - self.n_reused) / self.prompt_seconds if self.prompt_seconds else 0.0

    @property
    def said_speed(self) -> float:
        """Tokens per second."""
        return self.n_said / self.said_seconds if self.said_seconds else 0.0
