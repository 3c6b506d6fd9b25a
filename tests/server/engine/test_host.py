"""What the engine's side tells of itself while it is busy with something else than tokens."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

import pytest

from llamakit.core.chat.output.constraint import Constraint
from llamakit.core.grammar.gbnf import parse_gbnf
from llamakit.server.engine import host as module
from llamakit.server.engine.errands import Errands
from llamakit.server.engine.generation import Generation
from llamakit.server.engine.host import Host, model_info
from llamakit.server.engine.messages import Call, Submit, Told
from llamakit.server.engine.requests import Requests

COMPILED = Submit((1,), Generation((1, 40), constraint=Constraint(parse_gbnf('root ::= "abc"'), None)))


def signs_of_life(sent):
    return sum(isinstance(message, Told) and message.stats is not None for message in sent)


@contextmanager
def hosting(scheduler, monkeypatch):
    """A host, and the list of what it sends."""
    monkeypatch.setattr(module, "BEAT", 0.01)
    sent = []
    host = Host(scheduler, sent.append, model_info(scheduler.context))
    try:
        yield host, sent
    finally:
        host.close()


@pytest.mark.parametrize(
    "asked, kind, name",
    [(COMPILED, Requests, "grammar"), (Call(1, "save_slot", (0, "x")), Errands, "save_slot")],
    ids=["grammar", "call"],
)
def test_what_takes_long_is_no_silence(scheduler, monkeypatch, asked, kind, name):
    is_over, ask = threading.Event(), getattr(kind, name)

    def slow(*arguments):
        is_over.wait(60)
        return ask(*arguments) if name == "grammar" else (0, 0)

    monkeypatch.setattr(kind, name, slow)
    with hosting(scheduler, monkeypatch) as (host, sent):
        host.handle(asked)
        try:
            end = time.monotonic() + 60
            while signs_of_life(sent) < 3 and time.monotonic() < end:
                time.sleep(0.005)
            assert signs_of_life(sent) >= 3
        finally:
            is_over.set()
