"""A vocabulary: text to token ids and back."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from llamakit.core.vocab.bpe import BPE
from llamakit.core.vocab.eog import end_of_generation
from llamakit.core.vocab.pretokenizers import split_rule
from llamakit.core.vocab.special import Partition, SpecialIds, find_special, strip_rules
from llamakit.core.vocab.spm import SPM
from llamakit.core.vocab.text import as_bytes, as_text
from llamakit.core.vocab.tokens import TokenTable, TokenType, ids_of_types, read_merges, read_tokens
from llamakit.errors import VocabError

log = logging.getLogger(__name__)

KINDS = ("gpt2", "llama")
_BYTE_TEXT = re.compile("<0x[0-9A-Fa-f]{2}>")


class Engine(Protocol):
    """What a kind of tokenizer does, special tokens aside."""

    def encode(self, text: str) -> list[int]: ...  # a fragment without special tokens
    def decode(self, text: str) -> bytes: ...  # the bytes of a normal token's text


@dataclass(frozen=True, slots=True)
class Frame:
    """What is put around an encoded text, and cleaned from a decoded one."""

    add_bos: bool
    add_eos: bool
    add_space_prefix: bool
    clean_spaces: bool


class Vocab:
    """Tokens of a model. Ids are 0..n_tokens-1; special ids are None where the vocabulary has no such token."""

    def __init__(
        self,
        kind: str,
        tokens: TokenTable,
        special: SpecialIds,
        frame: Frame,
        engine: Engine,
        partition: Partition,
        *,
        eog_ids: frozenset[int],
        shown_ids: frozenset[int],
    ) -> None:
        self.kind, self.special, self.frame = kind, special, frame
        self.texts, self.types, self.scores = tokens.texts, tokens.types, tokens.scores
        self.n_tokens = len(tokens.texts)
        self.ids = tokens.ids
        self.bos_id, self.eos_id, self.eot_id, self.eom_id = special.bos, special.eos, special.eot, special.eom
        self.unk_id, self.sep_id, self.pad_id, self.mask_id = special.unk, special.sep, special.pad, special.mask
        self.add_bos = frame.add_bos and special.bos is not None
        self.add_eos = frame.add_eos and special.eos is not None
        self.eog_ids = eog_ids
        self._shown_ids = shown_ids
        self._engine, self._partition = engine, partition

    def is_eog(self, token: int) -> bool:
        """Whether a generation ends at this token."""
        return token in self.eog_ids

    def is_control(self, token: int) -> bool:
        """Whether the token is control (markers of turns and the like), which `piece` hides."""
        return self.types[self._checked(token)] == TokenType.CONTROL

    def encode(self, text: str | bytes, *, add_special: bool = True, parse_special: bool = False) -> list[int]:
        """Token ids of a text.

        add_special puts BOS and EOS around it as the model wants; parse_special reads texts of control tokens as these
        tokens, otherwise they are plain text. Bytes that are not UTF-8 are kept (llama) or become U+FFFD (gpt2).
        """
        ids: list[int] = []
        if add_special and self.add_bos and self.bos_id is not None:
            ids.append(self.bos_id)
        for part in self._partition.split(as_text(text), parse_special=parse_special):
            if isinstance(part, int):
                ids.append(part)
            else:
                ids += self._engine.encode(part)
        if add_special and self.add_eos and self.eos_id is not None:
            ids.append(self.eos_id)
        return ids

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes of one token, possibly a part of a character.

        Control and unknown tokens are empty unless `special`. Raises VocabError for an id that is no token.
        """
        kind, text = self.types[self._checked(token)], self.texts[token]
        if kind == TokenType.NORMAL:
            return self._engine.decode(text)
        if kind == TokenType.BYTE:
            return bytes([int(text[3:5], 16)])
        if kind == TokenType.USER_DEFINED:
            return as_bytes(text)
        if kind in (TokenType.CONTROL, TokenType.UNKNOWN):
            return as_bytes(text) if special or token in self._shown_ids else b""
        return b""

    def detokenize(self, ids: Iterable[int], *, special: bool = False, remove_special: bool = False) -> bytes:
        """The bytes of a token sequence: pieces joined, the space that encoding put in front removed.

        remove_special leaves out a BOS at the start and an EOS at the end that encoding added.
        """
        ids = list(ids)
        strip_space = self.frame.add_space_prefix
        if remove_special and self.add_bos and ids[:1] == [self.bos_id]:
            ids, strip_space = ids[1:], False
        if remove_special and self.add_eos and ids[-1:] == [self.eos_id]:
            ids = ids[:-1]
        pieces = {token: self.piece(token, special=special) for token in set(ids)}
        text = b"".join(map(pieces.__getitem__, ids))
        if strip_space and ids and pieces[ids[0]].startswith(b" "):
            text = text[1:]
        return _clean_spaces(text) if self.frame.clean_spaces else text

    def _checked(self, token: int) -> int:
        if not 0 <= token < self.n_tokens:
            raise VocabError(f"token {token} is not in the vocabulary of {self.n_tokens} tokens")
        return token


def _clean_spaces(text: bytes) -> bytes:
    """Undo the spaces that older English tokenizers put before punctuation, quotes and contractions."""
    text = re.sub(rb" ([?!.,])", rb"\1", text)
    text = text.replace(b" ' ", b"'")
    return re.sub(rb" ('(?:s|m|re|ve))", rb"\1", text)


def load_vocab(metadata: Mapping[str, Any]) -> Vocab:
    """The vocabulary of a GGUF file's metadata (keys to native Python values).

    Raises VocabError for a kind of tokenizer that is not supported, and for tables that do not fit together.
    """
    kind = metadata.get("tokenizer.ggml.model", "none")
    if kind not in KINDS:
        raise VocabError(f"tokenizer kind {str(kind)[:80]!r} is not supported; supported are {', '.join(KINDS)}")
    tokens = read_tokens(metadata)
    if kind == "gpt2":
        return _load_bpe(metadata, tokens)
    return _load_spm(metadata, tokens)


def _load_bpe(metadata: Mapping[str, Any], tokens: TokenTable) -> Vocab:
    name = metadata.get("tokenizer.ggml.pre")
    if name is None:
        log.warning(
            "the file names no pre-tokenizer: the default rules may cut text in ways the model was not trained on"
        )
        name = "default"
    rule = split_rule(str(name))
    defaults = {"bos": 11, "eos": 11} if rule.has_bos else {"eos": 11}
    special, overrides = find_special(metadata, tokens, defaults)
    frame = Frame(
        add_bos=_flag(metadata, "add_bos_token", rule.add_bos),
        add_eos=_flag(metadata, "add_eos_token", False),
        add_space_prefix=False,
        clean_spaces=rule.clean_spaces,
    )
    engine = BPE(tokens, read_merges(metadata), rule)
    return _assemble("gpt2", metadata, tokens, special, overrides, frame, engine)


def _load_spm(metadata: Mapping[str, Any], tokens: TokenTable) -> Vocab:
    special, overrides = find_special(metadata, tokens, {"bos": 1, "eos": 2, "unk": 0})
    frame = Frame(
        add_bos=_flag(metadata, "add_bos_token", True),
        add_eos=_flag(metadata, "add_eos_token", False),
        add_space_prefix=_flag(metadata, "add_space_prefix", True),
        clean_spaces=False,
    )
    engine = SPM(tokens, add_space_prefix=frame.add_space_prefix, unk=special.unk)
    return _assemble("llama", metadata, tokens, special, overrides, frame, engine)


def _assemble(
    kind: str,
    metadata: Mapping[str, Any],
    tokens: TokenTable,
    special: SpecialIds,
    overrides: dict[int, TokenType],
    frame: Frame,
    engine: Engine,
) -> Vocab:
    eog_ids, shown_ids, eog_overrides = end_of_generation(tokens, special)
    for token, token_type in (_bad_bytes(tokens) | overrides | eog_overrides).items():
        tokens.types[token] = token_type
    partition = Partition(tokens.texts, tokens.types, *strip_rules(metadata, tokens))
    return Vocab(kind, tokens, special, frame, engine, partition, eog_ids=eog_ids, shown_ids=shown_ids)


def _bad_bytes(tokens: TokenTable) -> dict[int, TokenType]:
    """Byte tokens whose text is no byte, to be read as normal ones."""
    byte_tokens = ids_of_types(tokens.types, TokenType.BYTE)
    bad = {token: TokenType.NORMAL for token in byte_tokens if not _BYTE_TEXT.fullmatch(tokens.texts[token])}
    for token in bad:
        log.warning("token %d is marked as a byte, but its text is %r", token, tokens.texts[token][:40])
    return bad


def _flag(metadata: Mapping[str, Any], name: str, default: bool) -> bool:
    value = metadata.get(f"tokenizer.ggml.{name}", default)
    if not isinstance(value, bool):
        raise VocabError(f"tokenizer.ggml.{name} must be a boolean, not {type(value).__name__}")
    return value
