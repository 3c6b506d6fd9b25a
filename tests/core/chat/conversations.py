"""Conversations that every template is rendered with."""

from __future__ import annotations

from typing import Any

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": 'Name of the city, e.g. "Köln"'},
                "days": {"type": "integer", "enum": [1, 3, 7], "default": 1, "description": "How many"},
            },
            "required": ["city"],
        },
    },
}
SEARCH = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Search <the> web & more",
        "parameters": {
            "type": "object",
            "properties": {
                "words": {"type": "array", "items": {"type": "string"}, "description": "What to look for"},
                "exact": {"type": "boolean", "description": ""},
            },
        },
    },
}
TOOLS = [WEATHER, SEARCH]


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def system(content: Any) -> dict[str, Any]:
    return {"role": "system", "content": content}


def call(name: str, arguments: Any, id: str = "call00001") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def answer(content: Any, id: str = "call00001", **more: Any) -> dict[str, Any]:
    return {"role": "tool", "content": content, "tool_call_id": id, "name": "get_weather", **more}


CALLS = [call("get_weather", {"city": "Köln", "days": 3}), call("search", {"words": ["a", '"b"']}, "call00002")]
TEXT_CALL = call("get_weather", '{"city": "Köln"}')

CONVERSATIONS: dict[str, list[dict[str, Any]]] = {
    "one turn": [user("Hi")],
    "system": [system("Be brief."), user("Hi")],
    "turns": [
        user("Hi"),
        assistant("Hello!"),
        user(" Tell me a joke.\n"),
        assistant("No.\n\n"),
        user("Please? ✓ 日本"),
    ],
    "system and turns": [system(" Be\nbrief. "), user("1"), assistant("2"), user("3"), assistant("4"), user("5")],
    "ends with the assistant": [user("Hi"), assistant("Hello, I")],
    "thoughts in the text": [user("1"), assistant("<think>\nwhy\n</think>\n\nbecause"), user("2")],
    "thoughts apart": [user("1"), assistant("because", reasoning_content="why"), user("2")],
    "thoughts under another name": [user("1"), assistant("because", thinking="why"), user("2")],
    "call": [user("Weather?"), assistant("", tool_calls=CALLS[:1])],
    "call without content": [user("Weather?"), {"role": "assistant", "tool_calls": CALLS[:1]}],
    "call with null content": [user("Weather?"), assistant(None, tool_calls=CALLS[:1]), answer("sunny"), user("ok")],
    "call with text arguments": [user("Weather?"), assistant("", tool_calls=[TEXT_CALL]), answer("sunny")],
    "call and answer": [
        system("x"),
        user("W?"),
        assistant("", tool_calls=CALLS[:1]),
        answer('{"t": 20}'),
        assistant("20"),
    ],
    "two calls": [
        *(user("Weather?"), assistant("Let me see", tool_calls=CALLS, reasoning_content="hm")),
        *(answer("sunny"), answer("found", "call00002", name="search"), assistant("Sunny."), user("Thanks")),
    ],
    "typed": [user([{"type": "text", "text": "Look:"}, {"type": "image"}, {"type": "text", "text": "what is it?"}])],
    "typed system": [system([{"type": "text", "text": "Be brief."}]), user([{"type": "text", "text": "Hi"}])],
    "developer": [{"role": "developer", "content": "Be brief."}, user("Hi")],
    "twice the user": [user("1"), user("2")],
    "begins with the assistant": [assistant("1"), user("2")],
    "null content": [user(None)],
    "nothing": [],
}

# Tools, whether the assistant's turn is opened, further variables of the template.
SETTINGS: list[tuple[list[Any] | None, bool, dict[str, Any]]] = [
    (None, True, {}),
    (TOOLS, True, {}),
    (None, False, {"enable_thinking": False, "thinking": False, "datetime": "now", "functions": ""}),
    (TOOLS, True, {"enable_thinking": True, "thinking": True, "reasoning_effort": "high", "functions": "[]"}),
]
