"""`-i`: model and person write one text in turns, without a template."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from llamakit.cli.chat.input import Input
from llamakit.cli.chat.loop import EXIT_INTERRUPTED, hearing_ctrl_c
from llamakit.cli.chat.screen import GREEN, YELLOW, Screen
from llamakit.core.engine.generate import Finish

if TYPE_CHECKING:
    from llamakit.tools.chat.interaction import Interaction


class RawLoop:
    """The loop of an interaction. `shows_affixes`: prefix and suffix are seen, as in llama.cpp without -cnv."""

    def __init__(self, interaction: Interaction, source: Input, screen: Screen, shows_affixes: bool) -> None:
        self.interaction, self.input, self.screen, self.shows_affixes = interaction, source, screen, shows_affixes

    def run(self, display_prompt: bool, is_persons_turn: bool) -> int:
        """Until the person leaves or the context is full; returns the exit code."""
        screen, interaction = self.screen, self.interaction
        if self.input.is_echoed:
            screen.info(f"writing in turns with the model; Ctrl-C makes it yours\n{self.input.hint}")
        if display_prompt:
            screen.put(interaction.text, GREEN)
        try:
            while interaction.session.finish is not Finish.CONTEXT_FULL:
                if is_persons_turn or interaction.is_persons_turn:
                    self.read()
                with hearing_ctrl_c(interaction.interrupt) if self.input.is_echoed else nullcontext():
                    for event in interaction.go_on():
                        screen.show(event)
                is_persons_turn = True
            screen.info("context full: --context-shift drops the oldest text, -c makes it larger", YELLOW)
        except EOFError:
            pass
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
        finally:
            screen.fresh_line()
        return 0

    def read(self) -> None:
        """The person's turn."""
        params, screen = self.interaction.params, self.screen
        if self.shows_affixes:
            screen.put(params.in_prefix)
            text = self.input.read(screen.take_line() if self.input.is_editor else "")
        else:
            screen.fresh_line()
            text = self.input.read()
        if self.input.is_echoed:
            screen.line = ""
        if text and self.shows_affixes:
            screen.put(params.in_suffix)
        self.interaction.add_input(text)
