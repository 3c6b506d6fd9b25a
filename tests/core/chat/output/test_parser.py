"""Every format's outputs become the message that they are, however they are cut into pieces."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamakit.core.chat.output import channels, output, source
from llamakit.core.chat.output.output import Message, joined
from llamakit.core.chat.output.parser import Parser
from llamakit.core.chat.output.registry import BY_NAME, TAGS
from tests.core.chat.output.outputs import CASES, TOOLS, Case


def parser_of(case: Case) -> Parser:
    form = BY_NAME[case.form]
    if form.thinking is None and "[THINK]" in case.text:
        form = replace(form, thinking=TAGS[0])
    return Parser(form, starts_thinking=case.starts_thinking, tools=TOOLS, make_id=lambda i: f"made{i}")


def read(case: Case, pieces: list[str]) -> Message:
    parser = parser_of(case)
    deltas = [delta for piece in pieces for delta in parser.push(piece)] + parser.finish()
    assert joined(deltas) == parser.message
    assert parser.raw == case.text
    return parser.message


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.form}-{case.text[:30]!r}")
def test_an_output_is_told_apart(case: Case) -> None:
    message = read(case, [case.text])
    calls = [(call.name, json.loads(call.arguments)) for call in message.tool_calls]
    assert (message.content, message.reasoning_content) == (case.content, case.reasoning)
    assert calls == [call[:2] for call in case.calls]
    for i, (call, expected) in enumerate(zip(message.tool_calls, case.calls, strict=True)):
        assert call.id == (expected[2] if len(expected) > 2 else f"made{i}")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.form}-{case.text[:30]!r}")
def test_it_is_the_same_character_by_character_and_in_halves(case: Case) -> None:
    whole = read(case, [case.text])
    assert read(case, list(case.text)) == whole
    for i in range(1, len(case.text), 5):
        assert read(case, [case.text[:i], case.text[i:]]) == whole


MARKS = sorted({mark for case in CASES for mark in case.text.replace(">", ">\0").replace("]", "]\0").split("\0")})


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(CASES), st.data())
def test_it_is_the_same_for_mixed_up_outputs_in_any_pieces(case: Case, data: st.DataObject) -> None:
    """Outputs cut short, with a part left out or put in, and outputs of other formats."""
    text = case.text
    for _ in range(data.draw(st.integers(0, 3))):
        i, j = sorted((data.draw(st.integers(0, len(text))), data.draw(st.integers(0, len(text)))))
        put = data.draw(st.one_of(st.just(""), st.sampled_from(MARKS), st.text('{}[]<>"\\\n :,a1|é🦙', max_size=6)))
        text = text[:i] + put + text[min(j, i + 12) :]
    case = replace(case, text=text)
    whole = read(case, [text])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[i:j] for i, j in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert read(case, pieces) == whole
    assert read(case, list(text)) == whole


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.form}-{case.text[:30]!r}")
def test_what_streams_only_grows(case: Case) -> None:
    """Pieces of one call follow each other, its name comes first and once."""
    parser = parser_of(case)
    seen: list[int] = []
    for delta in [d for char in case.text for d in parser.push(char)] + parser.finish():
        assert sum(map(bool, (delta.content, delta.reasoning_content, delta.tool_call))) == 1
        if delta.tool_call:
            is_new = bool(delta.tool_call.name)
            assert delta.tool_call.index == len(seen) - (0 if is_new else 1)
            assert bool(delta.tool_call.id) is is_new
            seen += [delta.tool_call.index] if is_new else []


def is_open_code(arguments: str) -> bool:
    """Code after a tag ends with the text, wherever that is."""
    return arguments.startswith('{"code": "') and arguments.endswith('"}')


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.calls], ids=lambda case: f"{case.form}-{case.text[:30]!r}"
)
def test_an_output_cut_short_keeps_what_there_was(case: Case) -> None:
    """Nothing is invented: arguments of a call that was cut begin as those of the whole call do."""
    whole = read(case, [case.text])
    for i in range(0, len(case.text), 2):
        message = read(replace(case, text=case.text[:i]), [case.text[:i]])
        assert len(message.tool_calls) <= len(whole.tool_calls)
        for call, full in zip(message.tool_calls, whole.tool_calls, strict=False):
            assert call.name == full.name
            if not is_open_code(call.arguments):
                assert full.arguments.startswith(call.arguments)


def test_what_is_kept_is_bounded_wherever_the_text_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """With limits that all these outputs exceed somewhere: calls may be refused then, but by the text alone."""
    monkeypatch.setattr(source, "MOST_KEPT", 40)
    monkeypatch.setattr(channels, "MOST_HEADER", 30)
    monkeypatch.setattr(output, "MOST_BLANKS", 2)
    for case in CASES:
        whole = read(case, [case.text])
        assert read(case, list(case.text)) == whole
        assert read(case, [case.text[i : i + 7] for i in range(0, len(case.text), 7)]) == whole
