"""SentencePiece's precompiled normalizer: which characters are replaced by which, as a compact double array.

Layout (sentencepiece's normalizer.cc, darts-clone): u32 bytes of the array; the array of u32 units; replacements, each
ended by NUL. A unit's low byte is the byte that leads to it. Its base, bits 10.. shifted left by 8 where bit 9 is set,
is an offset by XOR: byte c of a node at index i leads to index i ^ base ^ c, if the unit there is marked with c. Where
bit 8 is set, the unit at i ^ base itself is a value: the replacement's offset in bits 0..30.
"""

from __future__ import annotations

import re
import struct
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from llamakit.errors import VocabError

KEY = "tokenizer.ggml.precompiled_charsmap"
_MAX_ENTRIES, _MAX_KEY = 1 << 20, 64  # real maps have 15 thousand entries of up to 18 bytes
_VALUE = 1 << 31


def read_charsmap(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Replacements by text; empty where the file has none. Raises VocabError for a map that leads out of itself."""
    value = metadata.get(KEY, [])
    if not isinstance(value, list) or not all(type(x) is int and -128 <= x <= 255 for x in value):
        raise VocabError(f"{KEY} must be an array of bytes")
    if not value:
        return {}
    blob = bytes(x & 255 for x in value)
    n_bytes = int.from_bytes(blob[:4], "little")
    if len(blob) < 4 or n_bytes == 0 or n_bytes % 4 or 4 + n_bytes >= len(blob):
        raise VocabError(f"{KEY} is damaged: an array of {n_bytes} bytes in {len(blob)}")
    units = struct.unpack_from(f"<{n_bytes // 4}I", blob, 4)
    return {key.decode(): _replacement(blob, 4 + n_bytes + offset) for key, offset in _entries(units)}


def _entries(units: tuple[int, ...]) -> list[tuple[bytes, int]]:
    """(key, offset of its replacement) of all entries."""
    children = defaultdict(list)  # index of a node, XOR its base -> its children
    for i, unit in enumerate(units):
        if unit < _VALUE and i:
            children[i ^ (unit & 255)].append(i)
    found: list[tuple[bytes, int]] = []
    todo = [(b"", _base(units[0]))]
    while todo:
        prefix, origin = todo.pop()
        for i in children[origin]:
            key, unit = prefix + bytes([units[i] & 255]), units[i]
            below = i ^ _base(unit)
            if unit >> 8 & 1:
                if below >= len(units):
                    raise VocabError(f"{KEY} is damaged: it leads to unit {below} of {len(units)}")
                found.append((key, units[below] & ~_VALUE))
            todo.append((key, below))
            if len(key) > _MAX_KEY or len(found) + len(todo) > _MAX_ENTRIES:
                raise VocabError(f"{KEY} is damaged: it does not end")
    return found


def _base(unit: int) -> int:
    return unit >> 10 << ((unit & 1 << 9) >> 6)


def _replacement(blob: bytes, start: int) -> str:
    end = blob.find(b"\0", start)
    if end < 0:
        raise VocabError(f"{KEY} is damaged: a replacement begins at {start} and does not end")
    return blob[start:end].decode("utf-8", "surrogateescape")


class Normalizer:
    """Replaces the longest key at each place of a text, from the left."""

    def __init__(self, replacements: dict[str, str]) -> None:
        self._replacements = replacements
        longest: dict[str, int] = {}
        for key in replacements:
            longest[key[0]] = max(longest.get(key[0], 0), len(key))
        self._longest = longest
        alone = "".join(key for key in replacements if len(key) == 1)
        firsts = "".join(sorted({key[0] for key in replacements if len(key) > 1}))
        seconds = "".join(sorted({key[1] for key in replacements if len(key) > 1}))
        places = [f"[{re.escape(alone)}]"] if alone else []
        places += [f"[{re.escape(firsts)}](?=[{re.escape(seconds)}])"] if firsts else []
        self._places = re.compile("|".join(places)) if places else None

    def __call__(self, text: str) -> str:
        if self._places is None:
            return text
        out: list[str] = []
        done = 0
        for place in self._places.finditer(text):
            start = place.start()
            if start < done:
                continue
            for n in range(self._longest[text[start]], 0, -1):
                replacement = self._replacements.get(text[start : start + n])
                if replacement is not None:
                    out += text[done:start], replacement
                    done = start + n
                    break
        return "".join([*out, text[done:]])
