"""Ends that depend on what a text says."""

from __future__ import annotations

import pytest

from llamakit.core.engine.generate import Finish
from llamakit.core.engine.scheduler import Request, ending
from llamakit.core.engine.scheduler.ending import Ending


def end_of(pieces, monkeypatch, seconds_each=0.0, **fields):
    """How many pieces there are until the end, and which."""
    now = 100.0
    monkeypatch.setattr(ending.time, "perf_counter", lambda: now)
    reading = Ending(Request([1], None, **fields))
    for i, piece in enumerate(pieces, start=1):
        now += seconds_each
        if finish := reading.after(piece):
            return i, finish
    return None


@pytest.mark.parametrize(
    "pieces, stop, wanted",
    [
        (["ab", "cd"], ("bc",), 2),
        (["ab", "cd"], ("x", "ab"), 1),
        (["a", "", "b", "c"], ("abc",), 4),
        (["ab", "cd"], ("ad",), None),
        (["ab" * 50, "c"], ("bc",), 2),
    ],
)
def test_a_stop_text_is_found_across_pieces(monkeypatch, pieces, stop, wanted):
    assert end_of(pieces, monkeypatch, stop=stop) == (wanted and (wanted, Finish.STOP_TEXT))


@pytest.mark.parametrize(
    "pieces, stop, wanted",
    [
        (["ab", "cd"], ("bc",), None),
        (["ab", "cd", "abc"], ("x", "bc"), 3),
        (["a", "", "b", "c"], ("abc",), 4),
        (["ab" * 50, "c"], ("bc",), 2),
    ],
)
def test_a_stop_text_may_count_only_where_a_piece_ends(monkeypatch, pieces, stop, wanted):
    found = end_of(pieces, monkeypatch, stop=stop, stops_at_ends=True)
    assert found == (wanted and (wanted, Finish.STOP_TEXT))


@pytest.mark.parametrize(
    "pieces, n_indent, wanted",
    [
        (["x\n", "  y"], 2, None),
        (["x\n", " ", "y"], 2, 3),
        (["x", "\n", "y"], 1, 3),
        (["x\n\n\n", "\t\ty\n", "    z", "\n\n", "w"], 2, 5),  # empty lines do not count
        (["y no new line"], 2, None),
        (["x\n   "], 4, None),  # may still grow
    ],
)
def test_a_line_that_is_indented_less_ends_a_text(monkeypatch, pieces, n_indent, wanted):
    assert end_of(pieces, monkeypatch, n_indent=n_indent) == (wanted and (wanted, Finish.INDENTED_LESS))


@pytest.mark.parametrize("pieces, wanted", [(["a"] * 9, None), (["a", "\n"] + ["a"] * 9, 4), (["a"] * 8 + ["\n"], 9)])
def test_time_is_up_behind_a_line(monkeypatch, pieces, wanted):
    assert end_of(pieces, monkeypatch, 1.0, t_max_predict=2.5) == (wanted and (wanted, Finish.TIME_UP))
