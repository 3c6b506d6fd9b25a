"""Texts up to a stop text, and the tokens that belong to them."""

from __future__ import annotations

import asyncio

import pytest

from llamakit.core.engine.generate import Finish, Piece
from llamakit.core.engine.scheduler import Cancelled, Ended, Failed, Prefilled, SchedulerClosed
from llamakit.server.engine.generation import Generation
from llamakit.server.engine.stream import Stream
from llamakit.server.generation.answer import Answer, Said, merged


def answer(pieces, end=None, stop=(), hidden=()):
    """One whose stream tells texts, whose tokens are numbered."""
    stream = Stream(1, Generation((1,), stop=stop), lambda _: None, lambda *_: None)
    for i, text in enumerate(pieces):
        stream.push(Piece(i, text) if isinstance(text, str) else text)
    stream.push(end or Ended(Finish.END_OF_TEXT))
    return Answer(stream, hidden)


def read(answer):
    async def parts():
        return [part async for part in answer.parts()]

    return asyncio.run(asyncio.wait_for(parts(), 10))


def tokens(parts):
    return [piece.token for part in parts for piece in part.pieces]


@pytest.mark.parametrize(
    "pieces, stop, text, kept, found",
    [
        (["a", "b", "c"], (), "abc", [0, 1, 2], None),
        (["a", "b", "c"], ("b",), "a", [0], "b"),
        (["ab", "cd"], ("bc",), "a", [0], "bc"),
        (["a", "x", "y"], ("xyz",), "axy", [0, 1, 2], None),
        (["", "", "ü", "b"], (), "üb", [0, 1, 2, 3], None),
        (["a", "", ""], (), "a", [0, 1, 2], None),
        (["abc"], ("c", "bc"), "a", [0], "bc"),
        ([], (), "", [], None),
        (["b"], ("b",), "", [], "b"),
    ],
)
def test_an_answer_ends_where_a_stop_text_begins(pieces, stop, text, kept, found):
    it = answer(pieces, stop=stop)
    parts = read(it)
    assert ("".join(part.text for part in parts), tokens(parts), it.stop_text) == (text, kept, found)
    assert it.finish is (Finish.STOP_TEXT if found else Finish.END_OF_TEXT)
    assert it.is_complete


def test_tokens_come_with_the_text_that_they_begin_in():
    parts = read(answer(["a", "x", "y", "b"], stop=("xyz",)))
    assert parts == [Said("a", (Piece(0, "a"),)), Said("xyb", (Piece(1, "x"), Piece(2, "y"), Piece(3, "b")))]


def test_hidden_tokens_are_no_part_of_it():
    parts = read(answer(["a", "<end>"], hidden={1}))
    assert ("".join(part.text for part in parts), tokens(parts)) == ("a", [0])


def test_what_the_last_token_left_unfinished_comes_last():
    assert read(answer(["a", ""], Ended(Finish.LENGTH, "\ufffd")))[-1] == Said("\ufffd", (Piece(1, ""),))


def test_progress_passes_through():
    assert read(answer([Prefilled(5), "a"]))[0] == Prefilled(5)


@pytest.mark.parametrize("end, error", [(Failed(ValueError("x")), ValueError), (Cancelled(), SchedulerClosed)])
def test_what_goes_wrong_is_raised(end, error):
    with pytest.raises(error):
        read(answer(["a"], end))


def test_sources_are_merged_as_they_come_and_fail_as_one():
    async def source(texts, seconds=0.0):
        for text in texts:
            await asyncio.sleep(seconds)
            if text == "!":
                raise ValueError("x")
            yield text

    async def collect(*sources):
        return [item async for item in merged(sources)]

    assert asyncio.run(collect(source("ab"))) == [(0, "a"), (0, "b")]
    both = asyncio.run(collect(source("ab", 0.01), source("cd")))
    assert sorted(both) == [(0, "a"), (0, "b"), (1, "c"), (1, "d")]
    assert both[0] == (1, "c")
    with pytest.raises(ValueError):
        asyncio.run(asyncio.wait_for(collect(source("a", 5), source("c!")), 10))
