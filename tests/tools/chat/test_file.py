"""A conversation in a file goes on as if it had never been left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llamakit.errors import LlamakitError
from llamakit.tools.chat.file import load, save
from llamakit.tools.chat.transcript import Segment
from tests.tools.chat.talking import converse, roles, said, seen


def test_a_loaded_conversation_goes_on_with_the_same_tokens(tmp_path: Path) -> None:
    talk = converse("one|two|", system="s")
    said(talk.say("日本"))
    save(talk, tmp_path / "chat.json")
    other = converse("two|")
    load(other, tmp_path / "chat.json")
    assert roles(other) == roles(talk)
    assert other.n_answers == 1
    said(talk.say("b")), said(other.say("b"))
    assert other.speaker.session.tokens == talk.speaker.session.tokens
    assert seen(other) == "S:s;U:日本;A:one;U:b;A:two"


def test_the_file_is_readable_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    talk = converse("one|")
    said(talk.say("é"))
    save(talk, tmp_path / "chat.json")
    assert '"content": "é"' in (tmp_path / "chat.json").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["chat.json"]


def test_what_the_model_no_longer_sees_stays_unseen(tmp_path: Path) -> None:
    talk = converse("".join(f"answer{i}|" for i in range(9)), n_ctx=64)
    for i in range(5):
        said(talk.say(f"question{i}"))
    save(talk, tmp_path / "chat.json")
    other = converse("x|", n_ctx=64)
    load(other, tmp_path / "chat.json")
    assert other.speaker.window == talk.speaker.window
    said(other.say("y"))
    assert "question0" not in seen(other)


def test_another_programs_list_of_messages_is_loaded(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    (tmp_path / "chat.json").write_text(json.dumps(messages))
    talk = converse("x|")
    load(talk, tmp_path / "chat.json")
    assert roles(talk) == [("user", "a"), ("assistant", "b")]


def test_an_empty_conversation_can_be_saved_and_loaded(tmp_path: Path) -> None:
    save(converse(""), tmp_path / "chat.json")
    load(converse(""), tmp_path / "chat.json")


@pytest.mark.parametrize(
    "segment",
    [{"text": "U:a;A:", "tokens": [1, 2]}, {"text": "U:a;A:", "tokens": [9999]}, {"text": 3}, {"tokens": []}, 5, None],
)
def test_tokens_that_are_not_this_models_are_left_out(segment: Any, tmp_path: Path) -> None:
    talk = converse("one|")
    said(talk.say("a"))
    save(talk, tmp_path / "chat.json")
    value = json.loads((tmp_path / "chat.json").read_text())
    value["transcript"][1] = segment
    (tmp_path / "chat.json").write_text(json.dumps(value))
    other = converse("")
    load(other, tmp_path / "chat.json")
    assert other.speaker.transcript.segments == talk.speaker.transcript.segments[:1]
    assert isinstance(other.speaker.transcript.segments[0], Segment)


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("{", "not JSON: .* line 1"),
        ("[]]", "not JSON"),
        ("5", "must be"),
        ("{}", "must be"),
        ('[{"role": "user"}]', r"messages\[0\].content"),
        ('[{"role": "king", "content": ""}]', r"messages\[0\].role"),
        ('{"messages": [{"role": "user", "content": "a"}], "n_answers": -1}', "n_answers must be"),
        ('{"messages": [{"role": "user", "content": "a"}], "n_dropped": "2"}', "n_dropped must be"),
        ('{"messages": [{"role": "user", "content": "a"}], "n_dropped": 2}', "more than the 1 messages"),
        ("[" * 100_000, "not"),
        ("\udcff", "not a saved conversation"),
    ],
)
def test_a_damaged_file_changes_nothing(text: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "chat.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    talk = converse("one|")
    said(talk.say("a"))
    before = roles(talk)
    with pytest.raises(LlamakitError, match=complaint) as error:
        load(talk, tmp_path / "chat.json")
    assert "chat.json" in str(error.value)
    assert roles(talk) == before


def test_files_that_cannot_be_read_or_written_are_named(tmp_path: Path) -> None:
    with pytest.raises(LlamakitError, match="No such file"):
        load(converse(""), tmp_path / "none.json")
    with pytest.raises(LlamakitError, match="No such file"):
        save(converse(""), tmp_path / "none" / "chat.json")
