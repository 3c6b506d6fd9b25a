"""Where reasoning goes, and what a stream may look like on the way."""

from __future__ import annotations

import codecs
import time
from dataclasses import replace

import pytest

from llamakit.core.chat.output.format import THINK, ReasoningFormat
from llamakit.core.chat.output.output import CallDelta, Delta, Message, ToolCall, joined
from llamakit.core.chat.output.parser import Parser, parse
from llamakit.core.chat.output.registry import BY_NAME, CONTENT_ONLY
from tests.core.chat.output.outputs import CASES, TOOLS

CALL = '<tool_call>\n{"name": "get_time", "arguments": {"city": "Paris"}}\n</tool_call>'
TEXT = "<think>\nhm <tool_call>\n</think>\n\nHello " + CALL
HERMES = BY_NAME["hermes"]


def read(text: str, reasoning: ReasoningFormat, is_streamed: bool, starts_thinking: bool = False) -> Message:
    parser = Parser(HERMES, reasoning, is_streamed=is_streamed, starts_thinking=starts_thinking, make_id=str)
    parser.push(text)
    parser.finish()
    return parser.message


CALLS = (ToolCall("0", "get_time", '{"city": "Paris"}'),)
APART = Message("Hello", "hm <tool_call>", CALLS)
WITHIN = Message("<think>\nhm <tool_call>\n</think>\n\nHello", "", CALLS)


@pytest.mark.parametrize(
    "name, is_streamed, message",
    [
        ("auto", True, APART),
        ("deepseek", True, APART),
        ("deepseek", False, APART),
        ("deepseek-legacy", False, APART),
        ("deepseek-legacy", True, WITHIN),
        ("none", True, WITHIN),
        ("none", False, WITHIN),
    ],
)
def test_reasoning_goes_where_the_format_says_and_calls_are_found(
    name: str, is_streamed: bool, message: Message
) -> None:
    assert read(TEXT, ReasoningFormat(name), is_streamed) == message


def test_reasoning_that_the_prompt_has_opened_ends_at_its_tag() -> None:
    text = "hm\n</think>\n\nHello"
    assert read(text, ReasoningFormat.AUTO, True, True) == Message("Hello", "hm")
    assert read(text, ReasoningFormat.NONE, True, True) == Message(text)
    assert read("<think>hm</think>Hello", ReasoningFormat.AUTO, True, True) == Message("Hello", "hm")
    assert read("hm", ReasoningFormat.AUTO, True, True) == Message("", "hm")


@pytest.mark.parametrize(
    "form, text, message",
    [
        ("gpt-oss", "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Hello",
         Message("<|channel|>analysis<|message|>hm<|end|>Hello")),
        ("gemma4", "<|channel>thought\nhm<channel|>Hello", Message("<|channel>thought\nhm<channel|>Hello")),
        ("command-r7b", "<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>Hello<|END_RESPONSE|>",
         Message("<|START_THINKING|>hm<|END_THINKING|>Hello")),
        ("kimi-k2", "<think>hm<|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{}",
         Message("<think>hm", "", (ToolCall("functions.f:0", "f", "{}"),))),
    ],
)  # fmt: skip
def test_reasoning_that_is_left_in_the_content_keeps_its_tags(form: str, text: str, message: Message) -> None:
    assert parse(text, BY_NAME[form], ReasoningFormat.NONE) == message


@pytest.mark.parametrize(
    "prompt, is_open",
    [
        ("<|im_start|>assistant\n<think>\n", True),
        ("<|im_start|>assistant\n<think>", True),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", False),
        ("<|im_start|>assistant\n", False),
    ],
)
def test_a_prompt_tells_whether_the_model_goes_on_thinking(prompt: str, is_open: bool) -> None:
    assert replace(HERMES, thinking=THINK).starts_thinking(prompt) is is_open
    assert replace(HERMES, thinking=None).starts_thinking(prompt) is False


def test_what_may_become_a_mark_waits_and_the_rest_does_not() -> None:
    parser = Parser(HERMES, make_id=str)
    assert parser.push("a <tool") == [Delta("a")]
    assert parser.push("box") == [Delta(" <toolbox")]
    assert parser.push(" \n") == []
    assert parser.push("<tool_call>") == []
    assert parser.push('{"name": "get_time", "arguments": {"ci') == [
        Delta(tool_call=CallDelta(0, '{"ci', "0", "get_time"))
    ]
    assert parser.push('ty": "Paris"') == [Delta(tool_call=CallDelta(0, 'ty": "Paris"'))]
    assert parser.push("}}</tool_call>\n") == [Delta(tool_call=CallDelta(0, "}"))]
    assert parser.finish() == []
    assert parser.message == Message("a <toolbox", "", CALLS)


def test_a_stream_of_bytes_gives_the_same_message() -> None:
    """Characters that are cut in two are the decoder's task: the parser gets the rest with the next piece."""
    for case in CASES:
        decoder = codecs.getincrementaldecoder("utf-8")()
        options = {"starts_thinking": case.starts_thinking, "tools": TOOLS, "make_id": str}
        parsers = [Parser(BY_NAME[case.form], **options) for _ in range(2)]  # type: ignore[arg-type]
        deltas = [d for byte in case.text.encode() for d in parsers[0].push(decoder.decode(bytes([byte])))]
        parsers[1].push(case.text)
        deltas += parsers[0].finish()
        parsers[1].finish()
        assert joined(deltas) == parsers[1].message


def test_messages_and_deltas_have_openais_shape() -> None:
    assert Message("hi", "hm").as_json() == {"role": "assistant", "content": "hi", "reasoning_content": "hm"}
    assert Message().as_json() == {"role": "assistant", "content": ""}
    function = {"name": "f", "arguments": "{}"}
    call = {"id": "a", "type": "function", "function": function}
    assert Message(tool_calls=(ToolCall("a", "f", "{}"),)).as_json() == {
        "role": "assistant",
        "content": None,
        "tool_calls": [call],
    }
    assert Delta("hi").as_json() == {"content": "hi"}
    assert Delta(reasoning_content="hm").as_json() == {"reasoning_content": "hm"}
    assert Delta(tool_call=CallDelta(0, "{}", "a", "f")).as_json() == {"tool_calls": [{"index": 0, **call}]}
    assert Delta(tool_call=CallDelta(1, "{")).as_json() == {
        "tool_calls": [{"index": 1, "function": {"arguments": "{"}}]
    }


def test_calls_without_ids_get_some_that_every_template_takes() -> None:
    message = parse(CALL + CALL, HERMES)
    ids = [call.id for call in message.tool_calls]
    assert len(set(ids)) == 2 and all(len(i) == 9 and i.isalnum() for i in ids)


N = 6_000
LONG = {
    "text": ("content-only", "ab \n" * N),
    "half-marks": ("hermes", "<tool_call" * N),
    "marks": ("hermes", "<tool_call>" * N),
    "half-calls": ("hermes", '<tool_call>{"name": "' * N),
    "blanks": ("hermes", "x" + " \n" * N + "<"),
    "blanks-after-mark": ("hermes", "<tool_call>" + " \n" * N),
    "long-string": ("hermes", '<tool_call>{"name": "python", "arguments": {"code": "' + "a\\n" * N + '"}}</tool_call>'),
    "long-list": ("hermes", '<tool_call>{"name": "f", "arguments": {"x": [' + "1,-2.5," * N + "0]}}</tool_call>"),
    "deep": ("hermes", '<tool_call>{"name": "f", "arguments": ' + "[" * N + "]" * N + "}</tool_call>"),
    "deep-id": ("hermes", '<tool_call>{"id": ' + "[" * 3000 + "]" * 3000 + ', "name": "f"}</tool_call>'),
    "digits": ("hermes", '<tool_call>{"name": "f", "arguments": {"x": ' + "1" * N + "}}</tool_call>"),
    "braces": ("llama3", "{" * N),
    "calls": ("qwen3-coder", "<tool_call>\n<function=nothing>\n</function>\n</tool_call>\n" * (N // 10)),
    "half-tags": ("qwen3-coder", "<tool_call>\n<function=f>\n<parameter=x>\n" + "\n</parameter" * N),
    "values": ("glm-4.7", "<tool_call>f<arg_key>x</arg_key><arg_value>" + "</arg_valu" * N + "</arg_value>"),
    "channels": ("gpt-oss", "<|channel|>" * N),
    "headers": ("gpt-oss", "<|channel|>analysis<|message|>x<|end|><|start|>assistant" * (N // 10)),
    "nested-tags": ("minimax-m3", ']<]minimax[>[<tool_call>]<]minimax[>[<invoke name="f">' + "]<]minimax[>[<a>" * N),
    "gemma": ("gemma4", "<|tool_call>call:f{x:" + "[" * N),
    "python": ("lfm2", "<|tool_call_start|>[f(x='" + "\\'" * N + "')]<|tool_call_end|>"),
}  # fmt: skip


@pytest.mark.parametrize("name", LONG)
def test_long_and_nasty_outputs_take_linear_time(name: str) -> None:
    """In single characters, which is the worst there is: some microseconds each."""
    form, text = LONG[name]
    parser = Parser(BY_NAME[form], make_id=str)
    whole = Parser(BY_NAME[form], make_id=str)
    begin = time.thread_time()
    for char in text:
        parser.push(char)
    parser.finish()
    seconds = time.thread_time() - begin
    whole.push(text)
    whole.finish()
    assert parser.message == whole.message
    assert seconds < 60e-6 * len(text)


def test_nothing_of_an_output_that_is_no_call_is_lost() -> None:
    for form in (form for form in BY_NAME.values() if form.calls and form.name != "gpt-oss"):
        assert form.calls is not None
        for start in set(form.calls.starts) - {"<|python_tag|>"}:  # code may be anything
            text = f"before {start} after"
            assert parse(text, replace(form, dropped=())).content == text


def test_content_alone_is_left_as_it_is() -> None:
    text = " \n x <tool_call> {} </think> \n"
    assert parse(text, CONTENT_ONLY) == Message(text)
