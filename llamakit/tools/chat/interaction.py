"""Raw interaction: model and person take turns in one text, without a template."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llamakit.core.engine.generate import Finish, Session, draw, prefill
from llamakit.core.vocab.stream import TextStream
from llamakit.tools.chat.events import Delta, Event

if TYPE_CHECKING:
    from llamakit.core.sampling.chain import Sampler


@dataclass(frozen=True, slots=True)
class RawParams:
    n_predict: int = -1  # tokens of the model before it is the person's turn
    stop: tuple[str, ...] = ()  # reverse prompts: texts after which it is the person's turn
    in_prefix: str = ""
    in_suffix: str = ""
    in_prefix_bos: bool = False


class Interaction:
    """A text that grows from both sides, by llama.cpp's rules.

    `add_prompt` and `add_input` put text behind it, `go_on` yields what the model writes; `is_persons_turn` after a
    reverse prompt. `new_sampler` makes one for each turn of the model, which a grammar needs; without it,
    the session's sampler goes on. `when_read` is called when the new text of a turn has been computed.
    """

    def __init__(
        self,
        session: Session,
        params: RawParams,
        new_sampler: Callable[[int], Sampler] | None = None,
        when_read: Callable[[], None] | None = None,
    ) -> None:
        self.session, self.params = session, params
        self.new_sampler, self.when_read = new_sampler, when_read
        self.n_turns = 0  # of the model
        self.waiting: list[int] = []  # tokens that are not computed yet
        self.text = ""  # of the prompt
        self.tail = ""  # the end of the text, as long as the longest reverse prompt
        self.is_interrupted = False

    def add_prompt(self, tokens: list[int], n_computed: int = 0) -> None:
        """Tokens of a text; the session has the first n_computed of them."""
        self.waiting += tokens[n_computed:]
        text = TextStream(self.session.vocab)
        self.text = "".join([*map(text.push, tokens), text.flush()])
        self._remember(self.text)

    def add_input(self, text: str) -> None:
        """What the person typed, between prefix and suffix; an empty text only hands the turn back."""
        vocab, p = self.session.vocab, self.params
        if p.in_prefix_bos and vocab.bos_id is not None:
            self.waiting.append(vocab.bos_id)
        if not text:
            return
        for part, parse_special in ((p.in_prefix, True), (text, False), (p.in_suffix, True)):
            self.waiting += vocab.encode(part, add_special=False, parse_special=parse_special)
        self._remember(p.in_prefix + text + p.in_suffix)

    def interrupt(self) -> None:
        """End what the model writes at its next token. Safe to call from a signal handler."""
        self.is_interrupted = True

    @property
    def is_persons_turn(self) -> bool:
        return any(self.tail.endswith(stop) for stop in self.params.stop)

    def go_on(self) -> Iterator[Event]:
        """What the model writes, until a reverse prompt, the end of its text, n_predict tokens or an interruption.

        Where the model ends its text, the first reverse prompt is written for it.
        """
        session, params = self.session, self.params
        self.is_interrupted, session.finish = False, None
        session.text.flush()  # of a character that a cancelled turn began
        tokens, self.waiting = self.waiting, []
        if self.new_sampler is not None:
            session.sampler = self.new_sampler(self.n_turns)
            session.sampler.accept_prompt(session.tokens)
        self.n_turns += 1
        logits = prefill(session, tokens)
        if self.when_read is not None:
            self.when_read()
        for piece in draw(session, logits, params.n_predict):
            yield Delta(piece.text)
            self._remember(piece.text)
            if any(stop in self.tail for stop in params.stop):
                session.finish = Finish.STOP_TEXT
                break
            if self.is_interrupted:
                break
        yield Delta(session.text.flush())
        if session.finish is Finish.END_OF_TEXT and params.stop:
            yield Delta("\n" + params.stop[0])
            self.add_prompt(session.vocab.encode(params.stop[0], add_special=False, parse_special=True))

    def _remember(self, text: str) -> None:
        longest = max(map(len, self.params.stop), default=0)
        self.tail = (self.tail + text)[-(longest + len(text)) :] if longest else ""
