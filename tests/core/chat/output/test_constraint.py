"""What the grammars of calls allow is read as just such calls; and the calls that templates show are allowed."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import numpy as np
import pytest

from llamakit.core.chat.output.constraint import constraint_for
from llamakit.core.chat.output.format import THINK, Format
from llamakit.core.chat.output.parser import parse
from llamakit.core.chat.output.registry import BY_NAME
from llamakit.core.chat.output.tools import Tool, ToolChoice, ToolError, ToolUse
from llamakit.core.grammar.grammar import Grammar
from llamakit.core.grammar.schema_rules import schema_rules
from tests.core.chat.output.outputs import CASES, TOOLS, Case, tool
from tests.core.grammar.tokens import Tokens

FORMS = [form for form in BY_NAME.values() if form.calls]
REQUIRED = ToolChoice(ToolUse.REQUIRED)
MORE = (
    *TOOLS,
    tool("unit", ("unit",), unit={"enum": ["celsius", "fahrenheit"]}, degrees={"type": ["number", "string"]}),
    tool("shape", ("at",), at={"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]},
         any={}, names={"type": "array", "items": {"type": "string", "maxLength": 3}, "minItems": 1, "maxItems": 2}),
    Tool("free", "", {"type": "object", "additionalProperties": {"type": "integer"}}),
)  # fmt: skip
SCHEMAS = {t.name: Grammar(schema_rules({"type": "object", **t.parameters})) for t in MORE}


def vocabulary(name: str) -> Tokens:
    """Bytes, and the marks of a format as tokens."""
    texts = [case.text for case in CASES if case.form == name]
    marks = {
        mark for text in texts for mark in re.findall(r"<[^<>]+>|\[[^\[\]]+\]|\]<\]minimax\[>\[</?\w+>|\n</\w+>", text)
    }
    words = {'"', '":', "é", "</", "true", "null", '{"', '<|"|>'}
    return Tokens(
        *sorted(marks | {f"</{k}>" for k in ("city", "code", "text", "unit", "query", "item", "degrees")} | words)
    )


def sample(grammar: Grammar, vocab: Tokens, rng: random.Random) -> str:
    """A random text of the grammar; "" if none was found."""
    matcher = grammar.matcher(vocab)
    mask = np.empty(matcher.trie.n_words, np.uint32)
    text = b""
    for _ in range(800):
        matcher.fill_mask(mask)
        allowed = np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little")).tolist()
        if not allowed:  # a count was full when one more had begun
            return ""
        if vocab.eos in allowed and (len(allowed) == 1 or rng.random() < 0.5):
            return text.decode()
        ascii_only = [t for t in allowed if 32 <= t < 127]
        ends = [t for t in allowed if t >= 256 and t != vocab.eos] + [
            t for t in allowed if t < 256 and chr(t) in '"}]),<'
        ]
        token = rng.choice(ends if ends and rng.random() < 0.4 else ascii_only or allowed)
        matcher.accept(token)
        text += vocab.pieces[token]
    return ""


def check_calls(text: str, form: Format) -> None:
    """It is calls and nothing else, and their arguments are as the tools want them."""
    message = parse(text, form, tools=MORE)
    assert message.tool_calls and not message.content, text
    for call in message.tool_calls:
        assert SCHEMAS[call.name].matches(call.arguments), text


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_what_a_grammar_allows_is_read_as_calls(form: Format) -> None:
    rng = random.Random(form.name)
    vocab = vocabulary(form.name)
    texts = []
    for choice, is_parallel in ((ToolChoice(), True), (REQUIRED, False)):
        if form.is_lazy or choice.is_required:
            constraint = constraint_for(form, MORE, choice, is_parallel)
            assert constraint is not None
            grammar = Grammar(constraint.rules)
            texts.append(next(text for _ in range(40) if (text := sample(grammar, vocab, rng))))
    assert texts
    for text in texts:
        check_calls(text, form)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.calls], ids=lambda case: f"{case.form}-{case.text[:30]!r}"
)
def test_a_grammar_allows_what_models_write_after_its_trigger(case: Case) -> None:
    """Where they keep to their format, and to the tools' schemas."""
    form = BY_NAME[case.form]
    constraint = constraint_for(
        form, TOOLS, REQUIRED if not form.is_lazy else ToolChoice(), starts_thinking=case.starts_thinking
    )
    assert constraint is not None
    start = constraint.triggers.place(case.text) if constraint.triggers else 0
    is_allowed = start is not None and begins_with(Grammar(constraint.rules), case.text[start:])
    assert is_allowed is not case.is_loose


def begins_with(grammar: Grammar, text: str) -> bool:
    return any(grammar.matches(text[:i]) for i in range(len(text), 0, -1))


@pytest.mark.parametrize(
    "text, starts_thinking, is_awake",
    [
        ("<tool_call>", False, True),
        ("  text, then <tool_call>", False, True),
        ("<<tool_call>", False, True),
        ("<thin<tool_call>", False, True),
        ("<think>say <tool_call>", False, False),
        ("\n<think>say <tool_call> </think> and <tool_call>", False, True),
        ("say <tool_call>", True, False),
        ("say </think><tool_call>", True, True),
    ],
)
def test_no_grammar_wakes_while_a_model_thinks(text: str, starts_thinking: bool, is_awake: bool) -> None:
    form = replace(BY_NAME["hermes"], thinking=THINK)
    constraint = constraint_for(form, TOOLS, starts_thinking=starts_thinking)
    assert constraint is not None and constraint.triggers is not None
    vocab = Tokens()
    matcher = Grammar(constraint.rules).lazy_matcher(vocab, constraint.triggers)
    for byte in text.encode():
        matcher.accept(byte)
    assert matcher.is_awake is is_awake
    assert (constraint.triggers.place(text) is not None) is is_awake
    if is_awake:
        assert constraint.triggers.place(text) == text.rindex("<tool_call>")


def test_a_choice_says_which_tools_and_how_many() -> None:
    form = BY_NAME["hermes"]
    time = '<tool_call>\n{"name": "get_time", "arguments": {"city": "Paris"}}\n</tool_call>'
    nothing = '<tool_call>\n{"name": "nothing", "arguments": {}}\n</tool_call>'

    def allows(choice: ToolChoice, text: str, is_parallel: bool = True) -> bool:
        constraint = constraint_for(form, TOOLS, choice, is_parallel)
        return constraint is not None and Grammar(constraint.rules).matches(text)

    assert constraint_for(form, TOOLS, ToolChoice(ToolUse.NONE)) is None
    assert constraint_for(form, ()) is None
    assert allows(ToolChoice(), time + "\n" + nothing)
    assert not allows(ToolChoice(), time + "\n" + nothing, is_parallel=False)
    assert allows(ToolChoice(), time, is_parallel=False)
    named = ToolChoice(ToolUse.REQUIRED, "nothing")
    assert allows(named, nothing) and not allows(named, time) and not allows(named, nothing + nothing)
    required = constraint_for(form, TOOLS, REQUIRED)
    assert required is not None and required.triggers is None
    assert not allows(REQUIRED, "Let me see. " + time)
    thinking = constraint_for(replace(form, thinking=THINK), TOOLS, REQUIRED)
    assert thinking is not None and Grammar(thinking.rules).matches("<think>hm</think>\n" + time)
    forced = constraint_for(replace(form, thinking=THINK), TOOLS, REQUIRED, starts_thinking=True)
    assert forced is not None and Grammar(forced.rules).matches("hm</think>\n" + time)
    assert not Grammar(forced.rules).matches(time)


def test_arguments_that_are_not_named_are_made_up_and_refused() -> None:
    constraint = constraint_for(BY_NAME["hermes"], TOOLS)
    assert constraint is not None
    invented = '<tool_call>\n{"name": "nothing", "arguments": {"x": 1}}\n</tool_call>'
    assert not Grammar(constraint.rules).matches(invented)


def test_objects_within_arguments_are_objects_without_other_properties() -> None:
    point = {"properties": {"x": {"type": "integer"}}}
    constraint = constraint_for(BY_NAME["hermes"], [Tool("go", parameters={"properties": {"to": point}})])
    assert constraint is not None
    grammar = Grammar(constraint.rules)
    for value, is_right in (('{"x": 1}', True), ('{"x": 1, "y": 2}', False), ('"north"', False)):
        call = f'<tool_call>\n{{"name": "go", "arguments": {{"to": {value}}}}}\n</tool_call>'
        assert grammar.matches(call) is is_right, value


def test_an_answer_may_have_a_schema_of_its_own_where_calls_have_no_marks() -> None:
    form = BY_NAME["generic"]
    constraint = constraint_for(form, TOOLS, answer_schema={"type": "object", "properties": {"a": {"type": "integer"}}})
    assert constraint is not None and constraint.triggers is None
    grammar = Grammar(constraint.rules)
    assert grammar.matches('{"response": {"a": 1}}') and not grammar.matches('{"response": "text"}')
    text = constraint_for(form, TOOLS, is_parallel=False)
    assert text is not None and Grammar(text.rules).matches('{"response": "text"}')
    assert Grammar(text.rules).matches('{"tool_call": {"name": "nothing", "arguments": {}}}')
    required = constraint_for(form, TOOLS, REQUIRED)
    assert required is not None and not Grammar(required.rules).matches('{"response": "text"}')


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_schema_that_cannot_be_used_is_an_error_with_the_tool_and_the_place(form: Format) -> None:
    bad = Tool("broken", "", {"type": "object", "properties": {"x": {"type": "string", "pattern": "(?<=a)b"}}})
    with pytest.raises(ToolError, match=r"tool 'broken'.*/properties/x"):
        constraint_for(form, [bad])
