"""Prompts of chats: what templates do not understand is put so that they do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llamakit.core.chat.errors import MessageError, TemplateError
from llamakit.core.chat.message import MEDIA_MARKER, Message, Part
from llamakit.core.chat.named import named
from llamakit.core.chat.prompt import Prompt, chat_prompt
from llamakit.core.chat.template import ChatTemplate
from tests.core.chat.conversations import TEXT_CALL, TOOLS, answer, assistant, system, user

FOLDER = Path(__file__).parents[4] / "shared/assets/chat-templates"
CHATML = ChatTemplate(named("chatml"))

EACH = "{%% for m in messages %%}%s{%% endfor %%}"
NO_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}"
    + EACH % "[{{ m.role }}:{{ m.content }}]"
)
TYPED = EACH % "{% for p in m.content if p.type == 'text' %}({{ p.text }}){% endfor %}"
BOTH = EACH % "{% if m.content is string %}{{ m.content }}{% else %}{{ m.content[0].text }}{% endif %}"


def text(template: str, *messages: Any, **more: Any) -> str:
    return chat_prompt(ChatTemplate(template), messages, **more).text


def test_the_prompt_ends_with_what_opens_the_assistants_turn() -> None:
    prompt = chat_prompt(CHATML, [user("Hi")])
    assert prompt == Prompt("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "<|im_start|>assistant\n")
    assert chat_prompt(CHATML, [user("Hi")], add_generation_prompt=False).generation == ""


def test_messages_may_be_of_both_kinds() -> None:
    assert chat_prompt(CHATML, [Message("system", "x"), user("Hi")]) == chat_prompt(CHATML, [system("x"), user("Hi")])


@pytest.mark.parametrize(
    "messages, expected",
    [
        ([system("S"), user("U")], "[user:S\nU]"),
        ([system("S"), assistant("A"), user("U")], "[assistant:A][user:S\nU]"),
        ([system("S")], "[user:S]"),
        ([{"role": "developer", "content": "S"}, user("U")], "[user:S\nU]"),
        ([user("U")], "[user:U]"),
    ],
)
def test_without_a_system_role_its_message_begins_the_first_of_the_user(messages: Any, expected: str) -> None:
    assert text(NO_SYSTEM, *messages) == expected


PARTS = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]


@pytest.mark.parametrize(
    "template, content, expected",
    [
        (EACH % "{{ m.content + '' }}", PARTS, "a\nb"),
        (EACH % "{{ m.content }}", PARTS, "a\nb"),
        (TYPED, "a", "(a)"),
        (TYPED, PARTS, "(a)(b)"),
        (BOTH, "a", "a"),
        (BOTH, PARTS, "a"),
    ],
)
def test_contents_are_texts_or_parts_as_the_template_wants_them(template: str, content: Any, expected: str) -> None:
    assert text(template, user(content)) == expected


def test_a_medium_is_marked_where_it_stands() -> None:
    message = Message("user", (Part("text", "What is"), Part("image"), Part("text", "this?")))
    assert text(EACH % "{{ m.content }}", message) == f"What is{MEDIA_MARKER}this?"


def test_missing_content_is_an_empty_text() -> None:
    calls = assistant(None, tool_calls=[TEXT_CALL])
    template = EACH % "{{ m.content + '!' }}{% for c in m.tool_calls %}{{ c.function.name }}{% endfor %}"
    assert text(template, user("x"), calls, answer("y")) == "x!!get_weathery!"


def test_missing_content_is_null_where_calls_are_written_beside_null_only() -> None:
    template = (
        EACH % "{% if m.content is none %}{{ m.tool_calls[0].function.arguments }}{% else %}{{ m.content }}{% endif %}"
    )
    assert text(template, user("x"), assistant("", tool_calls=[TEXT_CALL]), answer("y")) == 'x{"city": "Köln"}y'


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ("{{ c.function.arguments|tojson }}", '{"city": "Köln"}'),
        ("{{ c.function.arguments }}", '{"city": "Köln"}'),
        ("{{ '' + c.function.arguments }}", '{"city": "Köln"}'),
        ("{% for k, v in c.function.arguments.items() %}{{ k }}={{ v }}{% endfor %}", "city=Köln"),
    ],
)
def test_arguments_of_calls_are_objects_or_texts_as_the_template_wants_them(arguments: str, expected: str) -> None:
    template = EACH % ("{{ m.content }}{% for c in m.tool_calls %}" + arguments + "{% endfor %}")
    assert text(template, user(""), assistant("", tool_calls=[TEXT_CALL]), answer("")) == expected


def test_arguments_that_are_no_json_are_named_by_their_place() -> None:
    call = {"id": "1", "function": {"name": "f", "arguments": "{"}}
    template = EACH % "{{ m.content }}{% for c in m.tool_calls %}{{ c.function.arguments|tojson }}{% endfor %}"
    with pytest.raises(MessageError, match=r"^messages\[1\]\.tool_calls\[0\]\.function\.arguments: is no JSON: '\{'"):
        text(template, user("x"), assistant("", tool_calls=[call]))


def test_developers_are_told_from_the_system_by_gpt_oss_only() -> None:
    roles = EACH % "{{ m.role }}"
    messages = [{"role": "developer", "content": "x"}, user("y")]
    assert text("{{ messages[0].content }}" + roles, *messages) == "xsystemuser"
    assert text("{# <|channel|> #}{{ messages[0].content }}" + roles, *messages) == "xdeveloperuser"


@pytest.mark.parametrize(
    "adds, expected",
    [((True, True), "Hi"), ((True, False), "Hi</s>"), ((False, True), "<s>Hi"), ((False, False), "<s>Hi</s>")],
)
def test_tokens_that_tokenizing_adds_are_left_out(adds: tuple[bool, bool], expected: str) -> None:
    template = ChatTemplate(
        "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}",
        bos_token="<s>",
        eos_token="</s>",
        add_bos=adds[0],
        add_eos=adds[1],
    )
    assert chat_prompt(template, [user("Hi")]).text == expected
    assert template.render([user("Hi")]) == "<s>Hi</s>"


def test_a_chat_with_tools_has_its_own_template() -> None:
    template = ChatTemplate("plain", tool_use=ChatTemplate("{{ tools[0].function.name }}"))
    assert chat_prompt(template, [user("Hi")]).text == "plain"
    assert chat_prompt(template, [user("Hi")], TOOLS).text == "get_weather"


def test_a_template_that_cannot_do_without_tools_gets_an_empty_list() -> None:
    template = "{% for t in tools %}{{ t.function.name }}{% endfor %}" + EACH % "{{ m.content }}"
    assert text(template, user("Hi")) == "Hi"
    with pytest.raises(TemplateError):
        ChatTemplate(template).render([user("Hi")])


@pytest.mark.parametrize(
    "given, expected",
    [
        ({}, "True  "),
        ({"enable_thinking": False}, "False False "),
        ({"enable_thinking": True}, "True True "),
        ({"preserve_reasoning": True}, "True  True"),
        ({"preserve_reasoning": True, "preserve_thinking": 7}, "True  7"),
    ],
)
def test_variables_are_those_that_llama_cpp_gives(given: dict[str, Any], expected: str) -> None:
    assert text("{{ enable_thinking }} {{ thinking }} {{ preserve_thinking }}", user("Hi"), **given) == expected


def test_the_assistants_text_is_continued() -> None:
    messages = [user("Hi"), assistant("Well, ")]
    prompt = chat_prompt(CHATML, messages, continue_final=True)
    assert prompt.text == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nWell, "
    assert prompt.generation == "<|im_start|>assistant\nWell, "


def test_parts_of_a_text_that_is_continued_are_paragraphs() -> None:
    messages = [user("Hi"), {"role": "assistant", "content": [{"type": "text", "text": t} for t in ("Yes.", "But")]}]
    assert chat_prompt(CHATML, messages, continue_final=True).text.endswith("<|im_start|>assistant\nYes.\n\nBut")


def test_the_assistants_thoughts_are_continued() -> None:
    template = EACH % "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content }}"
    thoughts = assistant("", reasoning_content="hm")
    assert text(template, user("Hi"), thoughts, continue_final=True) == "Hi<think>hm"


@pytest.mark.parametrize(
    "messages, fault",
    [
        ([user("Hi")], r"messages\[0\]: cannot be continued: it is not the assistant's"),
        ([user("Hi"), assistant("x", tool_calls=[TEXT_CALL])], r"messages\[1\]: cannot be continued: it calls tools"),
        ([user("Hi"), assistant("x"), assistant("y")], r"messages\[2\]: cannot be continued: the message before it"),
    ],
)
def test_what_cannot_be_continued_says_why(messages: Any, fault: str) -> None:
    with pytest.raises(MessageError, match=fault):
        chat_prompt(CHATML, messages, continue_final=True)


def test_a_template_that_drops_the_end_cannot_be_continued() -> None:
    with pytest.raises(TemplateError, match="leaves out the end"):
        text("{{ messages[0].content }}", user("Hi"), assistant("x"), continue_final=True)


CAPABLE = {  # templates of the collection: string, typed, system, tools, calls, parallel calls, object arguments
    "Qwen-Qwen3-0.6B": (True, False, True, True, True, True, True),
    "Qwen3.5-4B": (True, True, True, True, True, True, True),
    "google-gemma-2-2b-it": (True, False, False, False, False, False, False),
    "microsoft-Phi-3.5-mini-instruct": (True, False, True, False, False, False, False),
    "meta-llama-Llama-3.1-8B-Instruct": (True, False, True, True, True, False, True),
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B": (True, False, True, False, True, True, False),
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use": (True, False, True, True, True, True, True),
}


@pytest.mark.parametrize("file, can", CAPABLE.items())
def test_what_a_template_understands_is_found_out(file: str, can: tuple[bool, ...]) -> None:
    path = FOLDER / f"{file}.jinja"
    if not path.exists():
        pytest.skip(f"no templates in {FOLDER}")
    c = ChatTemplate(path.read_text(encoding="utf-8")).capabilities
    known = (c.string_content, c.typed_content, c.system_role, c.tools, c.tool_calls, c.parallel_tool_calls)
    assert (*known, c.object_arguments) == can
