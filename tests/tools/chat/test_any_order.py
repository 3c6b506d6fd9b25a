"""Whatever people do, in any order: the model sees just what the messages say."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from llamakit.tools.chat.conversation import Conversation
from llamakit.tools.chat.file import load, save
from llamakit.tools.chat.speaker import ChatError, ChatParams
from tests.fake_engine import BOS, EOS
from tests.tools.chat.talking import converse, render, said

N_CTX = 96


def words(rng: random.Random, most: int) -> str:
    return "".join(rng.choices("abcé ", k=rng.randint(1, most)))


def interrupted(talk: Conversation, rng: random.Random) -> None:
    """An answer that is stopped somewhere, in one way or the other."""
    events, n = talk.say(words(rng, 12)), rng.randint(1, 6)
    for _ in range(n):
        if next(events, None) is None:
            return
    if rng.random() < 0.5:
        events.close()
    else:
        talk.interrupt()
        said(events)


def act(talk: Conversation, rng: random.Random, path: Path) -> str:
    """Do something; returns what it was where an answer came of it."""
    deeds = {
        "say": lambda: said(talk.say(words(rng, 30))),
        "interrupt": lambda: interrupted(talk, rng),
        "regenerate": lambda: said(talk.regenerate()),
        "edit": lambda: said(talk.edit(words(rng, 12))),
        "too long": lambda: said(talk.say("x" * N_CTX)),
        "undo": talk.undo,
        "clear": talk.clear,
        "system": lambda: talk.set_system(words(rng, 8) if rng.random() < 0.7 else ""),
        "save": lambda: save(talk, path),
        "load": lambda: load(talk, path) if path.exists() else None,
    }
    (name,) = rng.choices(list(deeds), [12, 4, 3, 3, 1, 3, 1, 1, 2, 1])
    try:
        deeds[name]()
    except ChatError:
        return ""
    return name if name in ("say", "interrupt", "regenerate", "edit") else ""


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("n_keep", [0, -1, 20])
def test_the_cache_holds_what_the_messages_say(seed: int, n_keep: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    script = "".join(f"{words(rng, 20)}|" for _ in range(400))
    talk = converse(script, ChatParams(n_keep=n_keep, n_predict=rng.choice([-1, 9])), N_CTX)
    for _ in range(60):
        answered = act(talk, rng, tmp_path / "talk.json")
        session = talk.speaker.session
        assert session.tokens[: len(session.context.cells)] == session.context.cells[: len(session.tokens)]
        if not answered or talk.speaker.turn.n_said == 0:
            continue
        assert talk.messages[-1].role == "assistant"
        tokens = [token for token in [*session.tokens, *session.pending] if token != EOS]
        shown = render(talk.speaker.window.of(talk.messages)).text.removesuffix(";A:").encode()
        assert tokens[0] == BOS
        # A character that was cut short is a mark in the messages, and its first byte in the cache.
        held = bytes(tokens[1:]).decode(errors="replace").encode()
        assert held == shown or (answered == "interrupt" and shown.startswith(held))  # amid making room for more


@pytest.mark.parametrize("seed", range(10))
def test_a_context_shift_keeps_the_start_and_the_end(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    script = "".join(f"{words(rng, 40)}|" for _ in range(400))
    talk = converse(script, ChatParams(context_shift=True), N_CTX, system="sys")
    for _ in range(40):
        answered = act(talk, rng, tmp_path / "talk.json")
        session = talk.speaker.session
        assert len(session.context.cells) <= N_CTX
        if answered and talk.speaker.turn.n_said:
            tokens = [token for token in [*session.tokens, *session.pending] if token != EOS]
            text = bytes(token for token in tokens if token != BOS).decode(errors="replace")
            assert tokens[0] == BOS
            assert text.endswith(talk.messages[-1].text[-20:])
