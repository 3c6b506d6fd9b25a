"""Importance matrices from text: how large the inputs of each weight matrix are, as llama-imatrix measures them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from llamakit.core.engine.context import Chunk, Context, Report
from llamakit.core.engine.input_squares import InputSquares
from llamakit.errors import ModelError, UsageError
from llamakit.tools.imatrix_file import Imatrix, ImatrixEntry, merge, read_imatrix, write_dat, write_gguf
from llamakit.tools.perplexity.scorer import Scorer
from llamakit.tools.perplexity.windows import Windows, cut

if TYPE_CHECKING:
    from llamakit.core.engine.load import Model

Doubles = npt.NDArray[np.float64]
HEADS = ("output.weight", "token_embd.weight")  # the second is the head where there is no first


@dataclass(frozen=True)
class Settings:
    """How a text is computed."""

    n_ctx: int = 512  # tokens of a chunk
    n_batch: int = 2048
    n_ubatch: int = 512
    n_threads: int | None = None
    n_threads_batch: int | None = None
    type_k: str = "f16"
    type_v: str = "f16"
    process_output: bool = False  # the output head too
    with_perplexity: bool = True


class Collector:
    """A model whose matrices' inputs are summed up while it computes chunks of text. Close it, or use `with`."""

    def __init__(self, model: Model, settings: Settings = Settings(), report: Report | None = None) -> None:
        self.model = model
        s = self.settings = settings
        names = re.compile(wanted_names(s.process_output))
        self.squares = InputSquares(lambda name: names.match(name) is not None)
        n_batch = min(s.n_batch, max(s.n_ubatch, s.n_ctx))
        self.n_seq = max(1, min(n_batch, s.n_ubatch) // s.n_ctx)  # short chunks are computed together
        self.n_chunks = 0  # collected so far
        self.context = Context(
            model, n_ctx=s.n_ctx * self.n_seq, n_batch=n_batch, n_ubatch=s.n_ubatch, n_threads=s.n_threads,
            n_threads_batch=s.n_threads_batch, type_k=s.type_k, type_v=s.type_v, n_seq_max=self.n_seq,
            observer=self.squares, report=report,
        )  # fmt: skip
        self.scorer = Scorer(self.context) if settings.with_perplexity else None

    def windows(self, tokens: Sequence[int], first_chunk: int = 0, n_chunks: int | None = None) -> Windows:
        """The chunks of a text from `first_chunk` on; UsageError where there are too few tokens."""
        n_ctx, vocab = self.settings.n_ctx, self.model.vocab
        if first_chunk and (first_chunk + 2) * n_ctx >= len(tokens):
            raise UsageError(
                f"after {first_chunk} chunks of {n_ctx} tokens too little of the text is left: it has {len(tokens)}"
            )
        return cut(tokens[first_chunk * n_ctx :], n_ctx, n_chunks, vocab.bos_id if vocab.add_bos else None)

    def compute(self, windows: Windows) -> Iterator[Doubles]:
        """Chunk by chunk, the negative log-likelihoods of its second half; (0,) without perplexity.

        Raises ModelError when an activation is no number.
        """
        n_ctx = windows.n_ctx
        scored = range(windows.first, n_ctx - 1) if self.scorer else range(0)
        outputs = range(n_ctx) if self.settings.process_output else scored
        for batch in windows.batches(self.n_seq):
            tokens = windows.tokens[batch.start : batch.stop]
            inputs, following = tokens.copy(), np.roll(tokens, -1, axis=1)
            if windows.bos_id is not None:
                inputs[:, 0] = windows.bos_id
            for seq in range(len(batch)):
                self.context.truncate(0, seq)
            targets, nll = following[:, outputs.start : outputs.stop].reshape(-1), [np.empty(0)]
            for logits in self.context.slices([Chunk(row, seq, outputs) for seq, row in enumerate(inputs)]):
                if self.scorer:
                    nll.append(self.scorer.nll(logits, targets[: len(logits)]))
                    targets = targets[len(logits) :]
            self.squares.take()
            self.check_numbers()
            self.n_chunks += len(batch)
            start = scored.start - outputs.start
            yield from np.concatenate(nll).reshape(len(batch), -1)[:, start : start + len(scored)]

    def check_numbers(self) -> None:
        for name, seen in self.squares.seen.items():
            if not np.isfinite(seen.sums).all():
                raise ModelError(f"{self.model.path}: the inputs of {name} are no numbers; is the file damaged?")

    def imatrix(self, datasets: Iterable[str], before: Sequence[Imatrix] = ()) -> Imatrix:
        """All that was collected, added to matrices made before. UsageError when these are of another model."""
        entries = {
            name: ImatrixEntry(seen.sums.astype(np.float32), seen.counts.astype(np.float32))
            for name, seen in self.squares.seen.items()
        }
        n_ctx = self.settings.n_ctx
        return combine([*before, Imatrix(entries, tuple(datasets), 0, n_ctx)], n_ctx)

    def close(self) -> None:
        self.context.close()

    def __enter__(self) -> Collector:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def wanted_names(process_output: bool) -> str:
    """A regular expression of the weights to watch."""
    return "|".join([r"blk\.", *(map(re.escape, HEADS) if process_output else ())])


def combine(matrices: Sequence[Imatrix], n_ctx: int) -> Imatrix:
    """One matrix as if computed from all texts, in chunks of n_ctx tokens; UsageError for those of different models.

    Files of the old format lose the borders between experts: they take those of the others.
    """
    known = [matrix.with_chunk_size(n_ctx) for matrix in matrices if matrix.entries]
    n_experts = {name: len(e.counts) for matrix in known for name, e in matrix.entries.items() if len(e.counts) > 1}
    fitted = []
    for matrix in known:
        entries = {name: with_experts(e, n_experts.get(name, 1)) for name, e in matrix.entries.items()}
        fitted.append(replace(matrix, entries=entries, chunk_size=n_ctx))
    whole = merge(fitted)
    most = max((e.counts.max(initial=0) for e in whole.entries.values()), default=0)
    return replace(whole, n_chunks=int(most) // n_ctx, chunk_size=n_ctx)


def with_experts(entry: ImatrixEntry, n_expert: int) -> ImatrixEntry:
    if len(entry.counts) == n_expert or entry.sums.size % n_expert:
        return entry
    return ImatrixEntry(entry.sums.reshape(n_expert, -1), np.repeat(entry.counts, n_expert))


def unused_experts(matrix: Imatrix) -> dict[str, float]:
    """Entries some of whose experts saw no input, with the share that did."""
    shares = {name: float(np.mean(entry.counts > 0)) for name, entry in matrix.entries.items()}
    return {name: share for name, share in shares.items() if share < 1}


def save(path: str | Path, matrix: Imatrix, output_format: str = "gguf") -> None:
    """Write "gguf" or "dat", whole or not at all."""
    (write_dat if output_format == "dat" else write_gguf)(path, matrix)


def read_unfinished(path: str | Path, dataset: str, n_ctx: int) -> Imatrix | None:
    """What an interrupted run over the same text saved; None if there is no file.

    Its `n_chunks` is where to go on. UsageError when it is of another text or of chunks of another length.
    """
    if not Path(path).exists():
        return None
    matrix = read_imatrix(path)
    if matrix.datasets != (dataset,) or matrix.chunk_size not in (0, n_ctx):
        raise UsageError(
            f"{path} cannot be resumed: it was computed from {', '.join(matrix.datasets) or 'an unknown text'} in "
            f"chunks of {matrix.chunk_size} tokens; write to another file (-o), or add to it with --in-file"
        )
    return matrix
