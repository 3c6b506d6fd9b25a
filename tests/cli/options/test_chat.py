"""Options of chat templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llamakit.cli.options.chat import ChatOptions, chat_template_of, template_variables
from llamakit.cli.parsing.call import read_and_call
from llamakit.cli.parsing.reader import InvalidArgument
from llamakit.errors import LlamakitError


def read(*args: str) -> ChatOptions:
    got: list[ChatOptions] = []

    def talk(*, chat: ChatOptions) -> None:
        got.append(chat)

    read_and_call("talk", talk, args)
    return got[0]


@pytest.mark.parametrize(
    "args, variables",
    [
        ((), {"preserve_reasoning": True}),
        (("--no-reasoning-preserve", "-rea", "off"), {"preserve_reasoning": False, "enable_thinking": False}),
        (("--reasoning",), {"preserve_reasoning": True, "enable_thinking": True}),
        (("--reasoning_effort", "low"), {"preserve_reasoning": True, "reasoning_effort": "low"}),
        (("--chat-template-kwargs", '{"a": [1], "preserve_reasoning": null}'), {"preserve_reasoning": None, "a": [1]}),
    ],
)
def test_options_become_variables_of_the_template(args: tuple[str, ...], variables: dict[str, Any]) -> None:
    assert template_variables(read(*args)) == variables


def test_the_template_is_a_name_or_a_text_or_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "t.jinja").write_text("{{ 'ü' }}", encoding="utf-8")
    assert chat_template_of(read()) is None
    assert chat_template_of(read("--chat-template", "llama3")) == "llama3"
    assert chat_template_of(read("--chat-template-file", str(tmp_path / "t.jinja"))) == "{{ 'ü' }}"


def test_the_environment_speaks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_ARG_CHAT_TEMPLATE", "zephyr")
    monkeypatch.setenv("LLAMA_ARG_NO_JINJA", "1")
    monkeypatch.setenv("LLAMA_ARG_THINK", "none")
    options = read()
    assert (options.chat_template, options.jinja, options.reasoning_format) == ("zephyr", False, "none")


@pytest.mark.parametrize(
    "args, fault",
    [
        (("--reasoning-format", "x"), "--reasoning-format: 'x' is not one of none, auto, "),
        (("--reasoning-budget", "-2"), "--reasoning-budget: -2 is less than -1"),
        (("--reasoning", "sometimes"), "invalid|superfluous|'sometimes'"),
    ],
)
def test_a_senseless_value_is_an_error(args: tuple[str, ...], fault: str) -> None:
    with pytest.raises(LlamakitError, match=fault):
        read(*args)


@pytest.mark.parametrize(
    "text, fault", [("{", "no JSON"), ("[1]", "must be a JSON object"), ("[" * 100_000, "no JSON")]
)
def test_variables_are_a_json_object(text: str, fault: str) -> None:
    with pytest.raises(InvalidArgument, match=fault):
        template_variables(ChatOptions(chat_template_kwargs=text))


def test_a_file_must_be_there_and_be_text(tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"ab\xff")
    with pytest.raises(LlamakitError, match="none: No such file"):
        chat_template_of(ChatOptions(chat_template_file=str(tmp_path / "none")))
    with pytest.raises(InvalidArgument, match="bad is no UTF-8 text: byte 2"):
        chat_template_of(ChatOptions(chat_template_file=str(tmp_path / "bad")))
    with pytest.raises(InvalidArgument, match="only one of"):
        chat_template_of(ChatOptions(chat_template="x", chat_template_file="y"))
