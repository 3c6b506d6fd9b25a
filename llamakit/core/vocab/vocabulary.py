"""A vocabulary: text to token ids and back, whatever its kind."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Protocol

from llamakit.core.vocab.special import Partition, SpecialIds
from llamakit.core.vocab.text import as_bytes, as_text
from llamakit.core.vocab.tokens import TokenTable, TokenType
from llamakit.errors import VocabError

log = logging.getLogger(__name__)


class Engine(Protocol):
    """What a kind of tokenizer does, special tokens aside."""

    def encode(self, text: str) -> list[int]: ...  # a fragment without special tokens
    def decode(self, text: str) -> bytes: ...  # the bytes of a normal token's text


class Around(Enum):
    """What encoding with add_special puts around a text."""

    FLAGS = "BOS and EOS, as the flags say"
    ALWAYS = "BOS and SEP, whatever the flags say"
    NOTHING = "nothing, whatever the flags say"


@dataclass(frozen=True, slots=True)
class Frame:
    """What is put around an encoded text, and cleaned from a decoded one."""

    add_bos: bool
    add_eos: bool
    add_sep: bool
    add_space_prefix: bool
    clean_spaces: bool
    around: Around = Around.FLAGS


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
        suppressed_ids: frozenset[int] = frozenset(),
    ) -> None:
        self.kind, self.special, self.frame = kind, special, frame
        self.texts, self.types, self.scores = tokens.texts, tokens.types, tokens.scores
        self.n_tokens = len(tokens.texts)
        self.ids = tokens.ids
        self.bos_id, self.eos_id, self.eot_id, self.eom_id = special.bos, special.eos, special.eot, special.eom
        self.unk_id, self.sep_id, self.pad_id, self.mask_id = special.unk, special.sep, special.pad, special.mask
        self.add_bos = frame.add_bos and special.bos is not None
        self.add_eos = frame.add_eos and special.eos is not None
        self.add_sep = frame.add_sep and special.sep is not None
        self.eog_ids = eog_ids
        self.suppressed_ids = suppressed_ids  # never to be sampled
        self._before, self._after = self._around(frame.around)
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

        add_special puts BOS, EOS or SEP around it as the model wants; parse_special reads texts of control tokens as
        these tokens, otherwise they are plain text. Bytes that are not UTF-8 are kept (llama, rwkv), vanish (bert), or
        become U+FFFD. Raises VocabError where there is no vocabulary.
        """
        ids = self._before.copy() if add_special else []
        for part in self._partition.split(as_text(text), parse_special=parse_special):
            if isinstance(part, int):
                ids.append(part)
            else:
                ids += self._engine.encode(part)
        if not add_special:
            return ids
        if self._before and ids[1:2] == self._before:
            log.warning("the text begins with a BOS of its own: with the one added before it, there are two")
        return ids + self._after

    @cached_property
    def newline_id(self) -> int | None:
        """The token of a newline; the padding token where the vocabulary has none."""
        if self.kind == "llama" and "<0x0A>" in self.ids:
            return self.ids["<0x0A>"]
        ids = [] if self.kind in ("bert", "none") else self.encode("\n", add_special=False)
        return ids[0] if ids else self.pad_id

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

    def detokenize(
        self,
        ids: Iterable[int],
        *,
        special: bool = False,
        remove_special: bool = False,
        clean_up_spaces: bool | None = None,
    ) -> bytes:
        """The bytes of a token sequence: pieces joined, the space that encoding put in front removed.

        special shows control and unknown tokens (unparse_special of llama.cpp). remove_special leaves out a BOS at the
        start and an EOS at the end that encoding added. clean_up_spaces drops the spaces that older English tokenizers
        put before punctuation; None: as the vocabulary says.
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
        clean_up = self.frame.clean_spaces if clean_up_spaces is None else clean_up_spaces
        return _clean_spaces(text) if clean_up else text

    def _around(self, around: Around) -> tuple[list[int], list[int]]:
        if around is Around.NOTHING:
            return [], []
        if around is Around.ALWAYS:
            before, after = self.bos_id, self.sep_id
        else:
            before, after = self.bos_id if self.add_bos else None, self.eos_id if self.add_eos else None
        return [before] if before is not None else [], [after] if after is not None else []

    def _checked(self, token: int) -> int:
        if not 0 <= token < self.n_tokens:
            raise VocabError(f"token {token} is not in the vocabulary of {self.n_tokens} tokens")
        return token


def _clean_spaces(text: bytes) -> bytes:
    """Undo the spaces that older English tokenizers put before punctuation, quotes and contractions."""
    text = re.sub(rb" ([?!.,])", rb"\1", text)
    text = text.replace(b" ' ", b"'")
    return re.sub(rb" ('(?:s|m|re|ve))", rb"\1", text)
