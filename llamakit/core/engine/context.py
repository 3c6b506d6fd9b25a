"""A model at work: sequences of tokens in, logits out."""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from llamakit.core.engine.adapters import Adapter, AdaptersInUse
from llamakit.core.engine.formula import Formula, check_positions, warn_of_length
from llamakit.core.engine.load import Model
from llamakit.core.engine.memory_plan import MemoryPlan, n_buffer_bytes, n_index_bytes
from llamakit.core.engine.pace import Pace
from llamakit.core.engine.programs import Programs
from llamakit.core.engine.report import Report as Report
from llamakit.core.engine.report import counting
from llamakit.core.engine.shift import can_shift, shift_steps
from llamakit.core.engine.steering import symbols_of
from llamakit.core.engine.threads import n_physical_cores
from llamakit.core.engine.ubatches import Chunk as Chunk
from llamakit.core.engine.ubatches import Outputs as Outputs
from llamakit.core.engine.ubatches import Part, checked, ubatches, wanted_rows
from llamakit.core.graph.adapters import adapt
from llamakit.core.graph.executor import Executor
from llamakit.core.graph.fuse import fuse
from llamakit.core.graph.lower.lowering import Memory
from llamakit.core.graph.ops import Node
from llamakit.core.graph.program import Program, Step, link
from llamakit.core.graph.tap import Observer
from llamakit.core.graph.weights import Weights
from llamakit.core.kernels.batch import Batch
from llamakit.core.kernels.store import Kernels, KernelStore
from llamakit.core.kv import cache as kv
from llamakit.core.kv.cache import KVCache, LayerShape, Shift
from llamakit.core.simd.records import Record
from llamakit.errors import UsageError

Floats = npt.NDArray[np.float32]


class Context:
    """Weights packed for this machine, a KV cache of n_ctx positions, threads.

    n_ctx 0 means what the model was trained with. n_batch is accepted for its name: a call takes any number of tokens
    and computes n_ubatch at a time. Threads default to the physical cores. The cache holds `n_seq_max` sequences that
    share its positions. `report(stage, done, total)` hears of slow parts: "pack" and "compile". Without the head,
    outputs are the states that it would multiply, `width` numbers each; see `embed.py`.

    The logits of a token have the same bits whatever else is computed with it: other tokens, other sequences, other
    numbers of threads. An observer watches the inputs of the products it wants (see `input_squares.py`); without one
    there is nothing to pay. Raises ModelError when it does not fit in memory, UsageError for arguments out of range.
    """

    def __init__(
        self,
        model: Model,
        *,
        n_ctx: int = 0,
        n_batch: int = 2048,
        n_ubatch: int = 512,
        n_threads: int | None = None,
        n_threads_batch: int | None = None,
        type_k: str = "f16",
        type_v: str = "f16",
        n_seq_max: int = 1,
        has_head: bool = True,
        observer: Observer | None = None,
        report: Report | None = None,
    ) -> None:
        self.model = model
        self.n_ctx = n_ctx or model.n_ctx_train
        sizes = {"n_ctx": self.n_ctx, "n_batch": n_batch, "n_ubatch": n_ubatch, "n_seq_max": n_seq_max}
        for name, value in sizes.items():
            if value < 1:
                raise UsageError(f"{name} is {value}; it must be at least 1")
        self.n_batch, self.n_ubatch = n_batch, min(n_ubatch, n_batch, self.n_ctx)
        self.n_threads = n_threads or n_physical_cores()
        self.n_threads_batch = n_threads_batch or self.n_threads
        self._paces = {1: Pace(self.n_threads)}  # by the number of tokens, if few
        self.n_vocab = model.n_vocab
        decoder = model.decoder
        if has_head and not decoder.has_head:
            raise UsageError(f"{model.path}: {decoder.arch} is an encoder, it continues no texts; see llamakit embed")
        graph = decoder.logits(self.n_ctx) if has_head else decoder.hidden(self.n_ctx)
        self.width = graph.width
        self._source: Programs | None = None  # of the encoder that goes before a decoder
        self._hidden: Programs | None = None  # that give states where others give logits
        check_positions(graph, self.n_ctx)
        warn_of_length(decoder, self.n_ctx)
        layers = [LayerShape(c.n_head_kv, c.head_dim, c.head_dim_v) for c in decoder.cache_layers()]
        states = decoder.states()
        n_threads = max(self.n_threads, self.n_threads_batch)
        plan = MemoryPlan(
            weights=model.n_bytes,
            kv_cache=kv.n_bytes(layers, self.n_ctx, type_k, type_v, n_seq_max, states),
            buffers=n_buffer_bytes(model.hparams, self.n_vocab, self.n_ubatch, self.n_ctx, n_threads)
            + n_index_bytes(graph, self.n_ubatch),
        )
        plan.check(model.path, self.n_ctx)
        self.cache = KVCache(layers, self.n_ctx, type_k, type_v, n_seq_max, self.n_ubatch, states)
        self._tokens, self._outputs = np.zeros(self.n_ubatch, np.int32), np.zeros(self.n_ubatch, np.int32)
        self._batch = Batch(
            n_tokens=0, n_outputs=0, n_runs=0, tokens=self._tokens, outputs=self._outputs,
            positions=self.cache.positions, cells=self.cache.cells, runs=self.cache.runs.view(np.uint8),
            tables=self.cache.tables,
        )  # fmt: skip

        store = KernelStore()
        base = store.load([*Executor.KERNELS, *Weights.KERNELS], report=counting(report, "compile"))
        self.executor = Executor(base, n_threads)
        self._closing = weakref.finalize(self, self.executor.close)
        n_tensors, n_packed = len(model.reader.tensors), 0

        def run_kernel(name: str, record: Record) -> None:
            nonlocal n_packed
            self.executor.run(link([Step(name, record)], base))
            n_packed += 1
            if report:
                report("pack", min(n_packed, n_tensors), n_tensors)

        weights = Weights(model.reader, run_kernel)
        memory = Memory(weights, self.cache, self._batch, self.n_ctx, self.executor.n_threads, observer)
        self.has_head, self.has_few = has_head, n_seq_max > 1  # a program for a few tokens at once
        self.formula = Formula(graph, decoder.layer_outputs, observer.wants if observer else None)
        self.directions: Mapping[int, Floats] = {}  # see `set_directions`
        self._plain = self.formula.fused()
        self._programs = self._prepared(Programs(self._plain, memory, self.n_ubatch, store), report)
        self._adapters = AdaptersInUse(model, weights)

    def _prepared(self, programs: Programs, report: Report | None = None) -> Programs:
        """With what every run needs compiled and linked."""
        first = programs.usual() if self.has_head else [programs.capacity(self.n_ubatch, self.n_ubatch)]
        programs.prepare(first, counting(report, "compile"))
        return programs

    # sequences
    def n_past(self, seq: int = 0) -> int:
        """Positions that a sequence has in the cache."""
        return self.cache.n_past(seq)

    def truncate(self, n_past: int, seq: int = 0) -> int:
        """Forget a sequence's positions from n_past on; returns how many are left.

        They are none where layers remember (Mamba and its like): what those saw cannot be taken back. UsageError where
        `group` has taken some of those that stay.
        """
        return self.cache.truncate(seq, n_past)

    def shift(self, n_keep: int, n_discard: int, seq: int = 0) -> None:
        """Forget n_discard positions behind the first n_keep; those that follow move up, their keys turned to fit."""
        if min(n_keep, n_discard) < 0:
            raise UsageError(f"cannot keep {n_keep} and discard {n_discard} positions: both must be at least 0")
        if n_discard:
            self._check_can_shift()
            self._move(self.cache.remove(seq, n_keep, n_keep + n_discard))

    def group(self, width: int, n: int, seq: int = 0) -> None:
        """Self-extend (arXiv:2401.01325): rotate the next `width` tokens that are not grouped as if each n of them
        stood at one position, and those behind them at the positions that follow."""
        if n < 1 or width < 1 or width % n or self.n_ungrouped(seq) < width:
            raise UsageError(f"cannot group {width} of {self.n_ungrouped(seq)} positions by {n}")
        self._check_can_shift()
        self._move(self.cache.group(seq, width, n))

    def n_ungrouped(self, seq: int = 0) -> int:
        """Positions that no `group` has taken yet."""
        return self.cache.n_past(seq) - self.cache.sequences.n_grouped[seq]

    @property
    def can_shift(self) -> bool:
        """Whether this model's positions can be moved, by `shift` and `group`."""
        return can_shift(self.graph, self.cache)

    def _check_can_shift(self) -> None:
        if not self.can_shift:
            raise UsageError(f"the positions of a {self.model.decoder.arch} model cannot be removed or moved")

    def _move(self, moved: Shift) -> None:
        if len(moved.sources):
            steps = shift_steps(self.graph, self._programs.memory, self.cache, moved)
            kernels = self._programs.store.load(sorted({step.kernel for step in steps}))
            self.run_kernels(steps, kernels)

    def save_state(self, tokens: Sequence[int] = (), seq: int = 0) -> bytes:
        """A sequence's keys and values, with `tokens`, for `load_state`; see `state.py` for files and more."""
        from llamakit.core.engine.state import save_state

        return save_state(self, tokens, seq)

    def load_state(self, data: bytes | memoryview, seq: int = 0) -> list[int]:
        """Go on from what `save_state` gave, in this or another context; returns its tokens.

        Raises StateError, and changes nothing, for bytes that are damaged, or of another model or other settings.
        """
        from llamakit.core.engine.state import load_state

        return load_state(self, data, seq).tokens

    @property
    def graph(self) -> Node:
        """The fused formula of the model."""
        return self._programs.graph

    @property
    def weights(self) -> Weights:
        """The model's, packed."""
        return self._programs.memory.weights

    # computing
    def prefill(self, tokens: Sequence[int], seq: int = 0) -> Floats:
        """Add tokens to a sequence; the logits of the last.   -> float32 (n_vocab,)"""
        logits: Floats = self.decode([Chunk(tokens, seq)])[0]
        return logits

    def step(self, token: int, seq: int = 0) -> Floats:
        """Add one token to a sequence; its logits.   -> float32 (n_vocab,)"""
        return self.prefill((token,), seq)

    def decode(self, chunks: Sequence[Chunk]) -> Floats:
        """Add tokens to sequences; the logits of those wanted, in the order given.   -> float32 (n_outputs, width)

        Raises UsageError for an id that is no token, ModelError when the cache is full: then nothing was added.
        """
        n_outputs = sum(len(wanted_rows(c.outputs, len(c.tokens))) for c in chunks)
        logits, n_done = np.empty((n_outputs, self.width), np.float32), 0
        for rows in self.slices(chunks):
            logits[n_done : n_done + len(rows)] = rows
            n_done += len(rows)
        return logits

    def hidden_slices(self, chunks: Sequence[Chunk]) -> Iterator[Floats]:
        """As `slices`, but for the states that the head multiplies: rows of n_embd numbers."""
        if self.has_head and self._hidden is None:
            decoder = self.model.decoder
            formula = Formula(decoder.hidden(self.n_ctx), decoder.layer_outputs)
            formula.directions = symbols_of(self.directions, formula.layer_outputs)
            self._hidden = self._programs.of(adapt(formula.fused(), self._adapters.changes))
        return self.slices(chunks, self._hidden)

    def slices(self, chunks: Sequence[Chunk], programs: Programs | None = None) -> Iterator[Floats]:
        """`decode` for whoever needs no copy: yields the rows of logits as they are computed, some at a time.

        Each slice is a view of float32 (n, width), its rows a multiple of 16 floats apart, that the next one
        overwrites. The tokens are all in the cache only when the iterator has ended.
        """
        tokens = [checked(c, self.n_vocab) for c in chunks]
        self._check_room(chunks)
        if programs is None and self.decoder_start is not None and not all(self.cache.n_source[c.seq] for c in chunks):
            raise UsageError(f"a {self.model.decoder.arch} model answers a source: give each sequence one by encode")
        wanted = [wanted_rows(c.outputs, len(ids)) for c, ids in zip(chunks, tokens, strict=True)]
        parts = [(c.seq, ids, rows) for c, ids, rows in zip(chunks, tokens, wanted, strict=True)]
        for batch in ubatches(parts, self.n_ubatch):
            yield from self._run(batch, programs or self._programs)

    def encode(self, tokens: Sequence[int], seq: int = 0) -> None:
        """Give an empty sequence of an encoder-decoder its source; decode then begins with `decoder_start`.

        The source's tokens take positions in front. Raises UsageError for other models, when the sequence has begun,
        and for more tokens than n_ubatch; ModelError when the cache is full.
        """
        source = self.model.decoder.source(self.n_ctx)
        if source is None:
            raise UsageError(f"{self.model.path}: {self.model.decoder.arch} has no encoder")
        if self.n_past(seq) or not 0 < len(tokens) <= self.n_ubatch:
            raise UsageError(f"a source of {len(tokens)} tokens: 1 to {self.n_ubatch} (-ub) fit, in front of all else")
        if self._source is None:
            self._source = self._programs.of(fuse(source))
        self.cache.n_source[seq] = len(tokens)
        try:
            for _ in self.slices([Chunk(tokens, seq, Outputs.NONE)], self._source):
                pass
        except BaseException:
            self.cache.truncate(seq, 0)
            raise

    @property
    def decoder_start(self) -> int | None:
        """The token that an answer begins with, where a prompt is not continued but a source is answered (`encode`)."""
        return self.model.decoder.decoder_start if self.has_head else None

    def replace_weight(self, name: str, data: npt.NDArray[Any]) -> None:
        """Compute with other numbers in a matrix from now on: an array of the shape and type of the file's tensor.

        What is in the cache stays. To go back, give the file's own: `context.model.reader.tensor(name).data`.
        """
        self.weights.replace(name, data)

    @property
    def adapters(self) -> list[tuple[Adapter, float]]:
        """Those in use, with their scales."""
        return self._adapters.scaled()

    def set_adapters(self, adapters: Sequence[tuple[Adapter, float]]) -> None:
        """Compute with these adapters (see `adapters.py`) from now on, each times its scale; none: the model alone.

        Other scales for the same adapters cost nothing. What is in the cache stays as it was computed: truncate what
        should be computed anew. Raises ModelError, and changes nothing, for an adapter that does not fit the model.
        """
        if self._adapters.rescale(adapters):
            return
        in_use = AdaptersInUse(self.model, self.weights, self._adapters.n_added)
        self._programs = self._prepared(self._programs.of(in_use.add(self._plain, adapters)))
        self._adapters.forget()
        self._adapters, self._hidden = in_use, None

    def set_directions(self, directions: Mapping[int, Floats]) -> None:
        """Add a vector, float32 (n_embd,), to what each of some layers gives, from now on (see `steering.py`).

        Other numbers for the same layers cost nothing. Raises ModelError where layers cannot be reached (`symbols_of`).
        """
        symbols = symbols_of(directions, self.formula.layer_outputs)
        for i, direction in directions.items():
            self.weights.add(f"direction.{i}", np.asarray(direction, np.float32))
        if directions.keys() != self.directions.keys():
            self.formula.directions = symbols
            self._rebuild()
            for i in self.directions.keys() - directions.keys():
                self.weights.forget(f"direction.{i}")
        self.directions = dict(directions)

    def watch(self, observer: Observer | None, taps: Mapping[int, tuple[str, ...]]) -> None:
        """Let an observer, the only one, see values of the formula, by the ids of their nodes; see `trace.py`."""
        memory = self._programs.memory
        if memory.observer is not None and observer is not None:
            raise UsageError("the context is being watched already: one observer at a time")
        memory.observer, self.formula.taps = observer, taps
        self._rebuild()

    def _rebuild(self) -> None:
        """The programs of the formula as it is now."""
        self._plain, self._hidden = self.formula.fused(), None
        self._programs = self._prepared(self._programs.of(adapt(self._plain, self._adapters.changes)))

    def prepare(self, runs: Sequence[tuple[int, int]]) -> None:
        """Have the programs of such runs, (tokens, outputs) each, compiled before they are needed."""
        for n_tokens, n_outputs in runs:
            self._programs.find(n_tokens, n_outputs, self.has_few)

    def run_kernels(self, steps: list[Step], kernels: Kernels) -> None:
        """Run kernels that are no part of the model on its threads, e.g. over the rows of a slice."""
        self.executor.run(link(steps, kernels), self.n_threads_batch)

    def _check_room(self, chunks: Sequence[Chunk]) -> None:
        """Before anything is computed: are the sequences there, once each, and do the positions suffice?"""
        seqs = [c.seq for c in chunks]
        if len(set(seqs)) < len(seqs) or min(seqs, default=0) < 0 or max(seqs, default=0) >= self.cache.n_seq_max:
            raise UsageError(f"sequences {seqs}: each of 0 to {self.cache.n_seq_max - 1} may appear once")
        sizes = [len(c.tokens) for c in chunks]
        if sum(sizes) > self.n_ubatch:  # else it is looked at when they are placed
            self.cache.sequences.check_room(list(zip(seqs, sizes, strict=True)))

    def _run(self, batch: list[Part], programs: Programs) -> Iterator[Floats]:
        """Compute one ubatch; yields its rows of logits."""
        first, outputs = 0, []
        for part in batch:
            n = len(part.tokens)
            self._tokens[first : first + n] = part.tokens
            outputs += [first + row for row in part.outputs]
            first += n
        fields = self._batch.data
        fields["n_tokens"] = self.cache.place([(part.seq, len(part.tokens)) for part in batch])
        fields["n_runs"] = len(batch)
        n_outputs = len(outputs)
        program = programs.find(first, n_outputs, self.has_few)
        if program.capacity.is_few and first not in self._paces:
            self._paces[first] = Pace(self.n_threads_batch)
        pace = self._paces.get(first)
        n_threads = self.n_threads_batch if pace is None else pace.n_threads
        if n_outputs <= program.capacity.n_outputs:
            self._pick(outputs)
            started = time.perf_counter()
            self._walk(programs, program.whole if n_outputs else program.body, n_threads)
            if pace is not None:
                pace.took(time.perf_counter() - started)
            if n_outputs:
                yield program.logits[:n_outputs, : programs.width]
            return
        self._walk(programs, program.body, n_threads)
        for start in range(0, n_outputs, program.capacity.n_outputs):
            rows = outputs[start : start + program.capacity.n_outputs]
            self._pick(rows)
            self._walk(programs, program.head, n_threads)
            yield program.logits[: len(rows), : programs.width]

    def _walk(self, programs: Programs, program: Program, n_threads: int) -> None:
        self.executor.run(program, n_threads)
        if programs.memory.observer is not None:
            programs.memory.observer.check()

    def _pick(self, rows: list[int]) -> None:
        self._outputs[: len(rows)] = rows
        self._batch.data["n_outputs"] = len(rows)

    def close(self) -> None:
        """End the threads; also done when the context is no longer referred to."""
        self._closing()

    def __enter__(self) -> Context:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
