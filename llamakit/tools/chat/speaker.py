"""The model's side of a conversation: the template's text, the cache, the answer."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from llamakit.core.chat.message import Message
from llamakit.core.engine.generate import Finish, Session, generate, reuse
from llamakit.core.engine.timings import Clock
from llamakit.errors import LlamakitError
from llamakit.tools.chat.answer import Answer, Reader, raw_text
from llamakit.tools.chat.events import Event, Notice, Reading, Turn
from llamakit.tools.chat.transcript import Span, Transcript
from llamakit.tools.chat.window import Window, turns

if TYPE_CHECKING:
    from llamakit.core.sampling.chain import Sampler

CONTEXT_MARGIN = 4  # cells a prompt must leave free, as in llama.cpp
UNTIL_CONTEXT_IS_FULL = -2  # as n_predict
SLICE = 512  # tokens of a prompt between two looks at whether the person still wants it


class ChatError(LlamakitError):
    """Something that a conversation cannot do as it stands."""


@dataclass(frozen=True, slots=True)
class ChatParams:
    n_predict: int = -1  # tokens of an answer; -1: until it ends, -2: until the context is full
    n_keep: int = 0  # tokens at the start that outlast a full context; 0: the system message, negative: the first turn
    context_shift: bool = False  # a full context loses its oldest cells rather than its oldest turns
    stop: tuple[str, ...] = ()


class Prompt(Protocol):
    """Messages as a template writes them."""

    @property
    def text(self) -> str: ...

    @property
    def literal(self) -> Sequence[Span]:
        """Places in the text, from and to, that look like special tokens and are none: people said them."""
        ...


@dataclass(frozen=True, slots=True)
class Voice:
    """How a model takes part: its template, how its answers are drawn, how they are read."""

    render: Callable[[Sequence[Message]], Prompt]  # the messages' text, the model's turn opened
    new_sampler: Callable[[int, Prompt], Sampler]  # for the answer of this number
    new_reader: Callable[[Prompt], Reader]


class Speaker:
    """Answers messages. `answer` yields events; then `said` is the answer, and `turn` tells of it in numbers."""

    def __init__(self, session: Session, voice: Voice, params: ChatParams) -> None:
        self.session, self.voice, self.params = session, voice, params
        self.transcript = Transcript(session.vocab)
        self.window = Window()
        self.turn = Turn()
        self.said = Message("assistant", "")
        self.is_interrupted = False
        self.is_torn = False  # a context shift took cells out of what the transcript says

    def answer(self, messages: Sequence[Message], number: int) -> Iterator[Event]:
        """Draw the answer of this number. Ends early once `is_interrupted`; closing the iterator ends it too.

        Raises ChatError when the last turn alone is too long for the context.
        """
        session, turn = self.session, Turn()
        self.is_interrupted, self.turn, self.said = False, turn, Message("assistant", "")
        session.finish = None
        session.text.flush()  # of a character that a cancelled answer began
        before = replace(session.timings.prefill), replace(session.timings.step)
        prompt, tokens, notice = self.prepare(messages)
        session.sampler = self.voice.new_sampler(number, prompt)
        yield from notice
        turn.n_reused, turn.n_prompt = len(session.tokens), len(session.tokens) + len(tokens)
        session.sampler.accept_prompt(session.tokens)
        answer = Answer(self.voice.new_reader(prompt), self.params.stop)
        try:
            yield from self.draw(answer, tokens)
            while session.finish is Finish.CONTEXT_FULL and self.params.n_predict != UNTIL_CONTEXT_IS_FULL:
                tokens, notice = self.make_room(messages, answer.tokens)
                if not tokens:
                    break
                yield from notice
                yield from self.draw(answer, tokens)
            yield from answer.push(session.text.flush())
            yield from answer.finish()
        finally:
            self.conclude(answer, *before)

    def prepare(self, messages: Sequence[Message]) -> tuple[Prompt, list[int], list[Event]]:
        """The prompt, its tokens that are not in the cache, and what is to be said of it."""
        prompt = self.voice.render(self.window.of(messages))
        if self.params.context_shift and (tokens := self.continuation(prompt)):
            return prompt, tokens, []
        prompt, tokens, notice = self.fit(messages, [], self.session.context.n_ctx - CONTEXT_MARGIN)
        if len(tokens) > self.session.context.n_ctx - CONTEXT_MARGIN:
            raise ChatError(
                f"this turn is too long: {len(tokens)} tokens, and the context holds {self.session.context.n_ctx}; "
                f"-c sets the context length"
            )
        shifts = self.params.context_shift and self.params.n_predict != UNTIL_CONTEXT_IS_FULL
        if shifts and (self.session.n_keep is None or self.params.n_keep >= 0):
            self.session.n_keep = self.n_keep(messages, prompt.text)
        self.is_torn = False
        return prompt, reuse(self.session, tokens), notice

    def fit(self, messages: Sequence[Message], said: list[int], room: int) -> tuple[Prompt, list[int], list[Event]]:
        """The prompt of as many turns as `room` has place for, its tokens and those said after it.

        Once turns must go, so many go that half of the context is free: else it would be full again soon.
        """
        window = self.window
        while True:
            prompt = self.voice.render(window.of(messages))
            self.transcript.read(prompt.text, prompt.literal)
            tokens = [*self.transcript.tokens(), *said]
            if len(tokens) <= room:
                break
            start = window if window.n_dropped else Window(self.n_kept(messages))
            smaller = start.without_oldest(messages)
            if smaller is None:
                break
            window, room = smaller, self.session.context.n_ctx // 2
        n_gone = window.n_turns_dropped(messages) - self.window.n_turns_dropped(messages)
        self.window = window
        return prompt, tokens, [Notice(context_full(self.session.context.n_ctx, n_gone))] if n_gone else []

    def make_room(self, messages: Sequence[Message], said: list[int]) -> tuple[list[int], list[Event]]:
        """Amid an answer: what to compute to go on with fewer turns before it; nothing where that does not help."""
        room = self.session.context.n_ctx // 2
        _, tokens, notice = self.fit(messages, said, room)
        if not notice or len(tokens) > self.session.context.n_ctx - CONTEXT_MARGIN:
            return [], []
        return reuse(self.session, tokens), notice

    def continuation(self, prompt: Prompt) -> list[int]:
        """What to add to a cache that has lost cells, or will: nothing where it must be filled anew."""
        session, transcript = self.session, self.transcript
        n_same = transcript.n_same(prompt.text)
        if not n_same or n_same < len(transcript.segments):
            return []
        transcript.read(prompt.text, prompt.literal)
        new = transcript.tokens(n_same)
        if not self.is_torn and len(transcript.tokens()) <= session.context.n_ctx - CONTEXT_MARGIN:
            return []
        drawn = [token for token in session.pending if not session.vocab.is_eog(token)]  # the template ends the turn
        session.pending.clear()
        return [*drawn, *new]

    def draw(self, answer: Answer, tokens: list[int]) -> Iterator[Event]:
        """Compute tokens, then draw: until the answer ends, the context is full or the person has enough of it."""
        session, n_left = self.session, self.params.n_predict
        tokens = yield from self.read(tokens)
        if not tokens:
            return
        n_held = len(session.tokens) + len(tokens)
        n_left = n_left - len(answer.tokens) if n_left > 0 else n_left
        for piece in generate(session, tokens, n_left):
            if session.vocab.is_eog(piece.token):
                continue
            n_held += 1
            answer.tokens.append(piece.token)
            yield from answer.push(piece.text)
            n_held = yield from self.watch(n_held)
            if answer.is_stopped:
                session.finish = Finish.STOP_TEXT
            if answer.is_stopped or self.is_interrupted:
                break
        yield from self.watch(n_held)

    def watch(self, n_held: int) -> Generator[Event, None, int]:
        """Tell of a context shift, if the session has fewer than so many tokens; returns how many it has."""
        session = self.session
        n_has = len(session.tokens) + sum(not session.vocab.is_eog(token) for token in session.pending)
        if n_has < n_held:
            self.is_torn = True
            yield Notice(f"context full: the oldest {n_held - n_has} tokens are no longer seen by the model")
        return n_has

    def read(self, tokens: list[int]) -> Generator[Event, None, list[int]]:
        """Compute a long prompt in slices; returns the last one, or nothing when the person wants no answer."""
        session, n_total = self.session, len(tokens)
        if len(session.tokens) + n_total > session.context.n_ctx:
            return tokens  # a context shift makes room for all of it
        while len(tokens) > SLICE:
            part, tokens = tokens[:SLICE], tokens[SLICE:]
            with session.timings.prefill.of(len(part)):
                session.context.prefill(part, session.seq)
            session.tokens += part
            session.sampler.accept_prompt(part)
            yield Reading(n_total - len(tokens), n_total)
            if self.is_interrupted:
                return []
        return tokens

    def conclude(self, answer: Answer, prefill: Clock, step: Clock) -> None:
        """What was said becomes part of the transcript, and of the numbers."""
        session, turn = self.session, self.turn
        self.transcript.say(raw_text(session.vocab, answer.tokens), answer.tokens)
        self.said = Message("assistant", answer.content, reasoning=answer.thinking or None)
        turn.n_said, turn.finish = len(answer.tokens), session.finish
        turn.prompt_seconds = session.timings.prefill.seconds - prefill.seconds
        turn.said_seconds = session.timings.step.seconds - step.seconds

    def n_kept(self, messages: Sequence[Message]) -> int:
        """Messages in front that are never dropped: a system message, and the turns within n_keep tokens."""
        starts = [*turns(messages), len(messages)]
        if self.params.n_keep < 0:
            return starts[1]
        n_kept = starts[0]
        for start in starts[1:-1]:
            prompt = self.voice.render(messages[:start]).text
            if len(self.session.vocab.encode(prompt, parse_special=True)) > self.params.n_keep:
                break
            n_kept = start
        return n_kept

    def n_keep(self, messages: Sequence[Message], prompt: str) -> int:
        """Tokens in front that a context shift leaves."""
        vocab, wanted = self.session.vocab, self.params.n_keep
        if wanted > 0:
            return wanted + vocab.add_bos
        if wanted < 0:
            return len(self.transcript.tokens())
        first = prompt.find(messages[turns(messages)[0]].text)
        return len(vocab.encode(prompt[: max(first, 0)], parse_special=True))


def context_full(n_ctx: int, n_turns: int) -> str:
    return (
        f"context full ({n_ctx} tokens): the oldest {n_turns} turn{'s' * (n_turns > 1)} are no longer seen by the model"
    )
