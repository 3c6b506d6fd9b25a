"""SentencePiece's precompiled normalizer: which characters are replaced by which, as a compact double array.

Layout (sentencepiece's normalizer.cc, darts-clone): u32 bytes of the array; the array of u32 units; replacements, each
ended by NUL. A unit's low byte is the byte that leads to it. Its base, bits 10.. shifted left by 8 where bit 9 is set,
is an offset by XOR: byte c of a node at index i leads to index i ^ base ^ c, if the unit there is marked with c. Where
bit 8 is set, the unit at i ^ base itself is a value: the replacement's offset in bits 0..30.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Mapping
from functools import cached_property
from itertools import pairwise
from typing import Any

from llamakit.core.vocab.text import as_bytes, as_text
from llamakit.errors import VocabError

KEY = "tokenizer.ggml.precompiled_charsmap"
_LONGEST_KEY = 32  # characters; real maps have keys of up to 18 bytes
_VALUE = 1 << 31
_LABEL = _VALUE | 255  # a value has no label


def read_charsmap(metadata: Mapping[str, Any]) -> Charsmap | None:
    """The map of a file; None where it has none. Raises VocabError for what is no map."""
    value = metadata.get(KEY, [])
    try:
        blob = bytes(value) if min(value, default=0) >= 0 else array("b", value).tobytes()
    except (TypeError, ValueError, OverflowError):
        raise VocabError(f"{KEY} must be an array of bytes") from None
    if not blob:
        return None
    n_bytes = int.from_bytes(blob[:4], "little")
    if len(blob) < 4 or n_bytes == 0 or n_bytes % 4 or 4 + n_bytes >= len(blob):
        raise VocabError(f"{KEY} is damaged: an array of {n_bytes} bytes in {len(blob)}")
    return Charsmap(blob[4 : 4 + n_bytes], blob[4 + n_bytes :])


class Charsmap:
    """Replaces the longest key at each place of a text, from the left.

    Of a quarter of a million keys only those are looked up that a text could have: its characters, and its pairs.
    """

    def __init__(self, units: bytes, replacements: bytes) -> None:
        self._raw, self._replacements = units, replacements

    def replace(self, text: str) -> str:
        """The text after replacement. Raises VocabError for a map that leads out of itself."""
        leading = {character for character in set(text) if self._leads(character)}
        if not leading:
            return text
        alone = {c: replacement for c in leading for n, replacement in [self._longest(c)] if n}
        pairs = {a + b for a, b in set(pairwise(text)) if a in leading and self._leads(a + b)}
        if not pairs:
            return text.translate({ord(c): replacement for c, replacement in alone.items()})
        out: list[str] = []
        done = 0
        for place in _places(alone, pairs).finditer(text):
            start = place.start()
            if start < done:
                continue
            character = text[start]
            if text[start : start + 2] in pairs:
                n, replacement = self._longest(text[start : start + _LONGEST_KEY])
            else:
                n, replacement = (1, alone[character]) if character in alone else (0, "")
            if n:
                out += text[done:start], replacement
                done = start + n
        return "".join([*out, text[done:]])

    @cached_property
    def _units(self) -> memoryview:
        units = array("I", self._raw)
        if array("H", [1]).tobytes() != b"\1\0":
            units.byteswap()
        return memoryview(units)

    def _leads(self, start: str) -> bool:
        """Whether keys begin with this."""
        return self._walk(as_bytes(start))[0] == len(as_bytes(start))

    def _longest(self, text: str) -> tuple[int, str]:
        """(characters of the longest key that the text begins with, what replaces it); (0, "") if there is none."""
        raw = as_bytes(text)
        _, n_bytes, offset = self._walk(raw)
        if not n_bytes:
            return 0, ""
        end = self._replacements.find(b"\0", offset)
        if end < 0:
            raise VocabError(f"{KEY} is damaged: the replacement at {offset} has no end")
        return len(as_text(raw[:n_bytes])), as_text(self._replacements[offset:end])

    def _walk(self, raw: bytes) -> tuple[int, int, int]:
        """(bytes that lead somewhere, bytes of the longest key, offset of its replacement)."""
        units = self._units
        n_key = offset = 0
        try:
            node = _base(units[0])
            for n, byte in enumerate(raw):
                node ^= byte
                unit = units[node]
                if unit & _LABEL != byte or not byte:
                    return n, n_key, offset
                node ^= _base(unit)
                if unit >> 8 & 1:
                    n_key, offset = n + 1, units[node] & ~_VALUE
        except IndexError:
            raise VocabError(f"{KEY} is damaged: it leads to unit {node} of {len(units)}") from None
        return len(raw), n_key, offset


def _base(unit: int) -> int:
    return unit >> 10 << ((unit & 1 << 9) >> 6)


def _places(alone: Mapping[str, str], pairs: set[str]) -> re.Pattern[str]:
    """Where a key may begin: at a key of one character, and before what may go on."""
    firsts, seconds = ({pair[i] for pair in pairs} for i in (0, 1))
    places = f"[{re.escape(''.join(firsts))}](?=[{re.escape(''.join(seconds))}])"
    return re.compile(f"{places}|[{re.escape(''.join(alone))}]" if alone else places)
