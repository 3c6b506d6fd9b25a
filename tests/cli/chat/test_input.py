"""Lines to messages, Markdown to blocks, words to commands."""

from __future__ import annotations

import io

import pytest

from llamakit.cli.chat.commands import COMMANDS, as_message, find
from llamakit.cli.chat.input import PlainInput
from llamakit.cli.chat.markdown import end_of_blocks
from llamakit.errors import UsageError


@pytest.mark.parametrize(
    "text, is_multiline, messages",
    [
        ("a\nb\n", False, ["a", "b"]),
        ("a\\\nb\nc", False, ["a\nb", "c"]),
        ("a/\nb\n", False, ["a", "b"]),
        ("a\r\nb\r\n", False, ["a", "b"]),
        ("a\nb/\nc\nd\\\ne", True, ["a\nb", "c\nd", "e"]),
        ("\n\na\n", False, ["", "", "a"]),
        ("a\\", False, ["a"]),
        ("", False, []),
        ("日本\\\n語\n", False, ["日本\n語"]),
    ],
)
def test_lines_end_messages_by_llama_cpps_rules(text: str, is_multiline: bool, messages: list[str]) -> None:
    source = PlainInput(io.StringIO(text, newline=""), is_multiline, None)
    read = []
    with pytest.raises(EOFError):
        while True:
            read.append(source.read())
    assert read == messages


def test_a_prompt_is_shown_only_to_a_person() -> None:
    shown: list[str] = []
    PlainInput(io.StringIO("a\n"), False, shown.append).read()
    assert shown == ["> "]
    assert PlainInput(None, False, None).read_all() == ""


@pytest.mark.parametrize(
    "text, done",
    [
        ("one", ""),
        ("one\n", ""),
        ("one\n\n", "one\n\n"),
        ("one\n\ntwo\nthree", "one\n\n"),
        ("```\na\n\nb", ""),
        ("```\na\n\nb\n```\n\nc", "```\na\n\nb\n```\n\n"),
        ("```\na\n~~~\n\nb", ""),
        ("````\na\n```\n\nb", ""),
        ("x\n\n~~~py\n\n", "x\n\n"),
        ("    ```\n\nb", "    ```\n\n"),
    ],
)
def test_a_block_is_done_at_an_empty_line_outside_of_code(text: str, done: str) -> None:
    assert text[: end_of_blocks(text)] == done


@pytest.mark.parametrize(
    "text, name, argument",
    [
        ("/help", "help", ""),
        ("/save  a b.json ", "save", "a b.json"),
        ("/SYSTEM you\nare", "system", "you\nare"),
        ("/quit", "exit", ""),
        ("/video x.mp4", "image", "x.mp4"),
    ],
)
def test_commands_are_found_by_their_first_word(text: str, name: str, argument: str) -> None:
    found = find(text)
    assert found is not None
    assert (found[0], found[1]) == (COMMANDS[name], argument)


@pytest.mark.parametrize("text", ["hello", "/etc/hosts is what?", "/usr", "//help", "a /help", "/ 2", "/2", "/"])
def test_other_texts_with_slashes_are_messages(text: str) -> None:
    if text == "/usr":
        with pytest.raises(UsageError, match="no command /usr; /help lists them, and //usr says it"):
            find(text)
    else:
        assert find(text) is None
    assert as_message(text) == text.replace("//", "/")
