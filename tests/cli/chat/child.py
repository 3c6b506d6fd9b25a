"""A conversation whose model says a script, for tests that watch it in a terminal: child.py SCRIPT FOLDER ARGS.

Arguments: --slow, --raw, --mli, --simple, --markdown, --thinks, --hidden, -st; others are stop texts.
"""

from __future__ import annotations

import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).parents[3]))

from llamakit.cli.chat.commands import WORDS
from llamakit.cli.chat.input import Input, open_input
from llamakit.cli.chat.loop import ChatLoop
from llamakit.cli.chat.raw import RawLoop
from llamakit.cli.chat.screen import Screen
from llamakit.core.chat.output.format import THINK, Format
from llamakit.core.chat.output.parser import Parser
from llamakit.tools.chat.interaction import Interaction, RawParams
from llamakit.tools.chat.open import ThinkingReader
from llamakit.tools.chat.speaker import ChatParams
from tests.tools.chat.talking import converse, session_of


def main(script: str, folder: Path, *args: str) -> int:
    screen = Screen(markdown="--markdown" in args, shows_thinking=False if "--hidden" in args else None)
    with closing(open_input("--mli" in args, "--simple" in args, screen, WORDS, folder / "history")) as source:
        return talk(script, args, source, screen)


def talk(script: str, args: tuple[str, ...], source: Input, screen: Screen) -> int:
    stops = tuple(arg for arg in args if not arg.startswith("-"))
    if "--raw" in args:
        interaction = Interaction(session_of(script), RawParams(stop=stops, in_suffix=" Bot:"))
        interaction.add_prompt(list(b"A talk.\nUser:"))
        return RawLoop(interaction, source, screen, shows_affixes=True).run(True, False)
    conversation = converse(script, ChatParams(stop=stops), n_ctx=4096)
    if "--thinks" in args:
        speaker = conversation.speaker
        speaker.voice = replace(
            speaker.voice, new_reader=lambda prompt: ThinkingReader(Parser(Format("", thinking=THINK)))
        )
    if "--slow" in args:
        slow_down(conversation.speaker.session.context)
    loop = ChatLoop(conversation, source, screen, SimpleNamespace(grammar=None), "script.gguf")
    return loop.run(is_single="-st" in args)


def slow_down(context: object) -> None:
    step = context.step

    def slow_step(token: int, seq: int = 0) -> object:
        time.sleep(0.05)
        return step(token, seq)

    context.step = slow_step


sys.exit(main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]))
