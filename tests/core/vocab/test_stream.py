"""Ids to text as they come: never half a character, nothing lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llamakit.core.vocab import TextStream


class Bytes:
    """A vocabulary whose token n is byte n."""

    def piece(self, token: int, *, special: bool = False) -> bytes:
        return bytes([token])


def test_a_character_is_held_back_until_its_last_byte() -> None:
    stream = TextStream(Bytes())
    assert [stream.push(byte) for byte in "aé😀".encode()] == ["a", "", "é", "", "", "", "😀"]
    assert stream.flush() == ""


def test_an_unfinished_character_becomes_a_replacement_at_the_end() -> None:
    stream = TextStream(Bytes())
    assert stream.push(0xE2) == ""
    assert stream.flush() == "\ufffd"
    assert stream.flush() == ""


@given(st.binary(max_size=40))
def test_the_joined_text_is_the_decoded_whole(raw: bytes) -> None:
    stream = TextStream(Bytes())
    assert "".join([*map(stream.push, raw), stream.flush()]) == raw.decode("utf-8", "replace")
