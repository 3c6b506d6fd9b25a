"""Messages as blocks."""

from __future__ import annotations

import pytest

from llamakit.core.chat.output.output import CallDelta, Delta
from llamakit.server.generation.blocks import Begun, Block, Blocks, Done, Grown, Kind
from llamakit.server.generation.message import Spoken


def events(*deltas):
    blocks = Blocks()
    told = [event for delta in deltas for event in blocks.push(Spoken(delta))]
    return blocks, [*told, *blocks.end()]


def call(index, text="", name=""):
    return Delta(tool_call=CallDelta(index, text, name and f"id{index}", name))


def test_each_change_of_kind_and_each_call_is_a_block():
    blocks, told = events(
        Delta(reasoning_content="h"), Delta(reasoning_content="m"), Delta("a"), call(0, '{"x"', "f"), call(0, ":1}"),
        call(1, "{}", "g"), Delta("b"),
    )  # fmt: skip
    assert [(block.kind, block.name, block.text) for block in blocks.all] == [
        (Kind.THOUGHT, "", "hm"), (Kind.TEXT, "", "a"), (Kind.CALL, "f", '{"x":1}'), (Kind.CALL, "g", "{}"),
        (Kind.TEXT, "", "b"),
    ]  # fmt: skip
    assert [type(event) for event in told] == [
        Begun, Grown, Grown, Done, Begun, Grown, Done, Begun, Grown, Grown, Done, Begun, Grown, Done,
        Begun, Grown, Done,
    ]  # fmt: skip
    assert [event.block.index for event in told if isinstance(event, Done)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("text, value", [('{"a": 1}', {"a": 1}), ('{"a": ', {}), ("[1]", {}), ("", {})])
def test_arguments_that_are_cut_short_are_none(text, value):
    assert Block(Kind.CALL, 0, texts=[text]).arguments == value
