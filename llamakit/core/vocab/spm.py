"""SentencePiece BPE (`tokenizer.ggml.model` = llama): merge characters into tokens by score, spell the rest in bytes.

Two engines with the same result: our own loop starts at once and serves a prompt; the sentencepiece library takes over
where its start (40 to 300 ms) pays.
"""

from __future__ import annotations

import re
import struct
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING

from llamakit.core.vocab.merging import LIBRARY_AFTER, merge_symbols
from llamakit.core.vocab.text import BAD_BYTE, SPACE, as_bytes, as_text, is_utf8
from llamakit.core.vocab.tokens import TokenTable

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

# A character by its leading byte, whatever follows, clamped to the end of the text: how llama.cpp cuts bad UTF-8.
_CHARACTER = re.compile(rb"[\x00-\xbf]|[\xc0-\xdf].?|[\xe0-\xef].{0,2}|[\xf0-\xff].{0,3}", re.DOTALL)


class SPM:
    """Token ids of text fragments, and the bytes of normal tokens."""

    def __init__(self, tokens: TokenTable, *, add_space_prefix: bool, unk: int | None) -> None:
        self._tokens, self._ids = tokens, tokens.ids
        self._add_space_prefix, self._unk = add_space_prefix, unk
        self._n_seen = 0  # characters encoded so far

    def encode(self, text: str) -> list[int]:
        """Ids of a text without special tokens. Bytes that are not UTF-8 become byte tokens."""
        if self._add_space_prefix:
            text = " " + text
        text = text.replace(" ", SPACE)
        if not BAD_BYTE.search(text):
            return self._encode_valid(text)
        ids: list[int] = []
        for valid, characters in groupby(_CHARACTER.findall(as_bytes(text)), lambda raw: is_utf8(as_text(raw))):
            run = b"".join(characters)
            ids += self._encode_valid(run.decode()) if valid else self._spell(run)
        return ids

    def decode(self, text: str) -> bytes:
        """The bytes of a normal token's text."""
        return as_bytes(text.replace(SPACE, " "))

    def _encode_valid(self, text: str) -> list[int]:
        self._n_seen += len(text)
        if self._n_seen > LIBRARY_AFTER and not ("\0" in text and self._has_nul_token):
            return self._encode_long(text)
        ids: list[int] = []
        for symbol in merge_symbols(list(text), self._rank):
            if symbol in self._ids:
                ids.append(self._ids[symbol])
            else:
                ids += self._spell(symbol.encode())
        return ids

    def _rank(self, left: str, right: str) -> float | None:
        token = self._ids.get(left + right)
        return None if token is None else -self._tokens.scores[token]

    def _spell(self, raw: bytes) -> list[int]:
        return [token for token in map(self._byte_tokens.__getitem__, raw) if token is not None]

    @cached_property
    def _byte_tokens(self) -> list[int | None]:
        """Token of each byte: <0xHH>, else the token whose text is that byte, else the unknown token."""
        ids = self._ids
        return [ids.get(f"<0x{byte:02X}>", ids.get(chr(byte) if byte < 128 else "", self._unk)) for byte in range(256)]

    @cached_property
    def _has_nul_token(self) -> bool:
        return any("\0" in text for text in self._tokens.texts)  # the library allows no such token

    def _encode_long(self, text: str) -> list[int]:
        ids: list[int] = self._library.encode(text)
        n_vocab = len(self._tokens.texts)
        if max(ids, default=0) < n_vocab:
            return ids
        # Byte tokens that the vocabulary lacks: see _model_proto.
        return [token for i in ids for token in ([i] if i < n_vocab else self._spell(bytes([i - n_vocab])))]

    @cached_property
    def _library(self) -> SentencePieceProcessor:
        """The library's engine over the same texts and scores."""
        from sentencepiece import SentencePieceProcessor

        processor = SentencePieceProcessor()
        processor.LoadFromSerializedProto(_model_proto(self._tokens))
        return processor


# sentencepiece_model.proto: field numbers and enum values.
_NORMAL, _UNKNOWN, _BYTE = 1, 2, 6
_UNREACHABLE = "\ue000"  # starts texts that no merge leads to


def _model_proto(tokens: TokenTable) -> bytes:
    """A serialized sentencepiece ModelProto of the token table: no normalizer, spaces as they are, byte fallback on.

    All tokens may be merged, as in llama.cpp, so all but the bytes are "normal". The library wants distinct texts in
    UTF-8 without NUL (others become unreachable), 256 byte tokens (byte b, where absent, is n_vocab + b) and an unknown
    token (unreachable).
    """
    byte_texts = dict.fromkeys(f"<0x{byte:02X}>" for byte in range(256))
    parts = []
    for i, (text, score) in enumerate(zip(tokens.texts, tokens.scores, strict=True)):
        if tokens.ids[text] != i or "\0" in text or not (tokens.is_utf8 or is_utf8(text)):
            text = f"{_UNREACHABLE}{i}"
        parts.append(_piece(text, score, _BYTE if text in byte_texts else _NORMAL))
    for text in byte_texts:
        absent = text not in tokens.ids
        parts.append(_piece(text, 0.0, _BYTE) if absent else _piece(_UNREACHABLE + text, 0.0, _NORMAL))
    parts.append(_piece(f"{_UNREACHABLE}unknown", 0.0, _UNKNOWN))
    trainer = b"\x18\x02" + b"\x98\x02\x01"  # model_type (3) = BPE, byte_fallback (35) = true
    # name (1), add_dummy_prefix (3), remove_extra_whitespaces (4) and escape_whitespaces (5) = false
    normalizer = b"\x0a\x08identity" + b"\x18\x00" + b"\x20\x00" + b"\x28\x00"
    return b"".join(parts) + _message(2, trainer) + _message(3, normalizer)


def _piece(text: str, score: float, kind: int) -> bytes:
    return _message(1, _message(1, text.encode()) + struct.pack("<Bf2B", 0x15, score, 0x18, kind))


def _message(field: int, body: bytes) -> bytes:
    """A length-delimited protobuf field."""
    length = len(body)
    varint = bytearray()
    while length > 127:
        varint.append(length & 127 | 128)
        length >>= 7
    varint.append(length)
    return bytes([field << 3 | 2]) + varint + body
