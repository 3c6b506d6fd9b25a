"""Stands for `llama_cpp._internals.LlamaContext`: a model at work on sequences, batch by batch."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from llamakit.api.options import cache_type, rope_overrides
from llamakit.compat.batches import LlamaBatch, Row, llama_batch, rows_of
from llamakit.compat.internals import LlamaModel
from llamakit.compat.params import ContextParams, overrides_of
from llamakit.compat.pointers import pointer_to
from llamakit.compat.timings import Timings
from llamakit.compat.vectors import Vectors
from llamakit.core.engine.adapters import Adapter
from llamakit.core.engine.context import Chunk, Context
from llamakit.core.engine.load import load_model
from llamakit.errors import LlamakitError

# what llama_decode returns
DONE = 0
CACHE_IS_FULL = 1
BATCH_DOES_NOT_FIT = -1  # positions do not go on


def or_usual(value: float, usual: float) -> float:
    """llama.cpp has -1 for the model's own."""
    return value if value >= 0 else usual


class LlamaContext:
    """A context of its own; `ctx` is a pointer to it, None when closed.

    Raises ValueError where the context cannot be made: parameters out of range, too little memory.
    """

    def __init__(self, *, model: LlamaModel, params: ContextParams, verbose: bool = True) -> None:
        self.model, self.params, self.verbose = model, params, verbose
        self._rows: dict[int, npt.NDArray[np.float32]] = {}  # logits by their place in the last batch
        self._n_rows = 0
        self.embeddings = params.embeddings  # vectors are wanted, and no logits
        self._vectors: Vectors | None = None  # made when first wanted
        self._holes: dict[int, tuple[int, int]] = {}  # of sequences, positions removed whose followers are to move up
        self._adapters: dict[Adapter, float] = {}
        self.timings = Timings()
        self._exit_stack = ExitStack()
        self._context: Context | None = self._opened()
        self.ctx: int | None = pointer_to(self)
        model._exit_stack.callback(self.close)

    def _opened(self) -> Context | None:
        p, opened = self.params, self.model.opened
        try:
            changed = rope_overrides(
                self.model.path_model, p.rope_scaling_type, p.rope_freq_base, p.rope_freq_scale, p.yarn_ext_factor,
                or_usual(p.yarn_attn_factor, 1.0), or_usual(p.yarn_beta_fast, 32.0), or_usual(p.yarn_beta_slow, 1.0),
                p.yarn_orig_ctx,
            )  # fmt: skip
            if changed:
                overrides = {**overrides_of(self.model.params.kv_overrides), **changed}
                opened = self._exit_stack.enter_context(load_model(self.model.path_model, overrides))
            decoder = opened.decoder
            return self._exit_stack.enter_context(Context(
                opened, n_ctx=-(-p.n_ctx // 256) * 256,  # in llama.cpp too, contexts are of so many
                n_batch=p.n_batch, n_ubatch=p.n_ubatch if decoder.is_causal else p.n_batch,
                has_head=decoder.has_head, n_threads=p.n_threads or None,
                n_threads_batch=p.n_threads_batch or None, type_k=cache_type(int(p.type_k)),
                type_v=cache_type(int(p.type_v)), n_seq_max=p.n_seq_max,
            ))  # fmt: skip
        except LlamakitError as error:
            raise ValueError(f"Failed to create llama_context: {error}") from None

    @contextmanager
    def at_work(self) -> Iterator[Context]:
        """The engine's context, for this thread. Raises ValueError when closed."""
        if self._context is None:
            raise ValueError("the context is closed")
        yield self._context

    def close(self) -> None:
        self._exit_stack.close()
        self._context = self.ctx = None

    def n_ctx(self) -> int:
        with self.at_work() as context:
            return context.n_ctx

    def n_past(self, seq: int) -> int:
        """Positions that a sequence has; none where there is no such sequence."""
        with self.at_work() as context:
            return context.n_past(seq) if 0 <= seq < self.params.n_seq_max else 0

    def pooling_type(self) -> int:
        return self.params.pooling_type

    # computing
    def decode(self, batch: LlamaBatch) -> None:
        """Compute a batch. Raises RuntimeError with llama_decode's number where it does not fit."""
        code, reason = self.decoded(batch.batch)
        if code != DONE:
            raise RuntimeError(f"llama_decode returned {code}: {reason}")

    def decoded(self, batch: llama_batch) -> tuple[int, str]:
        """What llama_decode returns, and why."""
        try:
            rows = rows_of(batch, self.n_past)
            self._check_positions(rows)
            self._check_vectors()
        except ValueError as error:
            return BATCH_DOES_NOT_FIT, str(error)
        try:
            with self.timings.of(len(rows)):
                self._compute(rows)
        except LlamakitError as error:
            return CACHE_IS_FULL, str(error)
        return DONE, ""

    def _check_positions(self, rows: list[Row]) -> None:
        """Raises ValueError unless each sequence goes on where it ends."""
        if not rows:
            raise ValueError("the batch is empty")
        next_position: dict[int, int] = {}
        for row in rows:
            if not 0 <= row.seq < self.params.n_seq_max:
                raise ValueError(f"there is no sequence {row.seq}: n_seq_max is {self.params.n_seq_max}")
            wanted = next_position.get(row.seq, self.n_past(row.seq))
            if row.position != wanted:
                raise ValueError(f"sequence {row.seq} goes on at position {wanted}, not {row.position}")
            self._check_whole(row.seq)
            next_position[row.seq] = wanted + 1

    def _check_whole(self, seq: int) -> None:
        """Raises ValueError where positions were removed and those behind did not move up."""
        if seq in self._holes:
            first, end = self._holes[seq]
            raise ValueError(
                f"positions {first} to {end} of sequence {seq} were removed: move those behind with "
                f"llama_memory_seq_add(mem, {seq}, {end}, -1, {first - end})"
            )

    def _check_vectors(self) -> None:
        """Raises ValueError for a pooling that the model has not."""
        if self.embeddings and self._vectors is None:
            try:
                self._vectors = Vectors(self.model.opened, self.params.pooling_type)
            except LlamakitError as error:
                raise ValueError(str(error)) from None

    def _compute(self, rows: list[Row]) -> None:
        by_seq: dict[int, list[tuple[int, Row]]] = {}
        for i, row in enumerate(rows):
            by_seq.setdefault(row.seq, []).append((i, row))
        chunks, places = [], []
        for seq, own in by_seq.items():
            first = next((k for k, (_, row) in enumerate(own) if row.has_logits), len(own))
            chunks.append(Chunk([row.token for _, row in own], seq, range(first, len(own))))
            places += [i for i, _ in own[first:]]
        with self.at_work() as context:
            made = (
                self._vectors.compute(context, chunks) if self._vectors and self.embeddings else context.decode(chunks)
            )
        self._rows = {i: row for i, row in zip(places, made, strict=bool(len(made))) if rows[i].has_logits}
        self._n_rows = len(rows)

    def logits_of(self, i: int) -> npt.NDArray[np.float32]:
        """Those of a batch's token, by its place in it; -1 is the last.   -> (n_vocab,)   Raises IndexError."""
        place = i + self._n_rows if i < 0 else i
        if place not in self._rows:
            raise IndexError(f"token {i} of the last batch has no logits")
        return self._rows[place]

    @property
    def vectors_of_seqs(self) -> dict[int, npt.NDArray[np.float32]]:
        """Of the last batch's sequences, where vectors are pooled."""
        return {} if self._vectors is None else self._vectors.of_seq

    def get_embeddings(self) -> Any:
        """A pointer to the vectors of all tokens that have one. Raises IndexError where none has."""
        if not self.embeddings or self.vectors_of_seqs:
            raise IndexError("no token has a vector: see llama_set_embeddings, and get_embeddings_seq")
        return self.get_logits()

    def get_embeddings_ith(self, i: int) -> Any:
        """A pointer to float: the vector of a token of the last batch. Raises IndexError where it has none."""
        if not self.embeddings:
            raise IndexError("the context makes no vectors: see llama_set_embeddings")
        return self.logits_of(i).ctypes.data_as(ctypes.POINTER(ctypes.c_float))

    def get_embeddings_seq(self, seq_id: int) -> Any:
        """A pointer to float: the vector of a sequence of the last batch. Raises KeyError where it has none."""
        return self.vectors_of_seqs[seq_id].ctypes.data_as(ctypes.POINTER(ctypes.c_float))

    def get_logits_ith(self, i: int) -> Any:
        """A pointer to float, as ctypes has them."""
        return self.logits_of(i).ctypes.data_as(ctypes.POINTER(ctypes.c_float))

    def get_logits(self) -> Any:
        """A pointer to the rows of all tokens that have logits, one behind the other."""
        rows = np.ascontiguousarray([self._rows[i] for i in sorted(self._rows)])
        return rows.ctypes.data_as(ctypes.POINTER(ctypes.c_float))

    def set_n_threads(self, n_threads: int, n_threads_batch: int) -> None:
        """Not more than the context was made with."""
        with self.at_work() as context:
            most = context.executor.n_threads
            context.n_threads, context.n_threads_batch = min(n_threads, most), min(n_threads_batch, most)

    def set_adapters(self, adapters: dict[Adapter, float]) -> None:
        """Compute with these from now on, each times its scale. Raises ModelError where one does not fit the model."""
        with self.at_work() as context:
            context.set_adapters([(adapter, scale) for adapter, scale in adapters.items() if scale])
        self._adapters = adapters

    @property
    def adapters(self) -> dict[Adapter, float]:
        return dict(self._adapters)

    # the KV cache
    def kv_cache_clear(self) -> None:
        with self.at_work() as context:
            context.cache.clear()
        self._holes.clear()

    def kv_cache_seq_rm(self, seq_id: int, p0: int, p1: int) -> bool:
        """Forget a sequence, or with -1 each, from p0 on.

        Positions behind p1 stay where this model's can move (see `kv_cache_seq_shift`); where not, all stay, and the
        answer is False.
        """
        seqs = range(self.params.n_seq_max) if seq_id < 0 else [seq_id]
        done = [self._cut(seq, max(p0, 0), p1) for seq in seqs]
        return all(done)

    def _cut(self, seq: int, first: int, end: int) -> bool:
        with self.at_work() as context:
            n_past = context.n_past(seq)
            if 0 <= end < n_past:
                if seq in self._holes or end <= first or not context.can_shift:
                    return False
                self._holes[seq] = (first, end)
                return True
            n_left = min(first, n_past)
            if seq in self._holes and n_left <= self._holes[seq][1]:
                n_left = min(n_left, self._holes.pop(seq)[0])
            return context.truncate(n_left, seq) == n_left

    def kv_cache_seq_shift(self, seq_id: int, p0: int, p1: int, shift: int) -> None:
        """Move up what follows removed positions, into their place. Raises ValueError for any other move."""
        first, end = self._holes.get(seq_id, (0, 0))
        with self.at_work() as context:
            n_past = context.n_past(seq_id)
            if seq_id not in self._holes or p0 != end or shift != first - end or 0 <= p1 < n_past:
                raise ValueError("positions move only into the place of those before them that were removed")
            context.shift(first, end - first, seq_id)
        del self._holes[seq_id]

    def kv_cache_seq_cp(self, seq_id_src: int, seq_id_dst: int, p0: int, p1: int) -> None:
        """Let one sequence begin as another. Raises ValueError unless both are there and it is from position 0 on."""
        if not (0 <= seq_id_src < self.params.n_seq_max and 0 <= seq_id_dst < self.params.n_seq_max):
            raise ValueError(f"sequences {seq_id_src} and {seq_id_dst}: n_seq_max is {self.params.n_seq_max}")
        if p0 > 0:
            raise ValueError(f"a sequence begins as another from position 0 on, not from {p0}")
        if seq_id_src == seq_id_dst:
            return
        self._check_whole(seq_id_src)
        with self.at_work() as context:
            context.cache.fork(seq_id_src, seq_id_dst, p1 if p1 >= 0 else None)

    def kv_cache_seq_keep(self, seq_id: int) -> None:
        with self.at_work() as context:
            for seq in range(self.params.n_seq_max):
                if seq != seq_id:
                    context.truncate(0, seq)

    # states
    def get_state_size(self) -> int:
        return len(self.state())

    def state(self, seq: int = 0, tokens: Sequence[int] = ()) -> bytes:
        """What is in the cache of a sequence, with tokens to find again."""
        self._check_whole(seq)
        with self.at_work() as context:
            return context.save_state(tokens, seq)

    def set_state(self, state: bytes, seq: int = 0) -> list[int]:
        """Returns the tokens. Raises StateError for one that is damaged, or of another model."""
        with self.at_work() as context:
            self._holes.pop(seq, None)
            return context.load_state(state, seq)

    @staticmethod
    def default_params() -> ContextParams:
        return ContextParams()
