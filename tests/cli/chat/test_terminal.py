"""A conversation in a real terminal: keys, Ctrl-C, wide characters, another size."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.cli.chat.terminal import Terminal, scripted

PASTE_BEGIN, PASTE_END = "\x1b[200~", "\x1b[201~"
CTRL_C, CTRL_D, UP, LEFT, ALT_ENTER = "\x03", "\x04", "\x1b[A", "\x1b[D", "\x1b\r"


def test_a_message_is_answered_and_ctrl_d_leaves(tmp_path: Path) -> None:
    with Terminal(scripted("Hello there.|", folder=tmp_path)) as t:
        t.prompted()
        t.type("hi\r")
        t.seen("> hi", "Hello there.", "[ prompt 8, ", "t/s | answer 12, ", "t/s | context 20 of 4096 ]")
        t.prompted()
        t.type(CTRL_D)
        assert t.exit_code() == 0


def test_lines_are_joined_by_a_backslash_and_by_alt_enter(tmp_path: Path) -> None:
    with Terminal(scripted("ok|ok|", folder=tmp_path)) as t:
        t.prompted()
        t.type("one\\\rtwo" + ALT_ENTER + "three\r")
        t.seen("> one\n  two\n  three\nok")
        t.type("/edit\r")
        t.seen("> one\n  two\n  three", "> one\n  two\n  three")  # the same message, to be changed
        t.type("!\r")
        t.seen("three!\nok")


def test_multiline_input_submits_at_a_slash_or_backslash(tmp_path: Path) -> None:
    with Terminal(scripted("ok|yes|", "--mli", folder=tmp_path)) as t:
        t.seen("ends with \\ or / submits")
        t.type("one\rtwo/\r")
        t.seen("> one\n  two\nok")
        t.type("three\\\r")
        t.seen("> three\nyes")


def test_pasted_text_keeps_its_lines_and_is_not_submitted(tmp_path: Path) -> None:
    text = "\n".join(f"line {i}" for i in range(200))
    with Terminal(scripted("read|", folder=tmp_path), folder=tmp_path) as t:
        t.prompted()
        t.type(PASTE_BEGIN + text + PASTE_END)
        t.seen("line 199")
        assert "read" not in t.lines
        t.type("\r")
        t.seen("line 199\nread")
        (tmp_path / "chat.json").write_text("old")
        t.type("/save ch\t")
        t.seen("chat.json")
        t.type("\r")
        t.seen("saved 1 turns")
        assert text.replace("\n", "\\n") in (tmp_path / "chat.json").read_text()


def test_ctrl_c_stops_an_answer_and_a_second_one_leaves(tmp_path: Path) -> None:
    with Terminal(scripted("a long answer that goes on and on|", "--slow", folder=tmp_path)) as t:
        t.prompted()
        t.type("go\r")
        t.seen("a long")
        t.type(CTRL_C)
        t.seen("interrupted\n[")
        t.prompted()
        assert "on and on" not in "\n".join(t.lines)
        t.type(CTRL_C)
        assert t.exit_code() == 130


def test_ctrl_c_empties_a_line_that_is_being_typed(tmp_path: Path) -> None:
    with Terminal(scripted("ok|", folder=tmp_path)) as t:
        t.prompted()
        t.type("not this")
        t.seen("> not this")
        t.type(CTRL_C)
        t.prompted()
        t.type("but this\r")
        t.seen("> but this\nok")


def test_a_reverse_prompt_ends_the_answer(tmp_path: Path) -> None:
    with Terminal(scripted("Well. USER: and so on|", "USER:", folder=tmp_path)) as t:
        t.prompted()
        t.type("hi\r")
        t.seen("Well.", "[ prompt")
        t.prompted()
        assert "USER:" not in "\n".join(t.lines)


def test_without_a_template_reverse_prompts_hand_over_on_the_same_line(tmp_path: Path) -> None:
    with Terminal(scripted(" Yes.\nUser: No.\nUser:", "--raw", "User:", folder=tmp_path)) as t:
        t.seen("A talk.\nUser:")
        t.type(" well?\r")
        t.seen("A talk.\nUser: well?\n Bot: Yes.\nUser:")
        t.type(" 日本?\r")
        t.seen("User: 日本?\n Bot: No.\nUser:")
        t.type(CTRL_D)
        assert t.exit_code() == 0


def test_wide_characters_take_their_places(tmp_path: Path) -> None:
    with Terminal(scripted("日本語の答え 👍|", folder=tmp_path)) as t:
        t.prompted()
        t.type("漢字x")
        t.wait(lambda: t.screen.cursor.x == 2 + 2 * 2 + 1, "cursor not behind the wide characters")
        t.type(LEFT + LEFT + "é")
        t.wait(lambda: t.screen.cursor.x == 2 + 2 + 1, "cursor not in between")
        t.type("\r")
        t.wait(lambda: any(line.replace(" ", "") == "日本語の答え👍" for line in t.lines), "no answer")
        assert any(line.replace(" ", "") == ">漢é字x" for line in t.lines)


def test_a_terminal_of_another_size_is_drawn_anew(tmp_path: Path) -> None:
    with Terminal(scripted("ok|", folder=tmp_path)) as t:
        t.prompted()
        t.type("word " * 14)  # 70 characters: one line of 80
        t.seen("> " + "word " * 13)
        t.resize(40, 24)
        t.wait(lambda: sum("word word word" in line for line in t.lines) >= 2, "not drawn over two lines")
        assert all(len(line) <= 40 for line in t.lines)
        t.type("end\r")
        t.seen("end\nok")


def test_commands_act_on_the_conversation(tmp_path: Path) -> None:
    with Terminal(scripted("one|two|three|four|", folder=tmp_path), lines=50) as t:
        t.prompted()
        t.type("/he\t")
        t.seen("> /help")
        t.type("\r")
        t.seen("/regen", "another answer", "/exit")
        t.type("first\r")
        t.seen("> first\none")
        t.type("/regen\r")
        t.seen("> /regen\ntwo")
        t.type("/undo\r")
        t.seen("taken back: first")
        t.type("/nonsense\r")
        t.seen("error: there is no command /nonsense")
        t.type("/system be brief\r")
        t.seen("system message: be brief")
        t.type("/image cat.png\r")
        t.seen("error: script.gguf is a model of text")
        t.type("/etc/hosts?\r")
        t.seen("> /etc/hosts?\nthree")
        t.type("//undo\r")
        t.seen("> //undo\nfour")
        t.type("/exit\r")
        assert t.exit_code() == 0


def test_what_was_typed_is_remembered_for_the_next_time(tmp_path: Path) -> None:
    with Terminal(scripted("ok|", folder=tmp_path)) as t:
        t.prompted()
        t.type("first\r")
        t.seen("> first\nok")
    with Terminal(scripted("ok|", folder=tmp_path)) as t:
        t.prompted()
        t.type_until(UP, "> first")
        t.type("\r")
        t.seen("> first\nok")
    assert (tmp_path / "history").stat().st_mode & 0o077 == 0


def test_markdown_is_shown_formatted(tmp_path: Path) -> None:
    with Terminal(scripted("# Title\n\nsome **bold** text\n\n- one\n- two\n|", "--markdown", folder=tmp_path)) as t:
        t.prompted()
        t.type("go\r")
        t.seen("Title", "some bold text", "• one\n • two", "[ prompt")
        t.prompted()


@pytest.mark.parametrize("args, env", [((), {"TERM": "dumb"}), (("--simple",), {})])
def test_a_dumb_terminal_gets_plain_lines(args: tuple[str, ...], env: dict[str, str], tmp_path: Path) -> None:
    with Terminal(scripted("one|two|", *args, folder=tmp_path), env={**env, "NO_COLOR": "1"}) as t:
        t.prompted()
        t.type("a\\\nb\n")
        t.seen("> a\\\nb\none")
        t.prompted()  # what is typed before would stand in front of it
        t.type("c\n")
        t.seen("> c\ntwo")
        t.prompted()
        assert b"\x1b" not in t.bytes
        t.type(CTRL_D)
        assert t.exit_code() == 0


def test_no_color_means_none(tmp_path: Path) -> None:
    with Terminal(scripted("one|", folder=tmp_path), env={"NO_COLOR": "1"}) as t:
        t.prompted()
        t.type("a\r")
        t.seen("one", "[ prompt")
        t.prompted()
        assert set(re.findall(rb"\x1b\[[0-9;]*m", t.bytes)) <= {b"\x1b[0m", b"\x1b[m"}


def test_thoughts_are_dimmed(tmp_path: Path) -> None:
    with Terminal(scripted("<think>hmm</think>Yes.|", "--thinks", folder=tmp_path)) as t:
        t.prompted()
        t.type("so?\r")
        t.seen("> so?\n[thinking]\nhmm\n[answer]\nYes.\n[ prompt")
        assert b"\x1b[2mh" in t.bytes or b"\x1b[2mhmm" in t.bytes
        assert b"\x1b[2mY" not in t.bytes


def test_thoughts_can_be_hidden(tmp_path: Path) -> None:
    with Terminal(scripted("<think>hmm</think>Yes.|", "--thinks", "--hidden", "--slow", folder=tmp_path)) as t:
        t.prompted()
        t.type("so?\r")
        t.seen("> so?\nthinking ...")
        t.seen("> so?\nYes.\n[ prompt")
        t.prompted()
        assert b"hmm" not in t.bytes


def test_a_long_message_shows_how_far_it_is(tmp_path: Path) -> None:
    with Terminal(scripted("ok|", folder=tmp_path)) as t:
        t.prompted()
        t.type(PASTE_BEGIN + "word " * 700 + PASTE_END + "\r")
        t.seen("ok\n[ prompt 3506")
        t.prompted()
        assert b"reading 512 of 3506 tokens" in t.bytes
        assert not any("reading" in line for line in t.lines)


def test_answers_that_go_to_a_file_are_alone_there(tmp_path: Path) -> None:
    shell = shlex.join(scripted("one|two|", folder=tmp_path)) + f" > {shlex.quote(str(tmp_path / 'out'))}"
    with Terminal(["sh", "-c", shell]) as t:
        t.prompted()
        t.type("a\n")
        t.seen("> a\n[ prompt")
        t.prompted()
        t.type("/nonsense\n")
        t.seen("error: there is no command /nonsense")
        t.type("b\n" + CTRL_D)
        assert t.exit_code() == 0
    assert (tmp_path / "out").read_text() == "one\ntwo\n"
