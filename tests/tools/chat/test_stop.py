"""Stop texts are found however the text is cut, and never seen."""

from __future__ import annotations

import pytest

from llamakit.tools.chat.stop import StopTexts


@pytest.mark.parametrize(
    "text, stops, out, is_found",
    [
        ("hello", (), "hello", False),
        ("hello User: more", ("User:",), "hello ", True),
        ("aab", ("aab",), "", True),
        ("aaab", ("aab",), "a", True),
        ("one two", ("two", "one"), "", True),
        ("Use", ("User:",), "Use", False),
        ("a\n\nb", ("\n\n",), "a", True),
        ("né", ("é",), "n", True),
        ("anything", ("",), "anything", False),
    ],
)
def test_text_comes_out_up_to_the_stop(text: str, stops: tuple[str, ...], out: str, is_found: bool) -> None:
    for n in range(1, len(text) + 1):
        stop = StopTexts(stops)
        parts = [stop.push(text[i : i + n]) for i in range(0, len(text), n)]
        assert "".join(parts) + stop.flush() == out, n
        assert stop.is_found is is_found


def test_only_what_may_be_a_stop_is_held_back() -> None:
    stop = StopTexts(["User:"])
    assert [stop.push(c) for c in "a Use it"] == ["a", " ", "", "", "", "Use ", "i", "t"]
