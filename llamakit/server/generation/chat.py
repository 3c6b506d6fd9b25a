"""A chat as an API asks for it; what it does not say, the server's options do. See `core/chat/request.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llamakit.core.chat import request as core
from llamakit.core.chat.message import Message
from llamakit.core.chat.output.constraint import Constraint
from llamakit.core.chat.output.format import THINK, ReasoningFormat
from llamakit.core.chat.output.tools import AUTO, Tool, ToolChoice
from llamakit.core.chat.request import AnswerError, AnswerForm, Opening
from llamakit.server.engine.generation import Budget
from llamakit.server.generation.field import FieldError

if TYPE_CHECKING:
    from llamakit.core.vocab.base import Vocab
    from llamakit.server.models.served import Served


@dataclass(frozen=True)
class Chat:
    """Messages and what is to come of them. None: as the server's options say."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    choice: ToolChoice = AUTO
    is_parallel: bool | None = None  # may several tools be called; None: as far as the template can show it
    answer: AnswerForm | None = None
    reasoning: ReasoningFormat | None = None
    budget: int | None = None  # tokens to think; negative: any number
    budget_message: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)  # of the template, over the server's
    opens: bool = True  # the prompt opens the assistant's turn
    continues: bool = False  # the last message is the assistant's, and goes on

    def for_server(self, served: Served) -> core.Chat:
        """With all said."""
        settings = served.settings.chat
        return core.Chat(
            self.messages, self.tools, self.choice, self.is_parallel, self.answer,
            self.reasoning or settings.reasoning, {**settings.variables, **self.variables}, self.opens, self.continues,
            settings.is_parsed,
        )  # fmt: skip


def open_chat(served: Served, chat: Chat) -> Opening:
    """Render the messages. Raises MessageError, TemplateError; it takes milliseconds."""
    return core.open_chat(served.template, chat.for_server(served))


def constraint_of(served: Served, chat: Chat, opening: Opening) -> Constraint | None:
    """What keeps the answer in its form. Raises ToolError, FieldError for schemas that cannot be held to."""
    try:
        return core.constraint_of(served.template, chat.for_server(served), opening)
    except AnswerError as error:
        raise FieldError(error.param, error.reason) from None


def budget_of(served: Served, chat: Chat, opening: Opening) -> Budget | None:
    """How long the model may think; None: as long as it likes."""
    settings = served.settings.chat
    n_tokens = settings.budget if chat.budget is None or chat.budget == -1 else chat.budget
    if n_tokens < 0 or not settings.is_parsed:
        return None
    tags = opening.form.thinking or THINK
    message = settings.budget_message if chat.budget_message is None else chat.budget_message
    ends = tuple(marks(served.vocab, end) for end in (tags.end, *tags.others))
    forced_end = marks(served.vocab, message + tags.end)
    return Budget((marks(served.vocab, tags.start),), ends, forced_end, n_tokens, tags.is_open(opening.prompt.text))


def marks(vocab: Vocab, text: str) -> tuple[int, ...]:
    """The tokens of a text amid others: without a space that begins each text."""
    ids = tuple(vocab.encode(text, add_special=False, parse_special=True))
    return ids[1:] if ids and not text.startswith(" ") and vocab.piece(ids[0]) == b" " else ids
