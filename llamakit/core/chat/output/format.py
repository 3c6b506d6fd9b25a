"""What a format is: how a family of models marks reasoning, content and calls."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from llamakit.core.chat.output.grammar_writer import GrammarWriter
    from llamakit.core.chat.output.reading import Reading
    from llamakit.core.chat.output.source import Steps
    from llamakit.core.grammar.rules import Sequence
    from llamakit.core.grammar.triggers import Triggers


class ReasoningFormat(Enum):
    """Where reasoning goes. AUTO is DEEPSEEK: apart from the content. LEGACY: apart, but not in streams."""

    NONE, AUTO, DEEPSEEK, LEGACY = "none", "auto", "deepseek", "deepseek-legacy"


@dataclass(frozen=True)
class Thinking:
    """The tags around reasoning.

    others: texts that end it too, and are read again as content. in_calls: a call ends it as well. is_anywhere: it may
    come between content, not only first.
    """

    start: str = "<think>"
    end: str = "</think>"
    others: tuple[str, ...] = ()
    ends_at_calls: bool = False
    is_anywhere: bool = False

    def is_open(self, prompt: str) -> bool:
        """Whether a prompt leaves it open, so that the model goes on thinking."""
        return prompt.rstrip().endswith(self.start.rstrip())


THINK = Thinking()


class Calls(Protocol):
    """A way to write calls: how they are read, and the grammar that allows just them."""

    @property
    def starts(self) -> tuple[str, ...]:
        """What calls begin with."""
        ...

    def read(self, reading: Reading) -> Steps[None]:
        """Reads calls; the source is at one of the starts. Raises NotACall where they are none, or go wrong."""
        ...

    def sequence(self, writer: GrammarWriter) -> Sequence:
        """The calls, from where `triggers` wake the grammar."""
        ...

    def triggers(self, writer: GrammarWriter) -> Triggers: ...


class Turn(Protocol):
    """A way to write a whole message, where it is more than reasoning, content, calls."""

    def read(self, reading: Reading) -> Steps[None]: ...

    def sequence(self, writer: GrammarWriter, starts_thinking: bool) -> Sequence:
        """Reasoning, then calls."""
        ...


@dataclass(frozen=True)
class Format:
    """A format of messages. Most are data alone: calls of one of the kinds, with their marks.

    calls: None where a model has none. dropped: marks in the content that mean nothing to a reader. answer: marks
    around what follows reasoning. prompt_end: how the prompt ends already, if calls could begin there. turn: for
    messages in parts, each with a header. signs: texts that all stand in the templates of such models (any of them,
    where one is a tuple), as none of `not_signs` does.
    """

    name: str
    calls: Calls | None = None
    thinking: Thinking | None = None
    dropped: tuple[str, ...] = ()
    answer: tuple[str, str] = ("", "")
    prompt_end: str = ""
    turn: Turn | None = None
    signs: tuple[str | tuple[str, ...], ...] = ()
    not_signs: tuple[str, ...] = ()
    is_lazy: bool = True  # calls have marks for which a grammar may wait; else the whole message calls or answers

    def starts_thinking(self, prompt: str) -> bool:
        """Whether the model goes on thinking after this prompt, which has opened its reasoning."""
        return self.thinking is not None and self.thinking.is_open(prompt)

    def fits(self, template: str) -> bool:
        has = all(
            sign in template if isinstance(sign, str) else any(s in template for s in sign) for sign in self.signs
        )
        return has and not any(sign in template for sign in self.not_signs)
