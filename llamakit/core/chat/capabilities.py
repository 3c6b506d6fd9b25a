"""What a template can do with messages, found out by rendering a few and looking for marks in the prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from llamakit.core.chat.errors import TemplateError
from llamakit.core.chat.meter import LimitExceeded

if TYPE_CHECKING:
    from llamakit.core.chat.template import ChatTemplate

_MARK, _OTHER, _NAME = "qzmarkqz", "qzotherqz", "qznameqz"
_USER = {"role": "user", "content": "Hi"}
_TOOL = {
    "type": "function",
    "function": {
        "name": _NAME,
        "description": "A tool",
        "parameters": {"type": "object", "properties": {"arg": {"type": "string", "description": "An argument"}}},
    },
}


EVERYWHERE: dict[str, Any] = {
    "datetime": "",
    "date_string": "",
    "functions": "",
}  # which some templates cannot do without


def preserving(thoughts: bool) -> dict[str, bool]:
    """Variables that tell whether thoughts of earlier turns are kept: every family of models has its own."""
    dropping = ("clear_thinking", "truncate_history_thinking", "drop_thinking")
    return {"preserve_thinking": thoughts, **dict.fromkeys(dropping, not thoughts)}


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a template understands; the names are those of llama.cpp's `chat_template_caps`, less `supports_`."""

    string_content: bool
    typed_content: bool  # contents that are lists of parts
    system_role: bool
    tools: bool
    tools_may_be_none: bool  # where there are none; otherwise the template wants an empty list
    tool_calls: bool
    null_content: bool  # tool calls are written only beside a content that is null
    parallel_tool_calls: bool
    object_arguments: bool  # of tool calls, rather than their JSON text
    thinking_parts: bool  # thoughts as parts of the content, rather than as reasoning_content
    preserve_reasoning: bool  # thoughts of earlier turns
    reasoning_effort: bool
    enable_thinking: bool  # the variable changes the prompt


def probe(template: ChatTemplate) -> Capabilities:
    """What `template` can do. A template that always fails can do nothing."""

    is_stopped = False

    def prompt_with(tools: Sequence[Any] | None, *messages: Mapping[str, Any], **variables: Any) -> str:
        nonlocal is_stopped
        try:
            return "" if is_stopped else template.render(messages, tools, **EVERYWHERE, **variables)
        except TemplateError as error:
            is_stopped = isinstance(error.__cause__, LimitExceeded)  # once is enough
            return ""

    no_tools: list[Any] | None = None if prompt_with(None, _USER) or not prompt_with([], _USER) else []
    prompt = partial(prompt_with, no_tools)

    def called(arguments: Any, *names: str, content: str | None = "") -> str:
        """The prompt of a chat in which tools were called."""
        functions = [{"name": name, "arguments": arguments} for name in names]
        calls = [{"id": f"call0000{i}", "type": "function", "function": f} for i, f in enumerate(functions)]
        answers = [{"role": "tool", "content": "20", "tool_call_id": call["id"], "name": "f"} for call in calls]
        return prompt_with([_TOOL], _USER, {"role": "assistant", "content": content, "tool_calls": calls}, *answers)

    part = {"type": "text", "text": _MARK}
    typed = prompt({"role": "user", "content": [part]})
    text = f'{{"arg": "{_MARK}"}}'
    wants_null = _MARK not in called(text, "f") and _MARK in called(text, "f", content=None)
    called = partial(called, content=None if wants_null else "")
    as_object, as_text = called({"arg": _MARK}, "f"), called(text, "f")
    two_calls = called({"arg": "x"} if _MARK in as_object else '{"arg": "x"}', "f", _OTHER)
    thoughts = {"role": "assistant", "content": "Hello", "reasoning_content": _OTHER}
    thought_part = {"role": "assistant", "content": [{"type": "thinking", "thinking": _OTHER}, part]}
    thought = prompt(_USER, thought_part)
    return Capabilities(
        string_content=_MARK in prompt({"role": "user", "content": _MARK}),
        typed_content=_MARK in typed and not is_printed(typed),
        system_role=_MARK in prompt({"role": "system", "content": _MARK}, _USER),
        tools=_NAME in prompt_with([_TOOL], _USER),
        tools_may_be_none=no_tools is None,
        tool_calls=_MARK in as_object or _MARK in as_text,
        null_content=wants_null,
        parallel_tool_calls=_OTHER in two_calls,
        object_arguments=_MARK in as_object and f"'arg': '{_MARK}" not in as_object,
        thinking_parts=_OTHER in thought and not is_printed(thought) and _OTHER not in prompt(_USER, thoughts),
        preserve_reasoning=_OTHER in prompt(_USER, thoughts, _USER, enable_thinking=True, **preserving(True)),
        reasoning_effort="reasoning_effort" in template.source or "reasoning_strength" in template.source,
        enable_thinking=prompt(_USER, enable_thinking=True) != prompt(_USER, enable_thinking=False),
    )


def is_printed(prompt: str) -> bool:
    """Whether a content stands in the prompt as Python or JSON writes it, because the template expects a text."""
    return "'type': '" in prompt or '"type": "' in prompt
