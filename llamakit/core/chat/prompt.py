"""From messages to the prompt of a model, with what llama.cpp does for templates that do not understand them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from llamakit.core.chat.capabilities import preserving
from llamakit.core.chat.errors import MessageError, TemplateError
from llamakit.core.chat.literal import Span, encode, marked, unmarked
from llamakit.core.chat.message import Message, Part, ToolCall, join_parts, parse_messages
from llamakit.core.chat.template import ChatTemplate
from llamakit.core.vocab import Vocab

# What any template may be told, and what it is told by whoever asks for the prompt.
SWITCHES = frozenset({"enable_thinking", "thinking", "reasoning_effort", "preserve_reasoning", "preserve_thinking"})
GIVEN = frozenset({"messages", "tools", "add_generation_prompt", "bos_token", "eos_token"})
_CUT = "⟪cut here⟫"  # marks the end of a message that is to be continued
PARAGRAPHS = "\n\n"  # between the parts of such a message, as in llama-server


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt. `encode` makes tokens of it.

    `generation` is the end of the text that opens the assistant's turn, with what is to be continued; it tells whether
    the model's text begins within its thoughts. `literal` are places, from and to, that look like special tokens, but
    are what people and tools said.
    """

    text: str
    generation: str
    literal: tuple[Span, ...] = ()

    def encode(self, vocab: Vocab) -> list[int]:
        """The token ids, with what the model wants around them."""
        return encode(vocab, self.text, self.literal)


def chat_prompt(
    template: ChatTemplate,
    messages: Sequence[Message | Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] | None = None,
    add_generation_prompt: bool = True,
    continue_final: bool = False,
    **variables: Any,
) -> Prompt:
    """The prompt of a chat.

    continue_final: the last message is the assistant's, and the prompt ends within it. variables are the template's
    own (enable_thinking, ...). Raises MessageError, and TemplateError as ChatTemplate.render does.
    """
    said = [marked(message, template.specials) for message in parsed(messages)]
    if tools:
        template = template.with_tools()
    variables = variables_for(template, tools, variables)
    given = tools or (None if template.capabilities.tools_may_be_none else [])

    def render(messages: Sequence[Message], opens: bool) -> str:
        return stripped(template, template.render(repaired(template, messages), given, opens, **variables))

    if continue_final:
        before = render(said[:-1], opens=False) if len(said) > 1 else ""
        text = continued(render, said)
    else:
        text = render(said, opens=add_generation_prompt)
        before = render(said, opens=False) if add_generation_prompt else text
    generation = unmarked(added(before, text), template.specials)[0]
    text, literal = unmarked(text, template.specials)
    return Prompt(text, generation, literal)


def added(before: str, text: str) -> str:
    """The end of `text`, from where it differs from `before`."""
    if text.startswith(before):
        return text[len(before) :]
    n_same = next(i for i, (a, b) in enumerate(zip(before, text + "\0", strict=False)) if a != b)
    return text[n_same:]


def parsed(messages: Sequence[Message | Mapping[str, Any]]) -> list[Message]:
    ready = [message for message in messages if isinstance(message, Message)]
    if len(ready) == len(messages):
        return ready
    return parse_messages([m.to_dict() if isinstance(m, Message) else m for m in messages])


def continued(render: Any, messages: Sequence[Message]) -> str:
    """The prompt up to the end of the last message's text."""
    last, place = messages[-1] if messages else Message(""), f"messages[{len(messages) - 1}]"
    if last.role != "assistant":
        raise MessageError(place, "cannot be continued: it is not the assistant's")
    if last.tool_calls:
        raise MessageError(place, "cannot be continued: it calls tools")
    if len(messages) > 1 and messages[-2].role == "assistant":
        raise MessageError(place, "cannot be continued: the message before it is the assistant's, too")
    if last.text or not last.reasoning:
        marked = replace(last, content=PARAGRAPHS.join(part.to_dict()["text"] for part in parts_of(last)) + _CUT)
    else:
        marked = replace(last, content="", reasoning=last.reasoning + _CUT)
    text: str = render([*messages[:-1], marked], opens=False)
    if _CUT not in text:
        raise TemplateError("the chat template leaves out the end of the assistant's message: it cannot be continued")
    return text[: text.rindex(_CUT)]


def variables_for(
    template: ChatTemplate, tools: Sequence[Mapping[str, Any]] | None, given: Mapping[str, Any]
) -> dict[str, Any]:
    """What llama.cpp tells a template besides the messages."""
    now = datetime.now()
    variables = {
        "date_string": now.strftime("%d %b %Y"),
        "datetime": now.strftime("%b %d %Y"),
        "enable_thinking": True,
        **given,
    }
    if "enable_thinking" in given:
        variables.setdefault("thinking", given["enable_thinking"])  # DeepSeek's name for it
    if "functions" in template.source:
        variables.setdefault("functions", json.dumps(list(tools), indent=2) if tools else "")  # FireFunction's tools
    if "preserve_reasoning" in given:
        variables = preserving(bool(given["preserve_reasoning"])) | variables
    if "reasoning_effort" in given:
        variables.setdefault("reasoning_strength", given["reasoning_effort"])
    return variables


def stripped(template: ChatTemplate, text: str) -> str:
    """The prompt without the tokens that tokenizing adds at its ends."""
    if template.add_bos and template.bos_token:
        text = text.removeprefix(template.bos_token)
    if template.add_eos and template.eos_token:
        text = text.removesuffix(template.eos_token)
    return text


def repaired(template: ChatTemplate, messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The messages in the form that the template understands."""
    can = template.capabilities
    if "<|channel|>" not in template.source:  # gpt-oss tells developers and the system apart
        messages = [replace(m, role="system") if m.role == "developer" else m for m in messages]
    if not can.system_role and (can.string_content or can.typed_content):
        messages = without_system(messages)
    return [as_understood(template, message, f"messages[{i}]") for i, message in enumerate(messages)]


def without_system(messages: Sequence[Message]) -> list[Message]:
    """The first system message becomes the beginning of the first user message, as the template knows no system."""
    rest = list(messages)
    if not rest or rest[0].role != "system":
        return rest
    system = rest.pop(0)
    for i, message in enumerate(rest):
        if message.role == "user":
            parts = (Part("text", system.text), *parts_of(message))
            is_text = isinstance(message.content, str)
            rest[i] = replace(message, content=f"{system.text}\n{message.content}" if is_text else parts)
            return rest
    return [replace(system, role="user"), *rest]


def as_understood(template: ChatTemplate, message: Message, where: str) -> dict[str, Any]:
    can = template.capabilities
    if can.thinking_parts and message.reasoning:
        thoughts = {"type": "thinking", "thinking": message.reasoning}
        message = replace(message, reasoning=None, content=parts_of(message))
        fields = message.to_dict()
        fields["content"] = [thoughts, *fields["content"]]
    else:
        fields = message.to_dict()
    content = fields["content"] or (None if can.null_content and message.tool_calls else "")
    if can.typed_content and not can.string_content and isinstance(content, str):
        content = [{"type": "text", "text": content}]
    elif can.string_content and not can.typed_content and isinstance(content, list):
        content = join_parts(content)
    fields["content"] = content
    if can.object_arguments:
        for i, call in enumerate(fields.get("tool_calls", ())):
            call["function"]["arguments"] = arguments_of(message.tool_calls[i], f"{where}.tool_calls[{i}]")
    if message.reasoning:
        fields["thinking"] = message.reasoning  # gpt-oss's name for it
    return fields


def parts_of(message: Message) -> tuple[Part, ...]:
    content = message.content
    return content if isinstance(content, tuple) else (Part("text", content),) if content else ()


def arguments_of(call: ToolCall, where: str) -> Any:
    try:
        return json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        raise MessageError(f"{where}.function.arguments", f"is no JSON: {call.arguments[:60]!r}") from None
