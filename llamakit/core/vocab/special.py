"""Special tokens: the ids a file names, the ones found by their text, and the partition of a text at special tokens."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llamakit.core.vocab.text import as_bytes
from llamakit.core.vocab.tokens import TokenTable, TokenType, ids_of_types
from llamakit.errors import VocabError

log = logging.getLogger(__name__)

_FIM_KEYS = {role: f"fim_{role}_token_id" for role in ("pre", "suf", "mid", "pad", "rep", "sep")}
# Role -> keys below tokenizer.ggml., the first one present counts. "seperator" is how GGUF spells it.
_KEYS: dict[str, tuple[str, ...]] = {
    "bos": ("bos_token_id",),
    "eos": ("eos_token_id",),
    "eot": ("eot_token_id",),
    "eom": ("eom_token_id",),
    "unk": ("unknown_token_id",),
    "sep": ("seperator_token_id",),
    "pad": ("padding_token_id",),
    "mask": ("mask_token_id",),
    "fim_pre": (_FIM_KEYS["pre"], "prefix_token_id"),
    "fim_suf": (_FIM_KEYS["suf"], "suffix_token_id"),
    "fim_mid": (_FIM_KEYS["mid"], "middle_token_id"),
    "fim_pad": (_FIM_KEYS["pad"],),
    "fim_rep": (_FIM_KEYS["rep"],),
    "fim_sep": (_FIM_KEYS["sep"],),
}

# Role -> texts to look for, in this order, when no key names the id.
_TEXTS: dict[str, tuple[str, ...]] = {
    "eot": (
        *("<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>"),
        *("<EOT>", "_<EOT>", "[EOT]", "<｜end▁of▁sentence｜>", "<end_of_utterance>"),
    ),
    "eom": ("<|eom_id|>",),
    "fim_pre": (
        *("<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>"),
        *("<PRE>", "▁<PRE>", "<|code_prefix|>", "<|prefix|>"),
    ),
    "fim_suf": (
        *("<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>"),
        *("<SUF>", "▁<SUF>", "<|code_suffix|>", "<|suffix|>"),
    ),
    "fim_mid": (
        *("<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>"),
        *("<MID>", "▁<MID>", "<|code_middle|>", "<|middle|>"),
    ),
    "fim_pad": ("<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"),
    "fim_rep": ("<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"),
    "fim_sep": ("<|file_sep|>",),
}


@dataclass(frozen=True, slots=True)
class SpecialIds:
    """Token ids by role; None where the vocabulary has no such token."""

    bos: int | None = None
    eos: int | None = None
    eot: int | None = None
    eom: int | None = None
    unk: int | None = None
    sep: int | None = None
    pad: int | None = None
    mask: int | None = None
    fim_pre: int | None = None
    fim_suf: int | None = None
    fim_mid: int | None = None
    fim_pad: int | None = None
    fim_rep: int | None = None
    fim_sep: int | None = None


def find_special(
    metadata: Mapping[str, Any], tokens: TokenTable, defaults: Mapping[str, int]
) -> tuple[SpecialIds, dict[int, TokenType]]:
    """The special ids, and the tokens found by text that the file does not mark as control.

    A key decides; then a known text; then the default of the tokenizer kind, if it is in the vocabulary.
    Raises VocabError for a key whose id is not a token.
    """
    found: dict[str, int] = {}
    overrides: dict[int, TokenType] = {}
    n_vocab = len(tokens.texts)
    for role, keys in _KEYS.items():
        key = next((k for k in (f"tokenizer.ggml.{name}" for name in keys) if k in metadata), None)
        if key is not None:
            found[role] = _checked_id(key, metadata[key], n_vocab)
            continue
        by_text = next((tokens.ids[text] for text in _TEXTS.get(role, ()) if text in tokens.ids), None)
        if by_text is not None:
            found[role] = by_text
            if tokens.types[by_text] not in (TokenType.CONTROL, TokenType.UNUSED):
                overrides[by_text] = TokenType.CONTROL
        elif role in defaults and defaults[role] < n_vocab:
            found[role] = defaults[role]
    return SpecialIds(**found), overrides


def _checked_id(key: str, value: object, n_vocab: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise VocabError(f"{key} must be an integer, not {type(value).__name__}")
    if not 0 <= value < n_vocab:
        raise VocabError(f"{key} is {value}, but the vocabulary has the ids 0..{n_vocab - 1}")
    return value


_BLANKS = r"[ \t\n\v\f\r]*"  # C's isspace
_MARK_BASE, _MARK_SIZE = 0xD800, 0x400  # high surrogates occur in no text that `as_text` lets through
_MARKS = re.compile("([\ud800-\udbff]{2})")


class Partition:
    """Cuts a text at special tokens, longest token first.

    Control and unknown tokens count only when asked for; user-defined tokens always do. `lstrip` and `rstrip` are
    ids that swallow the white space before or after them.
    """

    def __init__(
        self,
        texts: list[str],
        types: bytearray,
        lstrip: frozenset[int] = frozenset(),
        rstrip: frozenset[int] = frozenset(),
    ) -> None:
        ids = ids_of_types(types, TokenType.UNKNOWN, TokenType.CONTROL, TokenType.USER_DEFINED)
        ids.sort(key=lambda i: -len(as_bytes(texts[i])))
        self._all = [(i, texts[i], texts[i][:4]) for i in ids]
        self._user_defined = [entry for entry in self._all if types[entry[0]] == TokenType.USER_DEFINED]
        self._starts = {start for _, _, start in self._all}
        self._lstrip, self._rstrip = lstrip, rstrip

    def split(self, text: str, *, parse_special: bool) -> list[str | int]:
        """The text as fragments to tokenize (str, never empty) and special tokens (int).

        Each token in turn is replaced by a mark of two high surrogates, its id in base 1024, which no later token
        can match: one pass over the text per token, whatever the number of hits.
        """
        original = text
        starts = {start for start in self._starts if start in text}  # rules out thousands of tokens at once
        for i, token, start in self._all if parse_special else self._user_defined:
            if start not in starts or token not in text:
                continue
            mark = chr(_MARK_BASE + i // _MARK_SIZE) + chr(_MARK_BASE + i % _MARK_SIZE)
            if i in self._lstrip or i in self._rstrip:
                before = _BLANKS if i in self._lstrip else ""
                after = _BLANKS if i in self._rstrip else ""
                text = re.sub(before + re.escape(token) + after, mark, text)
            else:
                text = text.replace(token, mark)
        if text is original:
            return [text] if text else []
        parts: list[str | int] = []
        for k, part in enumerate(_MARKS.split(text)):
            if k % 2:
                parts.append((ord(part[0]) - _MARK_BASE) * _MARK_SIZE + ord(part[1]) - _MARK_BASE)
            elif part:
                parts.append(part)
        return parts


def strip_rules(metadata: Mapping[str, Any], tokens: TokenTable) -> tuple[frozenset[int], frozenset[int]]:
    """Ids that swallow white space to their left, and to their right: GGUF stores neither, models are told by name."""
    pre = str(metadata.get("tokenizer.ggml.pre", ""))
    arch = str(metadata.get("general.architecture", ""))
    name = str(metadata.get("general.name", "")).lower()
    left: set[str] = set()
    if any(known in pre for known in ("jina-v2-de", "jina-v2-es", "jina-v2-code")):
        left.add("<mask>")
    if any(known in arch for known in ("nomic-bert-moe", "jina-bert-v3")):
        left.add("<mask>")
    if "modern-bert" in name:
        left.add("[MASK]")
    right: set[int] = set()
    if "phi-3" in name or "phi3" in name:
        right = set(ids_of_types(tokens.types, TokenType.UNKNOWN, TokenType.CONTROL, TokenType.USER_DEFINED))
        right |= {tokens.ids[text] for text in ("</s>",) if text in tokens.ids}
        right -= {tokens.ids[text] for text in ("<unk>", "<s>", "<|endoftext|>") if text in tokens.ids}
    return frozenset(tokens.ids[text] for text in left if text in tokens.ids), frozenset(right)
