"""A conversation whose model says what a script says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from llamakit.core.chat.message import Message
from llamakit.core.engine.generate import Session
from llamakit.core.vocab.stream import TextStream
from llamakit.tools.chat.answer import Plain
from llamakit.tools.chat.conversation import Conversation
from llamakit.tools.chat.events import Delta, Event, Notice
from llamakit.tools.chat.speaker import ChatParams, Speaker, Voice
from tests.fake_engine import BOS, EOS, N_VOCAB, ByteVocab, FakeContext, GreedySampler, Logits


class TalkVocab(ByteVocab):
    n_tokens, bos_id = N_VOCAB, BOS


class TalkContext(FakeContext):
    """Goes on in its script with each token that is drawn, in however many calls a prompt is computed."""

    def compute(self, call: str, tokens: Sequence[int]) -> Logits:
        logits = super().compute(call, tokens)
        self.n_said -= 1
        return logits

    def truncate(self, n_past: int, seq: int = 0) -> int:
        super().truncate(n_past, seq)
        return len(self.cells)


class TalkSampler(GreedySampler):
    def __init__(self, context: TalkContext) -> None:
        super().__init__()
        self.context = context

    def accept(self, token: int) -> None:
        super().accept(token)
        self.context.n_said += 1


@dataclass(frozen=True)
class Prompt:
    """As core.chat.prompt's."""

    text: str
    literal: tuple[tuple[int, int], ...] = ()


def render(messages: Sequence[Message]) -> Prompt:
    """A template of one letter a role: S:be brief;U:hello;A:"""
    return Prompt("".join(f"{m.role[0].upper()}:{m.text};" for m in messages) + "A:")


def script_of(text: str) -> list[int]:
    """The bytes of a script as tokens; `|` ends an answer."""
    return [EOS if byte == ord("|") else byte for byte in text.encode()]


def session_of(script: str, n_ctx: int = 256) -> Session:
    vocab, context = TalkVocab(), TalkContext(script_of(script), n_ctx)
    return Session(context, vocab, TalkSampler(context), TextStream(vocab))


ENDLESS = ChatParams()


def converse(script: str, params: ChatParams = ENDLESS, n_ctx: int = 256, system: str = "") -> Conversation:
    """With a model that says the script, an answer up to each `|`."""
    session = session_of(script, n_ctx)
    voice = Voice(render, lambda number, prompt: TalkSampler(session.context), lambda prompt: Plain())
    conversation = Conversation(Speaker(session, voice, params))
    if system:
        conversation.set_system(system)
    return conversation


def said(events: Iterable[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


def notices(events: Iterable[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Notice)]


def seen(conversation: Conversation) -> str:
    """What the model has before it, as text."""
    return bytes(conversation.speaker.session.context.cells[1:]).decode()


def roles(conversation: Conversation) -> list[tuple[str, str]]:
    return [(m.role, m.text) for m in conversation.messages]
