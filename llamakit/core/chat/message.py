"""Messages of a chat: parsed from JSON-like data, and as templates read them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llamakit.core.chat.errors import MessageError

ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function", "ipython", "observation"})
MEDIA_MARKER = "<__media__>"  # where a prompt has an image or a sound; llama.cpp's word for it
_MEDIA = {"image_url": "image", "image": "image", "input_audio": "audio", "audio_url": "audio", "audio": "audio"}
_MEDIA |= {"input_video": "video", "video_url": "video", "video": "video"}
_MOST_DEPTH = 150
_PLAIN = (str, int, float, bool, type(None))


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a message's content: a text, or a medium where it stands. `source` is the API's own object."""

    kind: str  # text, image, audio, video
    text: str = ""
    source: Any = None

    def to_dict(self) -> dict[str, Any]:
        return {"type": "text", "text": self.text if self.kind == "text" else MEDIA_MARKER}


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the assistant asks for; `arguments` is a JSON text."""

    name: str
    arguments: str
    id: str = ""

    def to_dict(self) -> dict[str, Any]:
        call = {"type": "function", "function": {"name": self.name, "arguments": self.arguments}}
        return call | ({"id": self.id} if self.id else {})


@dataclass(frozen=True, slots=True)
class Message:
    """What one speaker says. `reasoning` is what an assistant thought first; `tool_call_id` is what a tool answers."""

    role: str
    content: str | tuple[Part, ...] | None = None
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    reasoning: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The message in OpenAI's form, which templates read."""
        content = [part.to_dict() for part in self.content] if isinstance(self.content, tuple) else self.content
        optional = {
            "reasoning_content": self.reasoning or None,
            "tool_calls": [call.to_dict() for call in self.tool_calls] or None,
            "name": self.name,
            "tool_call_id": self.tool_call_id,
        }
        return {"role": self.role, "content": content} | {k: v for k, v in optional.items() if v is not None}

    @property
    def text(self) -> str:
        """The content as one text: parts on lines of their own, media as markers where they stand."""
        if not isinstance(self.content, tuple):
            return self.content or ""
        return join_parts([part.to_dict() for part in self.content])


def join_parts(parts: Iterable[Mapping[str, Any]]) -> str:
    """The texts of content parts on lines of their own; no line begins beside a medium's marker."""
    text, after_marker = "", True
    for part in parts:
        piece = str(part.get("text", ""))
        is_marker = piece == MEDIA_MARKER
        text += ("" if after_marker or is_marker else "\n") + piece
        after_marker = is_marker
    return text


def as_dicts(messages: Iterable[Message | Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Messages as a template gets them; dicts as they are. Raises MessageError where they are not plain data."""
    dicts = []
    for i, message in enumerate(messages):
        where = f"messages[{i}]"
        if isinstance(message, Message):
            dicts.append(message.to_dict())
        elif not isinstance(message, Mapping):
            raise MessageError(where, f"must be an object with a role and a content, not {described(message)}")
        elif not isinstance(message.get("role"), str):
            raise MessageError(f"{where}.role", f"must be a text, not {described(message.get('role'))}")
        else:
            check_plain(message, where)
            dicts.append(dict(message))
    return dicts


def check_plain(value: object, where: str, depth: int = 0) -> None:
    """Raise MessageError where data holds what JSON does not: a template must not get at objects of the program."""
    if depth > _MOST_DEPTH:
        raise MessageError(where[:80], f"is nested more than {_MOST_DEPTH} deep")
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise MessageError(where, f"has the key {key!r}; keys must be texts")
            if not isinstance(item, str):
                check_plain(item, f"{where}.{key}", depth + 1)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            if not isinstance(item, str):
                check_plain(item, f"{where}[{i}]", depth + 1)
    elif not isinstance(value, _PLAIN):
        raise MessageError(where, f"must be plain data as in JSON, not {described(value)}")


def refuse_media(message: Message, where: str) -> None:
    """Raise MessageError for an image or a sound: nothing is fetched or decoded, models here read texts alone."""
    for i, part in enumerate(message.content if isinstance(message.content, tuple) else ()):
        if part.kind != "text":
            raise MessageError(f"{where}[{i}]", f"{part.kind} input is not supported: the model reads text alone")


def parse_messages(value: object, where: str = "messages") -> list[Message]:
    """The messages of an OpenAI request. Raises MessageError, which names the place, where they make no sense."""
    items = a_list(value, where)
    if not items:
        raise MessageError(where, "must hold at least one message")
    messages = [parse_message(item, f"{where}[{i}]") for i, item in enumerate(items)]
    check_answers(messages, where)
    return messages


def check_answers(messages: Sequence[Message], where: str) -> None:
    """Raise MessageError for the answer of a tool that nobody called."""
    called: set[str] = set()
    for i, message in enumerate(messages):
        called |= {call.id for call in message.tool_calls}
        if message.role != "tool":
            continue
        if not called:
            raise MessageError(f"{where}[{i}]", "answers no call: no message before it has tool_calls")
        if message.tool_call_id and "" not in called and message.tool_call_id not in called:
            id = message.tool_call_id[:40]
            raise MessageError(f"{where}[{i}].tool_call_id", f"is {id!r}, which no call before it has")


def parse_message(value: object, where: str = "message") -> Message:
    """One message of an OpenAI request."""
    fields = an_object(value, where)
    role = a_text(fields.get("role"), f"{where}.role")
    if role not in ROLES:
        raise MessageError(f"{where}.role", f"is {role[:40]!r}; it must be one of {', '.join(sorted(ROLES))}")
    content = parse_content(fields.get("content"), f"{where}.content")
    calls = optional(a_list, fields, "tool_calls", where) or []
    reasoning = optional(a_text, fields, "reasoning_content", where)
    if calls and role != "assistant":
        raise MessageError(f"{where}.tool_calls", f"is for the assistant, not for the role {role}")
    if content is None and not calls and not (role == "assistant" and reasoning):
        or_calls = ", or tool_calls" if role == "assistant" else ""
        raise MessageError(f"{where}.content", f"is missing: a message of the {role} needs a content{or_calls}")
    return Message(
        role,
        content,
        name=optional(a_text, fields, "name", where),
        tool_calls=tuple(parse_call(call, f"{where}.tool_calls[{i}]") for i, call in enumerate(calls)),
        tool_call_id=optional(a_text, fields, "tool_call_id", where),
        reasoning=reasoning,
    )


def parse_content(value: object, where: str) -> str | tuple[Part, ...] | None:
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, (list, tuple)):
        raise MessageError(where, f"must be a text or a list of parts, not {described(value)}")
    return tuple(parse_part(part, f"{where}[{i}]") for i, part in enumerate(value))


def parse_part(value: object, where: str) -> Part:
    fields = an_object(value, where)
    kind = a_text(fields.get("type"), f"{where}.type")
    if kind == "text":
        return Part("text", a_text(fields.get("text"), f"{where}.text"))
    if kind not in _MEDIA:
        raise MessageError(f"{where}.type", f"is {kind[:40]!r}; it must be text, or one of {', '.join(sorted(_MEDIA))}")
    if kind not in fields:
        raise MessageError(where, f"is of type {kind}, but has no {kind}")
    return Part(_MEDIA[kind], source=fields[kind])


def parse_call(value: object, where: str) -> ToolCall:
    fields = an_object(value, where)
    if fields.get("type", "function") != "function":
        raise MessageError(f"{where}.type", "must be function")
    function = an_object(fields.get("function"), f"{where}.function")
    name = a_text(function.get("name"), f"{where}.function.name")
    arguments = function.get("arguments")
    if isinstance(arguments, Mapping):
        check_plain(arguments, f"{where}.function.arguments")
        arguments = json.dumps(arguments, ensure_ascii=False)
    elif not isinstance(arguments, str):
        raise MessageError(
            f"{where}.function.arguments", f"must be a JSON text or an object, not {described(arguments)}"
        )
    return ToolCall(name, arguments, optional(a_text, fields, "id", where) or "")


def a_list(value: object, where: str) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)):
        raise MessageError(where, f"must be a list, not {described(value)}")
    return value


def an_object(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise MessageError(where, f"must be an object, not {described(value)}")
    return value


def a_text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise MessageError(where, f"must be a text, not {described(value)}")
    return value


def optional(parse: Any, fields: Mapping[str, Any], key: str, where: str) -> Any:
    value = fields.get(key)
    return None if value is None else parse(value, f"{where}.{key}")


def described(value: object) -> str:
    """What a value is, in JSON's words."""
    if value is None:
        return "null"
    words = {
        str: "a text",
        bool: "a truth value",
        int: "a number",
        float: "a number",
        dict: "an object",
        list: "a list",
    }
    return words.get(type(value), f"a {type(value).__name__}")
