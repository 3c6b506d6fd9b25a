"""Tokens to compute: llama.cpp's structure, and the class that fills it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass

llama_token = llama_pos = llama_seq_id = ctypes.c_int32


class llama_batch(ctypes.Structure):
    """Of each of n_tokens tokens its id, position, sequences, and whether its logits are wanted."""

    _fields_ = (
        ("n_tokens", ctypes.c_int32),
        ("token", ctypes.POINTER(llama_token)),
        ("embd", ctypes.POINTER(ctypes.c_float)),
        ("pos", ctypes.POINTER(llama_pos)),
        ("n_seq_id", ctypes.POINTER(ctypes.c_int32)),
        ("seq_id", ctypes.POINTER(ctypes.POINTER(llama_seq_id))),
        ("logits", ctypes.POINTER(ctypes.c_int8)),
    )


def new_batch(n_tokens: int, n_seq_max: int) -> llama_batch:
    """Empty, with room for so many tokens, each of which may be in n_seq_max sequences."""
    made = llama_batch(n_tokens=0)
    made.token, made.pos = (llama_token * n_tokens)(), (llama_pos * n_tokens)()
    made.n_seq_id, made.logits = (ctypes.c_int32 * n_tokens)(), (ctypes.c_int8 * n_tokens)()
    seqs = [(llama_seq_id * n_seq_max)() for _ in range(n_tokens)]
    made.seq_id = (ctypes.POINTER(llama_seq_id) * n_tokens)(
        *[ctypes.cast(s, ctypes.POINTER(llama_seq_id)) for s in seqs]
    )
    return made


@dataclass(frozen=True)
class Row:
    """A token of a batch."""

    token: int
    position: int
    seq: int
    has_logits: bool


def rows_of(batch: llama_batch, n_past: Callable[[int], int]) -> list[Row]:
    """Where the structure does not say: positions go on, sequence 0, logits of the last token.

    Raises ValueError for vectors in place of tokens, and for tokens of several sequences.
    """
    n = batch.n_tokens
    if n and not batch.token:
        raise ValueError("batches of vectors in place of tokens are not computed here")
    if batch.n_seq_id and any(batch.n_seq_id[i] != 1 for i in range(n)):
        raise ValueError("each token is of one sequence here; let others begin as it with llama_memory_seq_cp")
    seqs = [batch.seq_id[i][0] for i in range(n)] if batch.seq_id else [0] * n
    positions = batch.pos[:n] if batch.pos else [*range(n_past(0), n_past(0) + n)]
    logits = batch.logits[:n] if batch.logits else [0] * (n - 1) + [1]
    return [Row(batch.token[i], positions[i], seqs[i], bool(logits[i])) for i in range(n)]


class LlamaBatch:
    """Stands for `llama_cpp._internals.LlamaBatch`; `batch` is llama.cpp's structure."""

    def __init__(self, *, n_tokens: int, embd: int, n_seq_max: int, verbose: bool = True) -> None:
        if embd:
            raise ValueError("batches of vectors in place of tokens are not computed here: embd must be 0")
        self._n_tokens, self.embd, self.n_seq_max, self.verbose = n_tokens, embd, n_seq_max, verbose
        self.batch = new_batch(n_tokens, 1)

    def n_tokens(self) -> int:
        n: int = self.batch.n_tokens
        return n

    def reset(self) -> None:
        self.batch.n_tokens = 0

    def set_batch(self, batch: Sequence[int], n_past: int, logits_all: bool) -> None:
        """These of sequence 0 alone, from a position on."""
        self.reset()
        self._add(batch, n_past, 0, logits_all)

    def add_sequence(self, batch: Sequence[int], seq_id: int, logits_all: bool) -> None:
        """Those of a sequence from its beginning, beside what is there."""
        self._add(batch, 0, seq_id, logits_all)

    def _add(self, tokens: Sequence[int], first: int, seq: int, logits_all: bool) -> None:
        """Raises ValueError where there is no room."""
        b, n = self.batch, self.batch.n_tokens
        if n + len(tokens) > self._n_tokens:
            raise ValueError(f"the batch has room for {self._n_tokens} tokens, not {n + len(tokens)}")
        for i, token in enumerate(tokens):
            b.token[n + i], b.pos[n + i], b.n_seq_id[n + i], b.seq_id[n + i][0] = token, first + i, 1, seq
            b.logits[n + i] = logits_all or i == len(tokens) - 1
        b.n_tokens += len(tokens)

    def close(self) -> None:
        self.reset()
