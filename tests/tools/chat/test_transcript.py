"""The tokens of a prompt are those that were there before, and its new end encoded."""

from __future__ import annotations

from llamakit.tools.chat.transcript import Segment, Transcript


class Words:
    """Each character a token, but `<x>` is token 1 where special tokens are read."""

    bos_id, add_bos = 0, True

    def encode(self, text: str, *, add_special: bool = True, parse_special: bool = False) -> list[int]:
        assert not add_special
        return [1 if c == "\1" else ord(c) for c in (text.replace("<x>", "\1") if parse_special else text)]


def ids(text: str) -> list[int]:
    return [ord(c) for c in text]


def test_a_prompt_begins_with_bos_and_only_once() -> None:
    transcript = Transcript(Words())
    transcript.read("ab")
    transcript.say("cd", [200])
    transcript.read("abcdef")
    assert transcript.tokens() == [0, *ids("ab"), 200, *ids("ef")]
    assert transcript.tokens(2) == ids("ef")


def test_what_differs_is_encoded_anew_from_its_segment_on() -> None:
    transcript = Transcript(Words())
    transcript.read("ab")
    transcript.say("cd", [200])
    transcript.read("abcXef")
    assert transcript.segments == [Segment("ab", (0, *ids("ab"))), Segment("cXef", tuple(ids("cXef")))]


def test_a_prompt_that_is_a_beginning_encodes_nothing() -> None:
    transcript = Transcript(Words())
    transcript.read("ab")
    transcript.say("cd", [200])
    transcript.read("ab")
    assert transcript.segments == [Segment("ab", (0, *ids("ab")))]


def test_what_people_say_is_no_special_token() -> None:
    transcript = Transcript(Words())
    transcript.read("<x>a<x>", literal=[(4, 7)])
    transcript.say("b", [98])
    transcript.read("<x>a<x>b<x>c<x>!", literal=[(4, 7), (12, 15)])
    assert transcript.tokens() == [0, 1, *ids("a<x>"), 98, 1, *ids("c<x>!")]
