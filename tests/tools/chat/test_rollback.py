"""What is taken back leaves no trace: the model sees, to the bit, what it would see had it never been there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from llamakit.core.engine.context import Context
from llamakit.core.engine.generate import Session
from llamakit.core.sampling.params import SamplingParams
from llamakit.core.vocab.stream import TextStream
from llamakit.tools.chat.answer import Plain
from llamakit.tools.chat.conversation import Conversation
from llamakit.tools.chat.draws import Draws
from llamakit.tools.chat.speaker import ChatParams, Speaker, Voice
from tests.fake_engine import N_VOCAB
from tests.running import open_context
from tests.tiny import Tiny, write_tiny
from tests.tools.chat.talking import TalkVocab, render, said


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny") / "tiny.gguf", Tiny(n_vocab=N_VOCAB))


@pytest.fixture
def context(path: Path) -> Iterator[Context]:
    with open_context(path, type_k="f16", type_v="f16") as context:
        yield context


def converse(context: Context, params: ChatParams = ChatParams(n_predict=12), seed: int = 1) -> Conversation:  # noqa: B008
    vocab = TalkVocab()
    draws = Draws(SamplingParams(seed=seed, temperature=1.5, repeat_penalty=1.3), vocab, N_VOCAB)
    session = Session(context, vocab, draws.plain(0), TextStream(vocab))
    voice = Voice(render, lambda number, prompt: draws.plain(number), lambda prompt: Plain())
    return Conversation(Speaker(session, voice, params))


def next_logits(conversation: Conversation) -> np.ndarray:
    """What the model thinks comes behind all that it has seen."""
    session = conversation.speaker.session
    return session.context.prefill([*session.pending, *b";U:?;A:"]).copy()


def fresh_logits(path: Path, tokens: Sequence[int]) -> np.ndarray:
    with open_context(path, type_k="f16", type_v="f16") as context:
        return context.prefill(tokens).copy()


def say_two(talk: Conversation) -> None:
    said(talk.say("hello"))
    said(talk.say("and now?"))


def regenerate(talk: Conversation) -> None:
    say_two(talk)
    said(talk.regenerate())


def undo(talk: Conversation) -> None:
    say_two(talk)
    talk.undo()
    said(talk.say("then this"))


def edit(talk: Conversation) -> None:
    say_two(talk)
    said(talk.edit("and then?"))


def change_system(talk: Conversation) -> None:
    say_two(talk)
    talk.set_system("be brief")
    said(talk.say("x"))


def fill_the_context(talk: Conversation) -> None:
    for i in range(12):
        said(talk.say(f"question {i}"))


@pytest.mark.parametrize("act", [say_two, regenerate, undo, edit, change_system, fill_the_context])
def test_logits_are_those_of_a_fresh_evaluation(
    act: Callable[[Conversation], None], path: Path, context: Context
) -> None:
    talk = converse(context)
    act(talk)
    session = talk.speaker.session
    tokens = [*session.tokens, *session.pending, *b";U:?;A:"]
    assert np.array_equal(next_logits(talk), fresh_logits(path, tokens))


def test_a_turn_that_is_taken_back_changes_nothing_that_comes_later(path: Path, context: Context) -> None:
    def last_words(talk: Conversation) -> str:
        talk.n_answers = 7  # the seed of the next answer
        return said(talk.say("last"))

    talk = converse(context)
    said(talk.say("hello"))
    said(talk.say("by mistake"))
    talk.undo()
    with open_context(path, type_k="f16", type_v="f16") as other:
        straight = converse(other)
        said(straight.say("hello"))
        assert last_words(talk) == last_words(straight)


def test_answers_follow_from_the_seed_and_their_number(context: Context) -> None:
    texts = []
    for seed in (1, 1, 2):
        talk = converse(context, seed=seed)
        context.truncate(0)
        texts.append((said(talk.say("hello")), said(talk.regenerate())))
    assert texts[0] == texts[1]
    assert texts[0][0] != texts[0][1]
    assert texts[0] != texts[2]


def test_a_grammar_holds_for_each_answer_anew(context: Context) -> None:
    from llamakit.api.grammar import LlamaGrammar

    class Words(TalkVocab):
        def __init__(self) -> None:
            super().__init__()
            self.texts = [chr(i) for i in range(N_VOCAB)]

    vocab = Words()
    draws = Draws(SamplingParams(seed=1, temperature=2.0), vocab, N_VOCAB)
    draws.grammar = LlamaGrammar.from_string('root ::= [a-c] "." [0-9]')
    voice = Voice(render, lambda number, prompt: draws.plain(number), lambda prompt: Plain())
    session = Session(context, vocab, draws.plain(0), TextStream(vocab))
    talk = Conversation(Speaker(session, voice, ChatParams(n_predict=9)))
    answers = [said(talk.say("x")) for _ in range(4)]
    assert all(len(a) == 3 and a[0] in "abc" and a[1] == "." and a[2].isdigit() for a in answers)
    draws.grammar = None
    assert said(talk.say("x")) not in answers
