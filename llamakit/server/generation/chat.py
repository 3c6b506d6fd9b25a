"""A chat, whichever API it came by: to the prompt, to what keeps the answer in its form, and to what reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from llamakit.core.chat.message import Message
from llamakit.core.chat.output import generic_calls
from llamakit.core.chat.output.constraint import Constraint, constraint_for
from llamakit.core.chat.output.format import THINK, Format, ReasoningFormat
from llamakit.core.chat.output.parser import Parser
from llamakit.core.chat.output.registry import CONTENT_ONLY, GENERIC, format_of
from llamakit.core.chat.output.tools import AUTO, Tool, ToolChoice, ToolUse
from llamakit.core.chat.prompt import Prompt, chat_prompt
from llamakit.core.grammar.rules import Rules
from llamakit.server.engine.generation import Budget
from llamakit.server.generation.field import FieldError
from llamakit.server.generation.structure import answer_constraint, rules_of_schema

if TYPE_CHECKING:
    from llamakit.core.chat.template import ChatTemplate
    from llamakit.core.vocab.base import Vocab
    from llamakit.server.models.served import Served


@dataclass(frozen=True)
class AnswerForm:
    """What the answer has to be: a JSON schema's value, or a text of a grammar. `param` is the field that says so."""

    param: str
    schema: Any = None
    rules: Rules | None = None


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

    @property
    def may_call(self) -> bool:
        return bool(self.tools) and self.choice.use is not ToolUse.NONE


@dataclass(frozen=True)
class Opening:
    """A chat as the model gets it, and how its answer is read."""

    prompt: Prompt
    form: Format
    tools: tuple[Tool, ...]
    reasoning: ReasoningFormat

    @property
    def starts_thinking(self) -> bool:
        return self.form.starts_thinking(self.prompt.text)

    @property
    def shows_special(self) -> bool:
        """Whether special tokens may be marks of the format, which are told by their texts."""
        return self.form.turn is not None or self.form.calls is not None or self.form.thinking is not None

    def reader(self, is_streamed: bool) -> Parser:
        return Parser(
            self.form,
            self.reasoning,
            starts_thinking=self.starts_thinking,
            tools=self.tools,
            is_streamed=is_streamed,
        )


def open_chat(served: Served, chat: Chat) -> Opening:
    """Render the messages. Raises MessageError, TemplateError; it takes milliseconds."""
    settings = served.settings.chat
    template = served.template.with_tools() if chat.tools else served.template
    form = form_of(template, chat.may_call, chat.choice, chat.answer is not None)
    if not settings.is_parsed:
        form = CONTENT_ONLY
    messages, tools = chat.messages, [tool.as_json() for tool in chat.tools]
    if form.calls is GENERIC.calls:
        messages = noted(messages, generic_calls.note(tools, bool(chat.is_parallel)))
        tools = []
    variables = {**settings.variables, **chat.variables}
    prompt = chat_prompt(served.template, messages, tools or None, chat.opens, chat.continues, **variables)
    return Opening(prompt, form, chat.tools, chat.reasoning or settings.reasoning)


@lru_cache(64)
def form_of(template: ChatTemplate, may_call: bool, choice: ToolChoice, has_schema: bool) -> Format:
    return format_of(template.source, may_call, choice, has_schema, template.render)


def noted(messages: Sequence[Message], note: str) -> tuple[Message, ...]:
    """Messages whose first one, the system's, says something more."""
    if messages and messages[0].role in ("system", "developer"):
        return (replace(messages[0], content=f"{messages[0].text}\n\n{note}"), *messages[1:])
    return (Message("system", note), *messages)


def constraint_of(served: Served, chat: Chat, opening: Opening) -> Constraint | None:
    """What keeps the answer in its form. Raises ToolError, FieldError for schemas that cannot be held to."""
    form, answer = opening.form, chat.answer
    if chat.may_call and form.calls is not None:
        if answer is not None and not chat.choice.is_required and (answer.schema is None or form.is_lazy):
            raise FieldError(answer.param, "cannot be held to beside tools with this model; leave out one of them")
        is_parallel = chat.is_parallel
        if is_parallel is None:
            is_parallel = served.template.with_tools().capabilities.parallel_tool_calls
        schema = None if answer is None else answer.schema
        return constraint_for(
            form,
            chat.tools,
            chat.choice,
            is_parallel,
            starts_thinking=opening.starts_thinking,
            answer_schema=schema,
        )
    if answer is None:
        return None
    rules = answer.rules or rules_of_schema(answer.schema, answer.param)
    return answer_constraint(form, rules, opening.starts_thinking)


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
