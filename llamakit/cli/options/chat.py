"""The options of chat templates and of thinking, for every command that talks: a group (see `parsing/groups.py`)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any

from llamakit.cli.options.prompt import read_file
from llamakit.cli.options.shared import option
from llamakit.cli.parsing.reader import InvalidArgument, OptionalWord

PANEL = "Chat template"
REASONING_FORMATS = ("none", "auto", "deepseek", "deepseek-legacy")


def chat(*names: str, help: str, env: str, **more: Any) -> Any:
    """An option of this panel."""
    return option(*names, panel=PANEL, help=help, env=env, **more)


@dataclass(frozen=True)
class ChatOptions:
    """What the command line says of the template and of thinking."""

    jinja: Annotated[
        bool,
        chat("--jinja/--no-jinja", env="JINJA", help="Render templates with Jinja, or as the named one they resemble."),
    ] = True
    chat_template: Annotated[
        str | None,
        chat(
            "--chat-template",
            env="CHAT_TEMPLATE",
            help="Template in place of the model's: a name such as chatml or llama3, or Jinja text.",
        ),
    ] = None
    chat_template_file: Annotated[
        str | None, chat("--chat-template-file", env="CHAT_TEMPLATE_FILE", help="File with a Jinja template.")
    ] = None
    chat_template_kwargs: Annotated[
        str | None,
        chat("--chat-template-kwargs", env="CHAT_TEMPLATE_KWARGS", help="Variables of the template, a JSON object."),
    ] = None
    reasoning_format: Annotated[
        str,
        chat(
            "--reasoning-format",
            env="THINK",
            help="Where thinking goes: none leaves it in the text, deepseek and auto take it out, deepseek-legacy too, "
            "but not while it streams.",
        ),
    ] = "auto"
    reasoning: Annotated[
        str, OptionalWord(), chat("-rea", "--reasoning", env="REASONING", help="Think first: on, off or auto.")
    ] = "auto"
    reasoning_effort: Annotated[
        str,
        chat(
            "--reasoning-effort", env="REASONING_EFFORT", help="How hard to think, a word of the template's: low, ..."
        ),
    ] = "default"
    reasoning_budget: Annotated[
        int, chat("--reasoning-budget", env="THINK_BUDGET", help="Tokens to think; -1: any number, 0: none.")
    ] = -1
    reasoning_budget_message: Annotated[
        str | None,
        chat("--reasoning-budget-message", env="THINK_BUDGET_MESSAGE", help="Text that ends thinking at the budget."),
    ] = None
    reasoning_preserve: Annotated[
        bool,
        chat(
            "--reasoning-preserve/--no-reasoning-preserve",
            env="REASONING_PRESERVE",
            help="Keep the thinking of earlier turns in the prompt, where the template can.",
        ),
    ] = True
    skip_chat_parsing: Annotated[
        bool,
        chat(
            "--skip-chat-parsing/--no-skip-chat-parsing",
            env="SKIP_CHAT_PARSING",
            help="Take the model's text as it is, with thinking and tool calls in it.",
        ),
    ] = False
    prefill_assistant: Annotated[
        bool,
        chat(
            "--prefill-assistant/--no-prefill-assistant",
            env="PREFILL_ASSISTANT",
            help="Go on from a last message that is the assistant's.",
        ),
    ] = True

    def __post_init__(self) -> None:
        if self.reasoning_format not in REASONING_FORMATS:
            formats = ", ".join(REASONING_FORMATS)
            raise InvalidArgument(f"--reasoning-format: {self.reasoning_format!r} is not one of {formats}")
        if self.reasoning_budget < -1:
            raise InvalidArgument(f"--reasoning-budget: {self.reasoning_budget} is less than -1")


def chat_template_of(options: ChatOptions) -> str | None:
    """The template that the command line asks for: a name or Jinja text; None for the model's own."""
    if options.chat_template is not None and options.chat_template_file is not None:
        raise InvalidArgument("only one of --chat-template and --chat-template-file can be given")
    if options.chat_template_file is None:
        return options.chat_template
    try:
        return read_file(options.chat_template_file).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"{options.chat_template_file} is no UTF-8 text: byte {error.start}") from None


def template_variables(options: ChatOptions) -> dict[str, Any]:
    """The variables that the command line gives the template, for `chat_prompt`."""
    variables: dict[str, Any] = {"preserve_reasoning": options.reasoning_preserve}
    if options.reasoning != "auto":
        variables["enable_thinking"] = options.reasoning == "on"
    if options.reasoning_effort != "default":
        variables["reasoning_effort"] = options.reasoning_effort
    if options.chat_template_kwargs is not None:
        variables |= read_object(options.chat_template_kwargs)
    return variables


def read_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"--chat-template-kwargs: no JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidArgument('--chat-template-kwargs must be a JSON object, such as {"enable_thinking": false}')
    return value
