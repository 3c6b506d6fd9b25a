"""Options of interactive use, which `chat` and `run` share: a group (see `parsing/groups.py`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from llamakit.cli.options.prompt import read_text, unescape
from llamakit.cli.options.shared import option
from llamakit.errors import UsageError

PANEL = "Conversation"


@dataclass(frozen=True)
class InteractiveOptions:
    """Who speaks when, and how it looks."""

    conversation: Annotated[
        bool | None,
        option(
            "-cnv/-no-cnv",
            "--conversation/--no-conversation",
            panel=PANEL,
            help="Talk, with the model's chat template.",
            show_default=False,
        ),
    ] = None
    system_prompt: Annotated[
        str | None, option("-sys", "--system-prompt", panel=PANEL, help="What the model is told before all else.")
    ] = None
    system_prompt_file: Annotated[
        str | None, option("-sysf", "--system-prompt-file", panel=PANEL, help="The same, from a file.")
    ] = None
    single_turn: Annotated[bool, option("-st", "--single-turn", panel=PANEL, help="One answer, then leave.")] = False
    interactive: Annotated[
        bool,
        option("-i", "--interactive", panel=PANEL, help="Write in turns, without a template: -r gives you yours."),
    ] = False
    interactive_first: Annotated[
        bool, option("-if", "--interactive-first", panel=PANEL, help="The same, and the first turn is yours.")
    ] = False
    in_prefix: Annotated[
        str, option("--in-prefix", panel=PANEL, help="Put before what you type; turns the template off.")
    ] = ""
    in_suffix: Annotated[
        str, option("--in-suffix", panel=PANEL, help="Put behind what you type; turns the template off.")
    ] = ""
    in_prefix_bos: Annotated[
        bool, option("--in-prefix-bos", panel=PANEL, help="BOS before what you type, and before the prefix.")
    ] = False
    multiline_input: Annotated[
        bool,
        option("-mli", "--multiline-input", panel=PANEL, help=r"Enter makes a new line, \ or / at its end submits."),
    ] = False
    simple_io: Annotated[
        bool, option("--simple-io", panel=PANEL, help="Plain lines in and out: no editing, no cursor movement.")
    ] = False
    markdown: Annotated[
        bool, option("--markdown/--no-markdown", panel=PANEL, help="Show answers as formatted text.")
    ] = False
    show_thinking: Annotated[
        bool | None,
        option(
            "--show-thinking/--no-show-thinking",
            panel=PANEL,
            help="Show what the model thinks before it answers.",
            show_default="on a terminal",
        ),
    ] = None
    show_timings: Annotated[
        bool,
        option("--show-timings/--no-show-timings", env="SHOW_TIMINGS", panel=PANEL, help="Speeds after each answer."),
    ] = True
    history: Annotated[
        bool, option("--history/--no-history", panel=PANEL, help="Remember what you typed, for the next time.")
    ] = True
    media: Annotated[
        list[str], option("--image", "--audio", "--video", panel=PANEL, help="Refused: models of text take none.")
    ] = field(default_factory=list)
    output_file: Annotated[
        Path | None, option("-o", "--output", "--output-file", panel=PANEL, help="Write the conversation there too.")
    ] = None

    def __post_init__(self) -> None:
        if self.media:
            raise UsageError(f"{self.media[0]}: models of text take no images, sounds or films")

    @property
    def is_wanted(self) -> bool:
        """Whether `run` is to hand over to a conversation, or to interaction without a template."""
        takes_turns = self.interactive or self.interactive_first
        return takes_turns or bool(self.conversation) or (self.single_turn and self.conversation is not False)

    @property
    def is_raw(self) -> bool:
        """Without a template: asked for, or because texts of the user's own stand around what is typed."""
        asked = self.interactive or self.interactive_first or self.conversation is False
        return (asked and not self.conversation) or bool(self.in_prefix or self.in_suffix or self.in_prefix_bos)

    def system(self, escape: bool) -> str:
        """The system message; empty: none. Raises UsageError for a file that cannot be read."""
        text = self.system_prompt
        if text is None and self.system_prompt_file is not None:
            text = read_text(self.system_prompt_file)
        return unescape(text or "") if escape else text or ""
