"""SentencePiece's model files, read without its library: the few fields that a vocabulary needs.

Source of the layout: sentencepiece_model.proto, in Protocol Buffers' wire format. A field is a varint (its number * 8 +
its kind) and a value: a varint (kind 0), 8 bytes (1), a length and bytes (2), or 4 bytes (5).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from llamakit.errors import VocabError

UNIGRAM, BPE = 1, 2  # TrainerSpec.model_type


class PieceType(IntEnum):
    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True, slots=True)
class Piece:
    text: str
    score: float
    type: PieceType


@dataclass(frozen=True, slots=True)
class SentencePieceModel:
    pieces: list[Piece]
    model_type: int = UNIGRAM
    add_dummy_prefix: bool = True
    remove_extra_whitespaces: bool = True
    charsmap: bytes = b""


def read_model(path: Path) -> SentencePieceModel:
    """Parse a model file. Raises VocabError where it is none."""
    try:
        return _parse(path.read_bytes())
    except OSError as error:
        raise VocabError(f"{path}: cannot read: {error.strerror}") from None
    except (ValueError, struct.error) as error:
        raise VocabError(f"{path}: no SentencePiece model: {error}") from None


def _parse(raw: bytes) -> SentencePieceModel:
    pieces: list[Piece] = []
    model_type, prefix, squeeze, charsmap = UNIGRAM, True, True, b""
    for number, value in _fields(raw):
        if number == 1:
            pieces.append(_piece(_bytes(value)))
        elif number == 2:
            model_type = next((_int(v) for n, v in _fields(_bytes(value)) if n == 3), UNIGRAM)
        elif number == 3:
            for n, v in _fields(_bytes(value)):
                if n == 2:
                    charsmap = _bytes(v)
                elif n == 3:
                    prefix = bool(_int(v))
                elif n == 4:
                    squeeze = bool(_int(v))
    if not pieces:
        raise ValueError("it has no pieces")
    return SentencePieceModel(pieces, model_type, prefix, squeeze, charsmap)


def _piece(raw: bytes) -> Piece:
    text, score, kind = "", 0.0, PieceType.NORMAL
    for number, value in _fields(raw):
        if number == 1:
            text = _bytes(value).decode("utf-8")
        elif number == 2:
            (score,) = struct.unpack("<f", _bytes(value))
        elif number == 3:
            kind = PieceType(_int(value))
    return Piece(text, score, kind)


def _fields(raw: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Numbers and values of a message's fields, numbers of 4 and 8 bytes as bytes."""
    at = 0
    while at < len(raw):
        key, at = _varint(raw, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(raw, at)
            yield key >> 3, value
            continue
        if kind == 2:
            n, at = _varint(raw, at)
        elif kind in (1, 5):
            n = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of the unknown kind {kind}")
        if at + n > len(raw):
            raise ValueError(f"a field of {n} bytes at byte {at} of {len(raw)}")
        yield key >> 3, raw[at : at + n]
        at += n


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(raw):
            raise ValueError("it ends inside a number")
        value |= (raw[at] & 0x7F) << shift
        at += 1
        if not raw[at - 1] & 0x80:
            return value, at
    raise ValueError("a number of more than 64 bits")


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where bytes belong")
    return value


def _int(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise ValueError("bytes where a number belongs")
    return value
