"""What the two processes tell each other arrives as it was sent."""

from __future__ import annotations

import pytest

from llamakit.core.engine.generate import Finish, Piece
from llamakit.core.engine.scheduler import Cancelled, Ended, PromptScores, Score, ScoredPiece, Usage
from llamakit.server.engine.frames import Frames, frame
from llamakit.server.engine.messages import Told

EVENTS = [
    Piece(7, " wörd"),
    ScoredPiece(8, "", -0.5, ((8, -0.5), (9, -1.25))),
    PromptScores((Score(3, -2.0, ()),)),
    Ended(Finish.STOP_TEXT, "�"),
    Cancelled(),
]


@pytest.mark.parametrize("n_at_once", [1, 3, 10_000])
def test_events_arrive_as_they_were_sent(n_at_once):
    told = [Told([(i, event)], [(i, Usage(5, n_drawn=i))]) for i, event in enumerate(EVENTS)]
    sent, frames = b"".join(map(frame, told)), Frames()
    parts = [sent[i : i + n_at_once] for i in range(0, len(sent), n_at_once)]
    got = [message for part in parts for message in frames.push(part)]
    assert got == told
    assert [type(message.events[0][1]) for message in got] == [type(event) for event in EVENTS]
