"""`--prompt-cache`: a prompt's state kept in a file, so that the next run computes only what is new."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llamakit.core.engine.generate import Session, n_common, reuse, settle
from llamakit.core.engine.state import DamagedState, State, load_file, save_file
from llamakit.errors import LlamakitError, UsageError

if TYPE_CHECKING:
    from llamakit.core.vocab.base import Vocab


class PromptCache:
    """The file's part in one completion: `load`, `encode`, `begin`, `save_prompt`, and at the end `save`.

    `saves_all` keeps what was generated too. A damaged file is not used, which `warning` tells, and written anew; one
    that fits another model or other settings is an error, and stays as it is. `note` tells what was of use.
    """

    def __init__(self, path: str | os.PathLike[str], *, saves_all: bool = False, is_read_only: bool = False) -> None:
        self.path, self.saves_all, self.is_read_only = Path(path), saves_all, is_read_only
        self.saved = State()
        self.warning = self.note = ""
        self._is_new = True  # the prompt has tokens that the file has not
        self._failed: LlamakitError | None = None

    def load(self, session: Session) -> None:
        """Let the session hold what the file holds. Raises StateError for a file that is of something else."""
        if not self.path.exists() or (self.path.is_file() and self.path.stat().st_size == 0):
            return
        try:
            self.saved = load_file(session.context, self.path, session.seq)
        except DamagedState as error:
            self.warning = f"{error}; it is not used"
        session.tokens = self.saved.tokens[: self.saved.n_past]

    def encode(self, vocab: Vocab, text: str | bytes) -> list[int]:
        """The tokens of a prompt. Without a text they are the file's; a text that goes on where a generation has ended
        keeps the tokens that the model made, as its own tokens of that text could be others."""
        saved = self.saved.tokens
        if not text and saved:
            return saved
        if self.saved.extra.get("is_generated") and not vocab.frame.add_space_prefix:
            while saved and vocab.is_eog(saved[-1]):
                saved = saved[:-1]
            data, known = text.encode() if isinstance(text, str) else text, vocab.detokenize(saved, remove_special=True)
            if saved and data.startswith(known) and is_utf8(data[len(known) :]):
                return saved + vocab.encode(data[len(known) :], add_special=False, parse_special=True)
        return vocab.encode(text, add_special=True, parse_special=True)

    def begin(self, session: Session, prompt: Sequence[int]) -> list[int]:
        """Keep what the session has of the prompt; returns the tokens to go on with.

        Where the whole file is the prompt's beginning, and the seed is the file's, random numbers go on as well.
        """
        saved, prompt = self.saved, list(prompt)
        n_matched = n_common(saved.tokens, prompt)
        n_reused = len(prompt) - len(reuse(session, prompt))
        n_heard = n_reused  # tokens that the sampler knows of
        if n_matched == len(saved.tokens) and self._restore(session):
            n_heard = n_matched
        else:
            session.sampler.accept_prompt(prompt[:n_reused])
        session.pending = prompt[n_reused:n_heard]
        self._is_new = n_matched < len(prompt)
        if saved.tokens:
            self.note = f"prompt cache: {n_matched} / {len(prompt)} tokens of the prompt are known"
        return prompt[n_heard:]

    def save_prompt(self, session: Session) -> None:
        """The prompt is computed: keep it, if it has something new. An error waits for the end: see `save`."""
        if self._is_new:
            self._save(session, is_generated=False)

    def save(self, session: Session) -> None:
        """The text has ended: keep it with `saves_all`. Raises the first error of this or an earlier saving."""
        if self.saves_all:
            self._save(session, is_generated=True)
        if self._failed:
            raise self._failed

    def _save(self, session: Session, is_generated: bool) -> None:
        if self.is_read_only:
            return
        settle(session)
        sampler = session.sampler
        try:
            save_file(
                session.context,
                self.path,
                session.tokens + session.pending,
                session.seq,
                sampler=sampler.save_state(),
                extra={"seed": sampler.seed, "is_generated": is_generated},
            )
        except LlamakitError as error:
            self._failed = self._failed or error

    def _restore(self, session: Session) -> bool:
        if not self.saved.sampler or self.saved.extra.get("seed") != session.sampler.seed:
            return False
        try:
            session.sampler.load_state(self.saved.sampler)
        except UsageError:  # of other options: it begins anew
            return False
        return True


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
