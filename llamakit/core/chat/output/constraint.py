"""The grammar of a format's calls, made of the tools' schemas, and what wakes it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from llamakit.core.chat.output.arguments import Arguments
from llamakit.core.chat.output.format import Format, Thinking
from llamakit.core.chat.output.generic_calls import GenericCalls
from llamakit.core.chat.output.grammar_writer import GrammarWriter, quoted, text
from llamakit.core.chat.output.tools import AUTO, Tool, ToolChoice, ToolError, ToolUse
from llamakit.core.grammar.prune import prune
from llamakit.core.grammar.rules import Ref, Rules, Sequence
from llamakit.core.grammar.schema_closed import closed_rules
from llamakit.core.grammar.triggers import Triggers

ANY = r"[\s\S]*?"


@dataclass(frozen=True)
class Constraint:
    """`Grammar(rules)`; lazy where there are triggers, else it holds from the first token on, reasoning and all."""

    rules: Rules
    triggers: Triggers | None


def constraint_for(
    form: Format,
    tools: Iterable[Tool],
    choice: ToolChoice = AUTO,
    is_parallel: bool = True,
    *,
    starts_thinking: bool = False,
    answer_schema: Any = None,
) -> Constraint | None:
    """What keeps a model's calls right; None where there is nothing to call.

    answer_schema: the JSON schema of an answer that is not a call, for a format without marks (`not form.is_lazy`).
    Raises ToolError for a schema that cannot be used.
    """
    tools = [tool for tool in tools if choice.name in (None, tool.name)]
    if form.calls is None or not tools or choice.use is ToolUse.NONE:
        return None
    writer = GrammarWriter(map(Arguments, tools), is_parallel and choice.name is None)
    try:
        calls = form.calls.sequence(writer)
        if form.is_lazy and not choice.is_required:
            root = writer.rule("root", calls)
            triggers = after_thinking(form.calls.triggers(writer), form, starts_thinking)
        else:
            ways = [calls]
            if isinstance(form.calls, GenericCalls) and not choice.is_required:
                answer = writer.embed(closed_rules({"type": "string"} if answer_schema is None else answer_schema))
                ways.append(form.calls.answer(writer, answer))
            root, triggers = whole_message(writer, form, ways, starts_thinking), None
    except RecursionError:
        raise ToolError("tools: a schema is nested too deeply") from None
    writer.rules.root = root.rule
    return Constraint(prune(writer.rules), triggers)


def whole_message(writer: GrammarWriter, form: Format, ways: list[Sequence], starts_thinking: bool) -> Ref:
    """Reasoning, if it comes, then one of the ways."""
    if form.turn is not None:
        return writer.rule("root", *((*form.turn.sequence(writer, starts_thinking), *way) for way in ways))
    if form.thinking is None:
        return writer.rule("root", *ways)
    start, end = form.thinking.start, form.thinking.end
    ends = (end, *form.thinking.others, *(form.calls.starts if form.calls and form.thinking.ends_at_calls else ()))
    thought: Sequence = (*writer.any_text(*ends), text(end), writer.pattern(r"[ \t\n]{0,8}"))
    if not starts_thinking:
        thought = (writer.optional(text(start), *thought),)
    return writer.rule("root", *((*thought, *way) for way in ways))


def after_thinking(triggers: Triggers, form: Format, starts_thinking: bool) -> Triggers:
    """The same, but nothing in the model's reasoning wakes the grammar."""
    thinking = form.thinking
    if thinking is None or thinking.ends_at_calls or thinking.is_anywhere or form.turn is not None:
        return triggers
    sought = [*(f"({quoted(word)})" for word in triggers.words), *triggers.patterns]
    prefixes = before(thinking, starts_thinking)
    return Triggers(patterns=tuple(prefix + pattern for pattern in sought for prefix in prefixes))


def before(thinking: Thinking, starts_thinking: bool) -> list[str]:
    """Patterns of the text before a call: reasoning that has ended, or how a text can begin that is none."""
    start, end = thinking.start, quoted(thinking.end)
    if starts_thinking:
        return [f"{end}{ANY}"]
    half = "|".join(quoted(start[:n]) for n in range(1, len(start)))
    others = "|".join(f"{quoted(start[:n])}[^{quoted(start[n])}]" for n in range(1, len(start)))
    first = rf"[^\s{quoted(start[0])}]"
    return [
        rf"^\s*{quoted(start)}{ANY}{end}{ANY}",
        rf"^\s*(?:{half})?",
        rf"^\s*(?:{first}|{others}){ANY}",
    ]
