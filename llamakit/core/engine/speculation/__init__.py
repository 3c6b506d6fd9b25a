"""Guessing the next tokens, and computing them together: texts are the same, and come sooner where guesses are right.

A step computes the last token and the guessed ones; then tokens are drawn one after the other as ever, from logits that
do not depend on what is computed together, until one is not the one that was guessed. What lies behind it is taken
back. So a text is the same to the bit with the same seed, whatever its sampler, grammar or temperature.
"""

from __future__ import annotations

from llamakit.core.engine.speculation.draft_model import DraftModel
from llamakit.core.engine.speculation.guesser import Guesser, Want
from llamakit.core.engine.speculation.prompt_lookup import PromptLookup
from llamakit.core.engine.speculation.speculator import Speculator

__all__ = ["DraftModel", "Guesser", "PromptLookup", "Speculator", "Want"]
