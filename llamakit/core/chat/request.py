"""A chat and what is to come of it: to the prompt, to what keeps the answer in its form, to what reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from llamakit.core.chat.message import Message
from llamakit.core.chat.output import generic_calls
from llamakit.core.chat.output.answer import answer_constraint
from llamakit.core.chat.output.constraint import Constraint, constraint_for
from llamakit.core.chat.output.format import Format, ReasoningFormat
from llamakit.core.chat.output.parser import Parser
from llamakit.core.chat.output.registry import CONTENT_ONLY, GENERIC, format_of
from llamakit.core.chat.output.tools import AUTO, Tool, ToolChoice, ToolUse
from llamakit.core.chat.prompt import Prompt, chat_prompt
from llamakit.core.grammar.errors import GrammarError
from llamakit.core.grammar.rules import Rules
from llamakit.core.grammar.schema_closed import closed_rules
from llamakit.errors import LlamakitError

if TYPE_CHECKING:
    from llamakit.core.chat.template import ChatTemplate

ANY_OBJECT = {"type": "object"}


class AnswerError(LlamakitError):
    """A form that an answer cannot be held to. `param` is the field that asks for it, `reason` what is wrong."""

    exit_code = 2

    def __init__(self, param: str, reason: str) -> None:
        super().__init__(f"{param}: {reason}")
        self.param, self.reason = param, reason


@dataclass(frozen=True)
class AnswerForm:
    """What the answer has to be: a JSON schema's value, or a text of a grammar. `param` is the field that says so."""

    param: str
    schema: Any = None
    rules: Rules | None = None


@dataclass(frozen=True)
class Chat:
    """Messages and what is to come of them."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    choice: ToolChoice = AUTO
    is_parallel: bool | None = None  # may several tools be called; None: as far as the template can show it
    answer: AnswerForm | None = None
    reasoning: ReasoningFormat = ReasoningFormat.AUTO
    variables: Mapping[str, Any] = field(default_factory=dict)  # of the template
    opens: bool = True  # the prompt opens the assistant's turn
    continues: bool = False  # the last message is the assistant's, and goes on
    is_parsed: bool = True  # thoughts and calls are told apart from content

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


def open_chat(template: ChatTemplate, chat: Chat) -> Opening:
    """Render the messages. Raises MessageError, TemplateError; it takes milliseconds."""
    form = CONTENT_ONLY
    if chat.is_parsed:
        chosen = template.with_tools() if chat.tools else template
        form = form_of(chosen, chat.may_call, chat.choice, chat.answer is not None)
    messages, tools = chat.messages, [tool.as_json() for tool in chat.tools]
    if form.calls is GENERIC.calls:
        messages = noted(messages, generic_calls.note(tools, may_call_several(template, chat)))
        tools = []
    prompt = chat_prompt(template, messages, tools or None, chat.opens, chat.continues, **chat.variables)
    return Opening(prompt, form, chat.tools, chat.reasoning)


@lru_cache(64)
def form_of(template: ChatTemplate, may_call: bool, choice: ToolChoice, has_schema: bool) -> Format:
    return format_of(template.source, may_call, choice, has_schema, template.render)


def may_call_several(template: ChatTemplate, chat: Chat) -> bool:
    """Whether several tools may be called at once: as the chat says, or as the template can show it."""
    if chat.is_parallel is not None:
        return chat.is_parallel
    return template.with_tools().capabilities.parallel_tool_calls


def noted(messages: Sequence[Message], note: str) -> tuple[Message, ...]:
    """Messages whose first one, the system's, says something more."""
    if messages and messages[0].role in ("system", "developer"):
        return (replace(messages[0], content=f"{messages[0].text}\n\n{note}"), *messages[1:])
    return (Message("system", note), *messages)


def constraint_of(template: ChatTemplate, chat: Chat, opening: Opening) -> Constraint | None:
    """What keeps the answer in its form. Raises ToolError, AnswerError for what cannot be held to."""
    form, answer = opening.form, chat.answer
    if chat.may_call and form.calls is not None:
        if answer is not None and not chat.choice.is_required and (answer.schema is None or form.is_lazy):
            raise AnswerError(answer.param, "cannot be held to beside tools with this model; leave out one of them")
        return constraint_for(
            form,
            chat.tools,
            chat.choice,
            may_call_several(template, chat),
            starts_thinking=opening.starts_thinking,
            answer_schema=None if answer is None else any_object_for_none(answer.schema),
        )
    if answer is None:
        return None
    rules = answer.rules or rules_of_schema(answer.schema, answer.param)
    return answer_constraint(form, rules, opening.starts_thinking)


def any_object_for_none(schema: Any) -> Any:
    """A schema that says nothing means any object, where an answer is asked for by it."""
    return ANY_OBJECT if schema == {} else schema


def rules_of_schema(schema: Any, param: str) -> Rules:
    """Of the JSON texts that a schema asks for, its objects closed; {} is any object. Raises AnswerError naming the
    place in it."""
    if not isinstance(schema, dict | bool):
        raise AnswerError(param, "must be a JSON schema: an object or a boolean")
    try:
        return closed_rules(any_object_for_none(schema))
    except GrammarError as error:
        raise AnswerError(param, str(error)) from None
