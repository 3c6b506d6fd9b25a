"""A format found by rendering a template: how does a call look, with this name, these arguments, two of them?

Messages with unlikely names and values are rendered; where these stand, and what stands around and between them, are
the marks of the format. Three kinds are told apart: JSON objects with a name, a name before JSON, tags for arguments.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from llamakit.core.chat.output.format import Format
from llamakit.core.chat.output.json_calls import JsonCalls
from llamakit.core.chat.output.named_calls import NamedCalls, Part
from llamakit.core.chat.output.parser import parse
from llamakit.core.chat.output.tagged_calls import Tag, TaggedCalls
from llamakit.core.chat.output.tools import parse_tools

Render = Callable[..., str]

FIRST, SECOND = "xq_first_tool", "xq_second_tool"
KEY, OTHER_KEY = "xq_key", "xq_other"
TEXT, NUMBER = "xqtextxq", 73519
CONTENT = "xqcontentxq"
IDS = ("xq7531abc", "xq7531abd")  # nine letters and digits, as Mistral's templates want it
SCHEMA = {"type": "object", "properties": {KEY: {"type": "string"}, OTHER_KEY: {"type": "integer"}}}
TOOLS = [
    {"type": "function", "function": {"name": name, "description": "xq", "parameters": SCHEMA}}
    for name in (FIRST, SECOND)
]
LAST_TAG = re.compile(r"(?:<\||[<\[])[^<\[]*\Z")
PIECES = re.compile(r"<[^<>\s][^<>]*>|\[[^\[\]\s]+\]|[\s\S]")  # tags, other characters
MOST_MARK = 200  # characters: a longer one is no mark, but something that the template says


@dataclass(frozen=True)
class Rendered:
    """What a template makes of one call, and of two: without the prompt and the end of the message."""

    one: str
    two: str


def derive(render: Render) -> Format | None:
    """The format of a template, or None if it shows no calls that can be told."""
    for as_text in (False, True):  # arguments as an object, or as JSON text
        rendered = render_calls(render, as_text)
        if rendered is None:
            continue
        for kind in (json_calls, named_calls, tagged_calls):
            calls = kind(rendered)
            if calls is not None and is_right(form := Format("derived", calls), rendered):
                return form
    return None


def is_right(form: Format, rendered: Rendered) -> bool:
    """Whether the calls that were rendered are read again."""
    tools = parse_tools(TOOLS)
    for text, names in ((rendered.one, [FIRST]), (rendered.two, [FIRST, SECOND])):
        message = parse(text, form, tools=tools)
        if [call.name for call in message.tool_calls] != names:
            return False
        if any(call.arguments != json.dumps({KEY: TEXT, OTHER_KEY: NUMBER}) for call in message.tool_calls):
            return False
    return True


def render_calls(render: Render, as_text: bool) -> Rendered | None:
    """None if the template refuses, or does not show the calls."""

    def said(*names: str) -> str:
        calls = [call(name, call_id, as_text) for name, call_id in zip(names, IDS, strict=False)]
        message = {"role": "assistant", "content": "", "tool_calls": calls}
        if not calls:
            message = {"role": "assistant", "content": CONTENT}
        return render([{"role": "user", "content": "xq?"}, message], tools=TOOLS, add_generation_prompt=False)

    try:
        plain, one, two = said(), said(FIRST), said(FIRST, SECOND)
    except Exception:  # whatever a stranger's template raises: it does not render calls
        return None
    if CONTENT not in plain:
        return None
    start = common_start(common_start(plain, one), two)
    end = plain[plain.index(CONTENT) + len(CONTENT) :]
    one, two = (text[len(start) :].removesuffix(common_end(text, end)) for text in (one, two))
    return Rendered(one, two) if FIRST in one and SECOND in two and TEXT in one else None


def call(name: str, call_id: str, as_text: bool) -> dict[str, Any]:
    arguments: dict[str, Any] = {KEY: TEXT, OTHER_KEY: NUMBER}
    function = {"name": name, "arguments": json.dumps(arguments) if as_text else arguments}
    return {"type": "function", "id": call_id, "function": function}


def json_calls(rendered: Rendered) -> JsonCalls | None:
    """Objects that hold the name and the arguments."""
    only, first = object_with(rendered.one, FIRST), object_with(rendered.two, FIRST)
    second = object_with(rendered.two, SECOND)
    if not only or not first or not second:
        return None
    value = json.loads(rendered.one[slice(*only)])
    before, after, between = rendered.one[: only[0]], rendered.one[only[1] :], rendered.two[first[1] : second[0]]
    is_list = before.rstrip().endswith("[") and after.lstrip().startswith("]")
    if is_list:
        before, after = before.rstrip()[:-1], after.lstrip()[1:]
    start, end = before.strip(), after.strip()
    is_wrapped = not is_list and bool(start) and start in between
    if len(start) > MOST_MARK:
        return None
    names = [key for key, item in value.items() if item == FIRST]
    arguments = [key for key, item in value.items() if isinstance(item, dict) and item.get(KEY) == TEXT]
    if arguments == [FIRST]:
        return JsonCalls(start, end, is_list=is_list, is_wrapped=is_wrapped, name_is_key=True)
    if not names or not arguments:
        return None
    keys = {"name_key": names[0], "arguments_key": arguments[0]}
    return JsonCalls(start, end, is_list=is_list, is_wrapped=is_wrapped, **keys)


def object_with(text: str, name: str) -> tuple[int, int] | None:
    """Where the largest JSON object is that holds this name, its arguments, and no other name."""
    other = SECOND if name == FIRST else FIRST
    for start in [found.start() for found in re.finditer(r"\{", text)]:
        try:
            _, end = json.JSONDecoder().raw_decode(text, start)
        except ValueError:
            continue
        if name in text[start:end] and TEXT in text[start:end] and other not in text[start:end]:
            return start, end
    return None


def named_calls(rendered: Rendered) -> NamedCalls | None:
    """A name, a mark, and the arguments' JSON; in between there may be an id."""
    only, first = arguments_after(rendered.one, FIRST), arguments_after(rendered.two, FIRST)
    second = arguments_after(rendered.two, SECOND)
    if not only or not first or not second:
        return None
    name = rendered.one.index(FIRST)
    between = rendered.one[name + len(FIRST) : only[0]]
    head: tuple[str | Part, ...] = (Part.NAME,)
    if IDS[0] in between:
        mark, between = between.split(IDS[0], 1)
        head = (Part.NAME, mark, Part.ID)
    middle = rendered.two[first[1] : rendered.two.index(SECOND)]
    section, start = split_at_end(rendered.one[:name], middle)
    after = rendered.one[only[1] :]
    end = common_start(after, middle.removesuffix(start))
    if not between.strip() or not start.strip() or len(section) > MOST_MARK or IDS[0] in section + start:
        return None
    section_end = after[len(end) :].strip() if section.strip() else ""
    return NamedCalls(start, between, (end,) if end.strip() else (), (section.strip(), section_end), head=head)


def arguments_after(text: str, name: str) -> tuple[int, int] | None:
    """Where the JSON of the arguments is that follows a name."""
    start = text.find("{", text.index(name))
    try:
        value, end = json.JSONDecoder().raw_decode(text, start)
    except ValueError:
        return None
    return (start, end) if start >= 0 and value == {KEY: TEXT, OTHER_KEY: NUMBER} else None


def tagged_calls(rendered: Rendered) -> TaggedCalls | None:
    """A tag for each argument, with its key and its value as text."""
    found = re.search(
        rf"{FIRST}(?P<first>[^{{}}]*?){KEY}(?P<open>[^{{}}]*?){TEXT}(?P<next>[^{{}}]*?){OTHER_KEY}(?P=open){NUMBER}",
        rendered.one,
    )
    second = rendered.two.find(SECOND)
    number = rendered.two.find(str(NUMBER))
    if not found or not 0 <= number < second:
        return None
    tag = LAST_TAG.search(found["next"])
    if not tag or not found["first"].endswith(tag.group()) or found["open"].endswith('"'):
        return None
    closing = found["next"].removesuffix(tag.group())
    gap = closing[len(closing.rstrip()) :]
    closing = closing.rstrip()
    after_name = found["first"].removesuffix(tag.group()).rstrip()
    key, opening = tag_of(tag.group(), found["open"])
    middle = rendered.two[number + len(str(NUMBER)) : second]
    outside, start = split_at_end(rendered.one[: found.start()], middle)
    inner = LAST_TAG.search(start)
    if not inner or len(outside) > MOST_MARK:
        return None
    end = rendered.one[found.end() :].removeprefix(closing)
    shared = common_start(end, middle.removeprefix(closing).removesuffix(start)).strip()
    wrapper, call_end = start[: inner.start()].strip(), shared
    if wrapper:
        call_end, _, wrapper_end = (part.strip() for part in shared.partition(">"))
        call_end += ">"
    section = (wrapper, wrapper_end) if wrapper else (outside.strip(), end.strip().removeprefix(shared).strip())
    return TaggedCalls(
        tag_of(inner.group(), after_name)[0] if after_name else Tag(inner.group(), "", ""),
        call_end,
        key,
        (opening, closing),
        section if section[0] else ("", ""),
        gap,
        is_wrapped=bool(wrapper),
    )


def tag_of(before: str, after: str) -> tuple[Tag, str]:
    """The tag around a name, and what follows it."""
    mark, _, rest = after.partition(">")
    return Tag(before, '"' if mark.startswith('"') else "", mark.removeprefix('"') + ">"), rest


def common_start(a: str, b: str) -> str:
    """What two texts begin with; a tag is in it as a whole or not at all."""
    both = zip(PIECES.findall(a), PIECES.findall(b), strict=False)
    return "".join(x for x, _ in takewhile(lambda pair: pair[0] == pair[1], both))


def common_end(a: str, b: str) -> str:
    both = zip(reversed(PIECES.findall(a)), reversed(PIECES.findall(b)), strict=False)
    return "".join([x for x, _ in takewhile(lambda pair: pair[0] == pair[1], both)][::-1])


def split_at_end(text: str, other: str) -> tuple[str, str]:
    """A text in two: what it does not share, and what it does share with the end of another one."""
    shared = common_end(text, other).lstrip()
    return text.removesuffix(shared), shared
