"""Token tables: texts, types, scores and merges of each kind of tokenizer file, as `tokenizer.ggml.*` has them."""

from __future__ import annotations

import base64
import binascii
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from llamakit.convert.checkpoint import read_json
from llamakit.convert.vocabulary.files import TokenizerFiles
from llamakit.convert.vocabulary.lines import LINES, read_lines
from llamakit.convert.vocabulary.sentencepiece_model import Piece, PieceType, SentencePieceModel
from llamakit.convert.vocabulary.special import KEYS
from llamakit.convert.vocabulary.world import WORLD, read_world
from llamakit.core.vocab.letters import BYTES
from llamakit.core.vocab.text import SPACE
from llamakit.core.vocab.tokens import TokenType
from llamakit.errors import VocabError

log = logging.getLogger(__name__)

_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")
_LOOKS_SPECIAL = re.compile(r"<\|.*\|>|<｜.*｜>|<unused.*>", re.DOTALL)
_SPECIAL_TEXTS = ("<pad>", "<mask>", "<2mass>", "[@BOS@]")
_TYPES = {
    PieceType.UNKNOWN: TokenType.UNKNOWN,
    PieceType.CONTROL: TokenType.CONTROL,
    PieceType.UNUSED: TokenType.UNUSED,
    PieceType.BYTE: TokenType.BYTE,
}
END_OF_TURN = 4  # PLaMo's <|plamo:op|>
MOST_TOKENS = 1 << 24  # of a vocabulary; the largest have 2^18
_UNUSED_SCORE, _ADDED_SCORE = -10000.0, -1000.0


@dataclass(slots=True)
class Table:
    """A vocabulary of one kind (`tokenizer.ggml.model`); `extra` are further keys below `tokenizer.ggml.`."""

    kind: str
    texts: list[str]
    types: list[int]
    scores: list[float] | None = None
    merges: list[str] | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def blank(cls, kind: str, n: int) -> Table:
        """Tokens that nothing is known of."""
        return cls(kind, [f"[PAD{i}]" for i in range(n)], [TokenType.UNUSED] * n, [_UNUSED_SCORE] * n)

    def put(self, i: int, text: str, type_: TokenType, score: float) -> None:
        if not 0 <= i < len(self.texts):
            log.warning("token %r has the id %d of %d: left out", text[:40], i, len(self.texts))
            return
        self.texts[i], self.types[i] = text, type_
        if self.scores is not None:
            self.scores[i] = score


def looks_special(text: str) -> bool:
    """Whether a token's text says that it is no text, which some checkpoints forget to mark."""
    return text in _SPECIAL_TEXTS or _LOOKS_SPECIAL.fullmatch(text) is not None


def read_table(files: TokenizerFiles, n_vocab: int | None, has_all_added: bool = False) -> Table:
    """The table of whatever files a folder has; `n_vocab` pads it. Raises VocabError where none is of a known kind."""
    if n_vocab is not None and not 0 < n_vocab <= MOST_TOKENS:
        raise VocabError(f"{files.folder}: a vocabulary of {n_vocab} tokens")
    if (files.folder / WORLD).is_file():
        return _of_world(files.folder / WORLD, n_vocab)
    if (files.folder / LINES).is_file():
        return _of_lines(files, files.folder / LINES, n_vocab)
    if files.sentencepiece is not None and not (files.is_shifted and files.tokenizer):
        table = _of_sentencepiece(files, files.sentencepiece, n_vocab)
        if has_all_added:
            _put_added(table, files)
        return table
    kind = files.model.get("type")
    if kind is None and files.tokenizer:
        kind = "BPE" if "merges" in files.model else "WordPiece" if "max_input_chars_per_word" in files.model else None
    if kind == "BPE":
        is_spelt_in_bytes = not files.model.get("byte_fallback")
        return _of_bpe(files, n_vocab) if is_spelt_in_bytes else _of_fallback_bpe(files, n_vocab)
    if kind == "WordPiece":
        return _of_wordpiece(files, n_vocab)
    if kind == "Unigram":
        return _of_unigram(files, n_vocab)
    if files.tokenizer:
        raise files.error(f"a tokenizer of the kind {kind!r:.40}; known are BPE, WordPiece, Unigram")
    raise VocabError(f"{files.folder}: no tokenizer.model and no tokenizer.json")


def _of_world(path: Path, n_vocab: int | None) -> Table:
    texts, types = read_world(path)
    table = Table.blank("rwkv", n_vocab or len(texts))
    for i, (text, type_) in enumerate(zip(texts, types, strict=True)):
        table.put(i, text, TokenType(type_), 0.0)
    table.scores = None
    return table


def _of_lines(files: TokenizerFiles, path: Path, n_vocab: int | None) -> Table:
    entries = list(read_lines(path))
    texts, types, scores = [], [], []
    for i in range(max(len(entries), n_vocab or 0)):
        padding = (f"[PAD{i - len(entries) + 1}]", _ADDED_SCORE, TokenType.UNUSED)
        text, score, type_ = entries[i] if i < len(entries) else padding
        texts.append(text)
        types.append(int(type_))
        scores.append(score)
    extra: dict[str, Any] = {"add_space_prefix": False, "eot_token_id": END_OF_TURN}
    for role in ("bos", "eos", "unk", "sep", "pad"):
        if files.settings.get(f"{role}_token") in texts:
            extra[KEYS[role]] = texts.index(files.settings[f"{role}_token"])
    return Table("plamo2", texts, types, scores, extra=extra)


def _of_sentencepiece(files: TokenizerFiles, model: SentencePieceModel, n_vocab: int | None) -> Table:
    is_unigram = model.model_type == 1
    pieces = _shifted(model.pieces) if files.is_shifted else model.pieces
    table = Table.blank("t5" if is_unigram else "llama", n_vocab or len(pieces))
    for i, piece in enumerate(pieces[: len(table.texts)]):
        table.put(i, piece.text, _TYPES.get(piece.type, TokenType.NORMAL), piece.score)
    path = files.folder / "added_tokens.json"
    if path.is_file():
        for added, i in read_json(path).items():
            table.put(i, added, TokenType.USER_DEFINED, _ADDED_SCORE)
    for key, entry in (files.settings.get("added_tokens_decoder") or {}).items():
        text = entry.get("content") if isinstance(entry, dict) else None
        if not isinstance(text, str) or not key.isdecimal():
            raise VocabError(f"{files.folder / 'tokenizer_config.json'}: the added token {key!r:.40} has no content")
        is_special = bool(entry.get("special")) or looks_special(text)
        type_ = TokenType.CONTROL if is_special else TokenType.USER_DEFINED
        table.put(int(key), text if is_special else text.replace(SPACE, " "), type_, _ADDED_SCORE)
    if is_unigram:
        table.extra = _unigram_settings(model.add_dummy_prefix, model.remove_extra_whitespaces, model.charsmap)
    if files.is_shifted:
        table.extra |= {KEYS[role]: i for i, role in enumerate(("bos", "pad", "eos", "unk"))}
    return table


def _shifted(pieces: Sequence[Piece]) -> list[Piece]:
    """XLM-RoBERTa's ids: four tokens in front in an order of their own, a mask behind."""
    front = [Piece(text, 0.0, PieceType.CONTROL) for text in ("<s>", "<pad>", "</s>")]
    unknown, mask = Piece("<unk>", 0.0, PieceType.UNKNOWN), Piece("<mask>", 0.0, PieceType.CONTROL)
    return [*front, unknown, *pieces[3:], mask]


def _unigram_settings(has_prefix: bool, is_squeezed: bool, charsmap: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {"add_space_prefix": has_prefix, "remove_extra_whitespaces": is_squeezed}
    return found | ({"precompiled_charsmap": np.frombuffer(charsmap, np.uint8)} if charsmap else {})


def _of_bpe(files: TokenizerFiles, n_vocab: int | None) -> Table:
    table = _with_added("gpt2", files, _ids(files), n_vocab)
    table.merges = read_merges(files)
    table.scores = None
    return table


def _of_wordpiece(files: TokenizerFiles, n_vocab: int | None) -> Table:
    """Words begin with U+2581, parts inside them with nothing."""
    table = _with_added("bert", files, _ids(files), n_vocab)
    prefix = files.model.get("continuing_subword_prefix", "##")
    for i, (text, type_) in enumerate(zip(table.texts, table.types, strict=True)):
        if type_ != TokenType.CONTROL:
            table.texts[i] = text.removeprefix(prefix) if text.startswith(prefix) else SPACE + text
    table.scores = None
    return table


def _of_fallback_bpe(files: TokenizerFiles, n_vocab: int | None) -> Table:
    """SentencePiece's BPE as tokenizer.json has it: what merges first has the highest score."""
    table = _with_added("llama", files, _ids(files), n_vocab)
    ids = {text: i for i, text in enumerate(table.texts)}
    scores = [0.0] * len(table.texts)
    for rank, merge in enumerate(read_merges(files)):
        i = ids.get("".join(merge.split(" ", 1)))
        if i is not None and scores[i] == 0.0:
            scores[i] = -float(rank + 1)
    for i, text in enumerate(table.texts):
        if table.types[i] == TokenType.NORMAL and _BYTE.fullmatch(text):
            table.types[i] = TokenType.BYTE
    unknown = ids.get(files.model.get("unk_token") or "")
    if unknown is not None:
        table.types[unknown] = TokenType.UNKNOWN
    table.scores = scores
    return table


def _of_unigram(files: TokenizerFiles, n_vocab: int | None) -> Table:
    entries = files.model.get("vocab")
    if not isinstance(entries, list) or not all(isinstance(entry, list) and len(entry) == 2 for entry in entries):
        raise files.error("the vocabulary is no list of pairs of text and score")
    table = _with_added("t5", files, {text: i for i, (text, _) in enumerate(entries)}, n_vocab)
    for i, (_, score) in enumerate(entries[: len(table.texts)]):
        if table.scores is not None and isinstance(score, (int, float)):
            table.scores[i] = float(score)
    unknown = files.model.get("unk_id")
    if type(unknown) is int and 0 <= unknown < len(table.types):
        table.types[unknown] = TokenType.UNKNOWN
    steps = files.steps("normalizer", "normalizers")
    charsmap = next((step["precompiled_charsmap"] for step in steps if step.get("precompiled_charsmap")), "")
    try:
        raw = base64.b64decode(charsmap, validate=True)
    except (binascii.Error, TypeError) as error:
        raise files.error(f"precompiled_charsmap is not in base 64: {error}") from None
    splits = files.steps("pre_tokenizer", "pretokenizers")
    metaspace = next((step for step in splits if step.get("type") == "Metaspace"), {})
    has_prefix = (
        metaspace.get("prepend_scheme", "always" if metaspace.get("add_prefix_space", True) else "never") != "never"
    )
    table.extra = _unigram_settings(has_prefix, True, raw)
    return table


def _ids(files: TokenizerFiles) -> dict[str, int]:
    vocab = files.model.get("vocab")
    if not isinstance(vocab, dict) or not all(type(i) is int for i in vocab.values()):
        raise files.error("the vocabulary is no object of texts and ids")
    return vocab


def _with_added(kind: str, files: TokenizerFiles, ids: dict[str, int], n_vocab: int | None) -> Table:
    """A table of the vocabulary, with the added tokens put over it."""
    most = max([*ids.values(), *(added.id for added in files.added)], default=-1)
    if n_vocab is None and most >= MOST_TOKENS:
        raise files.error(f"a token has the id {most}")
    table = Table.blank(kind, n_vocab or most + 1)
    for text, i in ids.items():
        table.put(i, text, TokenType.NORMAL, _ADDED_SCORE)
    _put_added(table, files)
    return table


def _put_added(table: Table, files: TokenizerFiles) -> None:
    for added in files.added:
        text = added.text if added.is_normalized or table.kind != "gpt2" else _unspelt(added.text)
        if added.is_special or looks_special(text):
            table.put(added.id, text, TokenType.CONTROL, _ADDED_SCORE)
        else:
            table.put(added.id, text.replace(SPACE, " "), TokenType.USER_DEFINED, _ADDED_SCORE)


def _unspelt(text: str) -> str:
    """The text of a token that may be spelt in letters for bytes."""
    if any(letter not in BYTES for letter in text):
        return text
    return bytes(BYTES[letter] for letter in text).decode("utf-8", "replace")


def read_merges(files: TokenizerFiles) -> list[str]:
    """Merges as "left right", from tokenizer.json or merges.txt; a space inside a part is spelt U+0120."""
    merges = files.model.get("merges") or []
    if not isinstance(merges, list):
        raise files.error("merges is no list")
    if not merges and (files.folder / "merges.txt").is_file():
        lines = (files.folder / "merges.txt").read_text(encoding="utf-8").splitlines()
        merges = [line for line in lines if line.strip() and not line.startswith("#version")]
    found = []
    for merge in merges:
        if isinstance(merge, list) and len(merge) == 2 and all(isinstance(part, str) for part in merge):
            merge = " ".join(part.replace(" ", "Ġ") for part in merge)
        if not isinstance(merge, str) or " " not in merge:
            raise files.error(f"the merge {merge!r:.60} is not of two parts")
        found.append(merge)
    return found
