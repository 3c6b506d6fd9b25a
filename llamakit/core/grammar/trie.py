"""A vocabulary as the grammars see it: the bytes of its tokens as a trie."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Sequence
from functools import cache
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

    Control tokens have no bytes: only a grammar that names them allows them.
    """

    def __init__(self, pieces: Sequence[bytes], endings: Iterable[int]) -> None:
        self.pieces = pieces
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
        self.record = build(texts, ids)
        self.ordinary = np.full(self.n_words, 0xFFFFFFFF, np.uint32)
        self.ordinary[-1:] = (1 << (self.n_tokens - 1) % 32 + 1) - 1
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
        }


def build(texts: list[bytes], ids: list[int]) -> grammar_mask.Trie:
    """The trie of texts, which are sorted and all different."""
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(t) for t in texts], out=offsets[1:])
    n_bytes = int(offsets[-1])

    def room(dtype: type[np.generic]) -> npt.NDArray[np.generic]:
        return np.empty(n_bytes + 1, dtype)

    op = grammar_mask.BuildTrie(
        text=np.frombuffer(b"".join(texts) + b"\0", np.uint8),
        offsets=offsets,
        ids=np.array([*ids, 0], np.int32),
        n=len(texts),
        bytes=room(np.uint8),
        depths=room(np.int32),
        ends=room(np.int32),
        tokens=room(np.int32),
        path=np.empty(LONGEST + 1, np.int32),
        n_nodes=0,
    )
    run("grammar_mask.build_trie", op)
    n_nodes = int(op.data["n_nodes"])
    return grammar_mask.Trie(
        **{name: op.values[name][:n_nodes].copy() for name in ("bytes", "depths", "ends", "tokens")}, n_nodes=n_nodes
    )


_tries: WeakKeyDictionary[Vocabulary, TokenTrie] = WeakKeyDictionary()


def trie_of(vocab: Vocabulary) -> TokenTrie:
    """The trie of a vocabulary, made once as long as the vocabulary lives."""
    if vocab not in _tries:
        _tries[vocab] = TokenTrie([vocab.piece(t) for t in range(vocab.n_tokens)], vocab.eog_ids)
    return _tries[vocab]


def token_id(vocab: Vocabulary, text: str) -> int:
    """The one token that a text is. Raises GrammarError when it is none, or several."""
    ids = vocab.encode(text, add_special=False, parse_special=True)
    if len(ids) != 1:
        raise GrammarError(
            f"{text} is {len(ids)} tokens of this model's vocabulary; a grammar can name single ones only"
        )
    return ids[0]
