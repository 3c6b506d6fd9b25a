"""Messages are parsed at the border, and what is wrong with them is named by its place."""

from __future__ import annotations

from typing import Any

import pytest

from llamakit.core.chat.errors import MessageError
from llamakit.core.chat.message import MEDIA_MARKER, Message, Part, ToolCall, as_dicts, parse_messages
from tests.core.chat.conversations import answer, assistant, call, system, user


def test_messages_become_what_they_say() -> None:
    chat = [
        system("Be brief."),
        user([{"type": "text", "text": "Look:"}, {"type": "image_url", "image_url": {"url": "data:..."}}]),
        assistant(None, tool_calls=[call("f", {"city": "Köln"}, "1")], reasoning_content="hm"),
        answer("20", "1"),
    ]
    assert parse_messages(chat) == [
        Message("system", "Be brief."),
        Message("user", (Part("text", "Look:"), Part("image", source={"url": "data:..."}))),
        Message("assistant", None, tool_calls=(ToolCall("f", '{"city": "Köln"}', "1"),), reasoning="hm"),
        Message("tool", "20", name="get_weather", tool_call_id="1"),
    ]


def test_a_message_says_what_it_was_made_of() -> None:
    chat = [user("Hi"), assistant("Hello", tool_calls=[call("f", '{"a": 1}')], reasoning_content="hm"), answer("x")]
    assert as_dicts(parse_messages(chat)) == chat


def test_ids_of_calls_may_be_missing() -> None:
    function = {"function": {"name": "f", "arguments": "{}"}}
    assert len(parse_messages([assistant("", tool_calls=[function]), answer("20", "7")])) == 2


@pytest.mark.parametrize(
    "content, text",
    [
        ("Hi", "Hi"),
        (None, ""),
        ((Part("text", "a"), Part("text", "b")), "a\nb"),
        ((Part("text", "a"), Part("image"), Part("text", "b"), Part("text", "c")), f"a{MEDIA_MARKER}b\nc"),
    ],
)
def test_parts_stand_on_lines_of_their_own_but_for_media(content: Any, text: str) -> None:
    assert Message("user", content).text == text


def deep(n: int) -> Any:
    value: Any = 1
    for _ in range(n):
        value = [value]
    return value


CALL = {"id": "1", "type": "function"}
FAULTS: list[tuple[Any, str]] = [
    ("Hi", "messages: must be a list, not a text"),
    ([], "messages: must hold at least one message"),
    (["Hi"], r"messages\[0\]: must be an object, not a text"),
    ([user("Hi"), {"content": "x"}], r"messages\[1\]\.role: must be a text, not null"),
    ([{"role": "wizard", "content": "x"}], r"messages\[0\]\.role: is 'wizard'; it must be one of assistant, "),
    ([{"role": 1, "content": "x"}], r"messages\[0\]\.role: must be a text, not a number"),
    ([user(None)], r"messages\[0\]\.content: is missing: a message of the user needs a content"),
    ([user("Hi"), {"role": "assistant"}], r"messages\[1\]\.content: is missing: .* content, or tool_calls"),
    ([user(7)], r"messages\[0\]\.content: must be a text or a list of parts, not a number"),
    ([user(["x"])], r"messages\[0\]\.content\[0\]: must be an object, not a text"),
    ([user([{"text": "x"}])], r"messages\[0\]\.content\[0\]\.type: must be a text, not null"),
    ([user([{"type": "text"}])], r"messages\[0\]\.content\[0\]\.text: must be a text, not null"),
    ([user([{"type": "smell"}])], r"messages\[0\]\.content\[0\]\.type: is 'smell'; it must be text, or one of audio, "),
    ([user([{"type": "image_url"}])], r"messages\[0\]\.content\[0\]: is of type image_url, but has no image_url"),
    ([{**user("x"), "name": 1}], r"messages\[0\]\.name: must be a text, not a number"),
    ([{**user("x"), "tool_calls": [CALL]}], r"messages\[0\]\.tool_calls: is for the assistant, not for the role user"),
    ([assistant("", tool_calls={})], r"messages\[0\]\.tool_calls: must be a list, not an object"),
    ([assistant("", tool_calls=[{"type": "x"}])], r"messages\[0\]\.tool_calls\[0\]\.type: must be function"),
    ([assistant("", tool_calls=[CALL])], r"messages\[0\]\.tool_calls\[0\]\.function: must be an object, not null"),
    ([assistant("", tool_calls=[call(None, {})])], r".*tool_calls\[0\]\.function\.name: must be a text, not null"),  # type: ignore[arg-type]
    (
        [assistant("", tool_calls=[call("f", 1)])],
        r".*function\.arguments: must be a JSON text or an object, not a number",
    ),
    ([user("x"), answer("20")], r"messages\[1\]: answers no call: no message before it has tool_calls"),
    (
        [assistant("", tool_calls=[call("f", {}, "1")]), answer("20", "2")],
        r"messages\[1\]\.tool_call_id: is '2', which no call before it has",
    ),
    ([assistant("", tool_calls=[call("f", {"a": deep(100_000)})])], r"messages\[0\]\..*: is nested more than 150 deep"),
    ([assistant("x", reasoning_content=[])], r"messages\[0\]\.reasoning_content: must be a text, not a list"),
]


@pytest.mark.parametrize("messages, fault", FAULTS)
def test_a_fault_is_named_by_its_place_fault_72(messages: Any, fault: str) -> None:
    with pytest.raises(MessageError, match=f"^{fault}"):
        parse_messages(messages)


class Thing:
    def danger(self) -> str:
        return "called"


@pytest.mark.parametrize(
    "message, fault",
    [
        (user(deep(100_000)), r"messages\[0\]\.content.*: is nested more than 150 deep"),
        (user(Thing()), r"messages\[0\]\.content: must be plain data as in JSON, not a Thing"),
        (user([{"type": "image", "image": Thing()}]), r"messages\[0\]\.content\[0\]\.image: must be plain data"),
        ({"role": "user", "content": {1: "x"}}, r"messages\[0\]\.content: has the key 1; keys must be texts"),
        ({"content": "x"}, r"messages\[0\]\.role: must be a text, not null"),
        ("x", r"messages\[0\]: must be an object with a role and a content, not a text"),
    ],
)
def test_a_template_gets_plain_data_only(message: Any, fault: str) -> None:
    with pytest.raises(MessageError, match=fault):
        as_dicts([message])
