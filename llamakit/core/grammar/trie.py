"""A vocabulary as the grammars see it: the bytes of its tokens as a trie."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import compress
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from llamakit.core.grammar.errors import GrammarError
from llamakit.core.kernels import grammar_mask
from llamakit.core.kernels.store import Kernels, KernelStore
from llamakit.core.simd.records import Record

LONGEST = 512  # bytes; longer tokens are never allowed by a grammar
KERNELS = (
    "grammar.start",
    "grammar.push_frame",
    "grammar.read_text",
    "grammar.forced",
    "grammar_tables.rehash",
    "grammar_mask.build_trie",
    "grammar_mask.find_free",
    "grammar_mask.fill",
)
FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


@cache
def load_kernels() -> Kernels:
    """All that grammars run, once a process."""
    return KernelStore().load([*KERNELS])


@cache
def function(name: str) -> Callable[[int, int, int], None]:
    return FUNCTION(load_kernels()[name])


def run(name: str, record: Record) -> None:
    function(name)(record.data.ctypes.data, 0, 1)


class Vocabulary(Protocol):
    """What is asked of a vocabulary."""

    n_tokens: int
    eog_ids: frozenset[int]

    def piece(self, token: int, *, special: bool = False) -> bytes: ...
    def encode(self, text: str | bytes, *, add_special: bool = True, parse_special: bool = False) -> list[int]: ...


class TokenTrie:
    """The tokens that text is made of, and those that end it. Of tokens with equal bytes all are allowed or none.

    Control tokens have no bytes: only a grammar that names them, or spells out all their text, allows them.
    """

    def __init__(self, pieces: Sequence[bytes], endings: Iterable[int], control: Mapping[int, bytes] = {}) -> None:
        self.pieces = pieces
        self.control = control  # texts of control tokens
        self.endings = np.array(sorted(endings), np.int32)
        self.n_tokens = len(pieces)
        self.n_words = -(-self.n_tokens // 32)
        self.ends = ends = frozenset(self.endings.tolist())
        order = sorted((p, t) for t, p in enumerate(pieces) if 0 < len(p) <= LONGEST and t not in ends)
        texts: list[bytes] = []
        ids: list[int] = []
        twins = []
        for piece, token in order:
            if texts and texts[-1] == piece:
                twins.append((ids[-1], token))
            else:
                texts.append(piece)
                ids.append(token)
        self.twins = np.array(twins, np.int32).reshape(-1, 2)
        packed = Packed.of(texts)
        self.record = build(packed, ids)
        is_free = find_free(packed)
        self.free = np.zeros(self.n_words, np.uint32)
        for token in compress(ids, is_free):
            self.free[token // 32] |= np.uint32(1 << token % 32)
        others = [not free for free in is_free]
        self.others = build(Packed.of([*compress(texts, others)]), [*compress(ids, others)])
        self.ordinary = np.full(self.n_words, 0xFFFFFFFF, np.uint32)
        self.ordinary[-1:] = (1 << (self.n_tokens - 1) % 32 + 1) - 1
        self.everything = self.ordinary.copy()
        for token in ends:
            self.ordinary[token // 32] &= ~np.uint32(1 << token % 32)

    def fields(self, words: npt.NDArray[np.uint32]) -> dict[str, Any]:
        """Fields of a kernel's `Mask` record."""
        return {
            "trie": self.record,
            "words": words.view(np.int32),
            "n_words": self.n_words,
            "ordinary": self.ordinary.view(np.int32),
            "endings": self.endings,
            "n_endings": len(self.endings),
            "twins": self.twins.reshape(-1),
            "n_twins": len(self.twins),
            "path": np.empty(LONGEST + 1, np.int32),
            "free": self.free.view(np.int32),
            "others": self.others,
            "phases": PHASES.reshape(-1),
            "places": np.empty(grammar_mask.MOST_PLACES, np.int64),
            "place_table": np.empty(grammar_mask.PLACE_TABLE, np.int64),
        }


def make_phases() -> npt.NDArray[np.uint8]:
    """Free text byte for byte: phase 0 is between characters, others are within one of UTF-8."""
    phases = np.full((8, 256), grammar_mask.NO_PHASE, np.uint8)
    phases[0, 0x20:0x7F] = 0
    phases[0, [0x22, 0x5C]] = grammar_mask.NO_PHASE
    for first, last, phase in (
        (0xC2, 0xDF, 1), (0xE0, 0xE0, 2), (0xE1, 0xEF, 3), (0xED, 0xED, 4), (0xF0, 0xF0, 5), (0xF1, 0xF3, 6),
        (0xF4, 0xF4, 7),
    ):  # fmt: skip
        phases[0, first : last + 1] = phase
    following = ((0x80, 0xBF, 0), (0xA0, 0xBF, 1), (0x80, 0xBF, 1), (0x80, 0x9F, 1), (0x90, 0xBF, 3), (0x80, 0xBF, 3),
                 (0x80, 0x8F, 3))  # fmt: skip
    for phase, (first, last, to) in enumerate(following, 1):
        phases[phase, first : last + 1] = to
    return phases


PHASES = make_phases()


def find_free(text: Packed) -> list[bool]:
    """Which of the texts are free text, and short."""
    found = np.zeros(text.n, np.uint8)
    op = grammar_mask.FindFree(text=text.data, offsets=text.offsets, n=text.n, phases=PHASES.reshape(-1), found=found)
    run("grammar_mask.find_free", op)
    return found.astype(bool).tolist()


@dataclass(frozen=True)
class Packed:
    """Texts one after the other."""

    n: int
    data: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]  # (n + 1,)

    @classmethod
    def of(cls, texts: Sequence[bytes]) -> Packed:
        offsets = np.zeros(len(texts) + 1, np.int64)
        np.cumsum([len(t) for t in texts], out=offsets[1:])
        return cls(len(texts), np.frombuffer(b"".join(texts) + b"\0", np.uint8), offsets)


def build(texts: Packed, ids: Sequence[int]) -> grammar_mask.Trie:
    """The trie of texts, which are sorted and all different."""
    n_bytes = int(texts.offsets[-1])
    nodes = {name: np.empty(n_bytes + 1, np.int32) for name in ("depths", "ends", "tokens")}
    op = grammar_mask.BuildTrie(
        text=texts.data,
        offsets=texts.offsets,
        ids=np.array([*ids, 0], np.int32),
        n=texts.n,
        bytes=np.empty(n_bytes + 1, np.uint8),
        path=np.empty(LONGEST + 1, np.int32),
        n_nodes=0,
        **nodes,
    )
    run("grammar_mask.build_trie", op)
    n_nodes = int(op.data["n_nodes"])
    kept = {name: op.values[name][:n_nodes].copy() for name in ("bytes", *nodes)}
    return grammar_mask.Trie(n_nodes=n_nodes, **kept)


_tries: WeakKeyDictionary[Vocabulary, TokenTrie] = WeakKeyDictionary()


def trie_of(vocab: Vocabulary) -> TokenTrie:
    """The trie of a vocabulary, made once as long as the vocabulary lives."""
    if vocab not in _tries:
        pieces = [vocab.piece(t) for t in range(vocab.n_tokens)]
        silent = [t for t, piece in enumerate(pieces) if not piece and t not in vocab.eog_ids]
        control = {t: text for t in silent if (text := vocab.piece(t, special=True))}
        _tries[vocab] = TokenTrie(pieces, vocab.eog_ids, control)
    return _tries[vocab]


def token_id(vocab: Vocabulary, text: str) -> int:
    """The one token that a text is. Raises GrammarError when it is none, or several."""
    ids = vocab.encode(text, add_special=False, parse_special=True)
    if len(ids) != 1:
        raise GrammarError(
            f"{text} is {len(ids)} tokens of this model's vocabulary; a grammar can name single ones only"
        )
    return ids[0]
