"""The commands of a conversation: lines that begin with a slash."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from llamakit.errors import UsageError

if TYPE_CHECKING:
    from llamakit.cli.chat.loop import ChatLoop
    from llamakit.tools.chat.events import Event

MOST_GLOBBED = 100  # files that one /glob adds
COMMAND = re.compile(r"/([a-zA-Z]+)(?:\s+(.*))?", re.DOTALL)


class Next(Enum):
    """What the loop does after a command that starts no answer."""

    READ = "read the next line"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class Command:
    """A slash command; `run` returns the events of an answer, or what comes next."""

    run: Callable[[ChatLoop, str], Iterator[Event] | Next]
    argument: str
    help: str


def find(text: str) -> tuple[Command, str] | None:
    """The command that a message is, and its argument; None for a message to the model. `//` is a slash of text.

    Raises UsageError for a word with a slash that is no command; a path such as /etc/hosts is text.
    """
    match = COMMAND.fullmatch(text.strip())
    if match is None:
        return None
    name = ALIASES.get(match[1].lower(), match[1].lower())
    if name not in COMMANDS:
        raise UsageError(f"there is no command /{match[1]}; /help lists them, and //{match[1]} says it to the model")
    return COMMANDS[name], (match[2] or "").strip()


def as_message(text: str) -> str:
    """What is said to the model: a doubled slash in front is one."""
    return text[1:] if text.startswith("//") else text


def show_help(loop: ChatLoop, _: str) -> Next:
    rows = [(f"/{name} {command.argument}".rstrip(), command.help) for name, command in COMMANDS.items()]
    width = max(len(name) for name, _ in rows)
    loop.screen.info("\n".join(f"{name:<{width}}  {text}" for name, text in rows))
    loop.screen.info("Ctrl-C stops an answer, and leaves where none is under way; Ctrl-D leaves. " + loop.input.hint)
    return Next.READ


def leave(loop: ChatLoop, _: str) -> Next:
    return Next.LEAVE


def clear(loop: ChatLoop, _: str) -> Next:
    loop.conversation.clear()
    loop.attached = ""
    loop.screen.info("the conversation begins anew")
    return Next.READ


def regenerate(loop: ChatLoop, _: str) -> Iterator[Event]:
    return loop.conversation.regenerate()


def edit(loop: ChatLoop, text: str) -> Iterator[Event] | Next:
    last = loop.conversation.last_said
    if last is None:
        raise UsageError("there is nothing to edit yet")
    try:
        text = text or loop.input.read(text=last)
    except (EOFError, KeyboardInterrupt):  # the person has thought better of it
        return Next.READ
    return loop.conversation.edit(text) if text.strip() else Next.READ


def undo(loop: ChatLoop, _: str) -> Next:
    text = loop.conversation.undo()
    loop.screen.info(f"taken back: {shortened(text)}")
    return Next.READ


def system(loop: ChatLoop, text: str) -> Next:
    if text:
        loop.conversation.set_system("" if text == "off" else text)
    loop.screen.info(f"system message: {loop.conversation.system or 'none'}")
    return Next.READ


def save(loop: ChatLoop, name: str) -> Next:
    from llamakit.tools.chat.file import save

    path = path_of(name, "/save")
    save(loop.conversation, path)
    loop.screen.info(f"saved {loop.conversation.n_turns} turns: {path}")
    return Next.READ


def load(loop: ChatLoop, name: str) -> Next:
    from llamakit.tools.chat.file import load

    path = path_of(name, "/load")
    load(loop.conversation, path)
    loop.screen.info(f"loaded {loop.conversation.n_turns} turns: {path}")
    if said := loop.conversation.last_said:
        loop.screen.info(f"the last one: {shortened(said)}")
    return Next.READ


def stats(loop: ChatLoop, _: str) -> Next:
    from llamakit.tools.completion import timing_lines

    speaker, session = loop.conversation.speaker, loop.conversation.speaker.session
    context = session.context
    lines = [
        f"model      {loop.model_name}",
        f"turns      {loop.conversation.n_turns}, of which the model no longer sees "
        f"{speaker.window.n_turns_dropped(loop.conversation.messages)}",
        f"context    {len(session.tokens)} of {context.n_ctx} tokens",
        f"grammar    {loop.grammar_name or 'none'}",
    ]
    loop.screen.info("\n".join([*lines, *timing_lines(session.timings)]))
    return Next.READ


def grammar(loop: ChatLoop, text: str) -> Next:
    """/grammar FILE, or a grammar's own text; off."""
    from llamakit.cli.options.grammar import read_grammar

    if text == "off":
        loop.set_grammar(None, "")
    elif text:
        is_text = "::=" in text
        loop.set_grammar(read_grammar(text) if is_text else read_grammar(grammar_file=text), shortened(text))
    loop.screen.info(f"grammar: {loop.grammar_name or 'none'}")
    return Next.READ


def attach(loop: ChatLoop, name: str) -> Next:
    """Put a text file before the next message, as llama-cli does."""
    path = path_of(name, "/read")
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    loop.attached += f"--- File: {path} ---\n{text}\n"
    loop.screen.info(f"read {path}: it goes with your next message")
    return Next.READ


def attach_many(loop: ChatLoop, pattern: str) -> Next:
    from glob import iglob

    names = sorted(name for name in iglob(str(path_of(pattern, "/glob")), recursive=True) if Path(name).is_file())
    if not names:
        raise UsageError(f"no file is called {pattern}")
    for name in names[:MOST_GLOBBED]:
        attach(loop, name)
    if len(names) > MOST_GLOBBED:
        loop.screen.info(f"only the first {MOST_GLOBBED} of {len(names)} files were read")
    return Next.READ


def media(loop: ChatLoop, _: str) -> Next:
    raise UsageError(f"{loop.model_name} is a model of text: it takes no images, sounds or films")


def path_of(name: str, command: str) -> Path:
    if not name:
        raise UsageError(f"{command} needs the name of a file")
    return Path(name).expanduser()


def shortened(text: str, n: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= n else line[: n - 3] + "..."


COMMANDS = {
    "help": Command(show_help, "", "these lines"),
    "regen": Command(regenerate, "", "another answer to your last message"),
    "edit": Command(edit, "[TEXT]", "your last message anew, and an answer to it"),
    "undo": Command(undo, "", "take the last turn back"),
    "clear": Command(clear, "", "forget the conversation; the system message stays"),
    "system": Command(system, "[TEXT]", "show or change the system message; off: none"),
    "save": Command(save, "FILE", "write the conversation to a file"),
    "load": Command(load, "FILE", "go on with the conversation of a file"),
    "read": Command(attach, "FILE", "put a text file before your next message"),
    "glob": Command(attach_many, "PATTERN", "the same, all files that fit: src/**/*.py"),
    "grammar": Command(grammar, "[GBNF|FILE]", "answers must fit a grammar; off: any text"),
    "stats": Command(stats, "", "sizes and speeds so far"),
    "image": Command(media, "FILE", "not for models of text (nor /audio, /video)"),
    "exit": Command(leave, "", "leave"),
}
ALIASES = {"quit": "exit", "bye": "exit", "q": "exit", "h": "help", "retry": "regen", "new": "clear"} | dict.fromkeys(
    ("audio", "video"), "image"
)
WORDS = [f"/{name}" for name in COMMANDS]
