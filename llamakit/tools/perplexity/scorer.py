"""Rows of logits reduced to what is asked of them, where they are: compiled, on the threads of their context."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from llamakit.core.graph.program import Step
from llamakit.core.kernels import logprob
from llamakit.core.kernels.store import KernelStore
from llamakit.errors import ModelError, UsageError
from llamakit.tools.perplexity.packed import PackedRows

if TYPE_CHECKING:
    from llamakit.core.engine.context import Chunk, Context
    from llamakit.core.simd.records import Record

LANES = 16
N_LEVELS = 65535  # steps between the least and the largest packed log-probability
DEEPEST = 16  # logits further below the largest are packed as if they were just so far

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Divergence:
    """Rows against those of a base model, one entry a row.   All (n,)"""

    nll: Doubles  # -ln p of the token that came
    nll_base: Doubles
    kld: Doubles  # sum of p_base (ln p_base - ln p)
    is_same_top: npt.NDArray[np.bool_]  # do both find the same token the most likely?

    @property
    def p_diff(self) -> Doubles:
        """p - p_base of the token that came."""
        found: Doubles = np.exp(-self.nll) - np.exp(-self.nll_base)
        return found


@dataclass(frozen=True)
class Softmax:
    """What a row's log-probabilities need: ln p of token t is logits[t] - normalizer.   All (n,)"""

    tops: Floats
    lows: Floats
    normalizers: Doubles  # ln of sum of e^l


class Scorer:
    """Reductions of rows of logits, float32 (n, n_vocab), at `targets`, the token that came after each: (n,).

    All raise ModelError where a probability is not a number.
    """

    KERNELS = ("logprob.sums", "logprob.pack", "logprob.divergence")

    def __init__(self, context: Context) -> None:
        self.context = context
        self.kernels = KernelStore().load([*self.KERNELS])

    def nll(self, logits: Floats, targets: Ints) -> Doubles:
        """-ln softmax(logits)[target], row by row.   -> (n,)"""
        return self._nll(logits, targets, self._softmax(logits))

    def pack(self, logits: Floats, targets: Ints, packed: PackedRows) -> Doubles:
        """As `nll`; also fills as many `packed` rows with the log-probabilities of all tokens."""
        softmax = self._softmax(logits)
        nll = self._nll(logits, targets, softmax)
        lows = np.maximum(softmax.lows, softmax.tops - np.float32(DEEPEST))
        scales = (softmax.tops - lows) / np.float32(N_LEVELS)
        spread = (softmax.normalizers - softmax.tops).astype(np.float32)  # in float32 and this order as llama.cpp
        packed.header[:] = np.stack([scales, lows - softmax.tops - spread], axis=1)
        inverses = np.divide(np.float32(1), scales, out=np.zeros_like(scales), where=scales > 0)
        out, n_words = packed.rows.ctypes.data, packed.rows.shape[1]
        self._run("pack", logprob.Packing, logits, lows=lows, inverses=inverses, packed=out, n_words=n_words)
        return nll

    def divergence(self, logits: Floats, targets: Ints, base: PackedRows) -> Divergence:
        """These rows against as many packed rows of a base model."""
        if len(base) != len(logits) or base.n_vocab != logits.shape[1]:
            raise UsageError(
                f"{len(base)} base rows of {base.n_vocab} tokens cannot be held against "
                f"{len(logits)} rows of {logits.shape[1]}"
            )
        softmax, n = self._softmax(logits), len(logits)
        kld, best, best_base = np.empty(n, np.float32), np.empty(n, np.int32), np.empty(n, np.int32)
        self._run(
            "divergence", logprob.Divergence, logits, packed=base.rows.ctypes.data, n_words=base.rows.shape[1],
            tops=softmax.tops, normalizers=softmax.normalizers.astype(np.float32), divergences=kld, best=best,
            best_base=best_base,
        )  # fmt: skip
        nll = self._nll(logits, targets, softmax)
        return Divergence(nll, -base.logprobs(targets), finite(kld.astype(np.float64)), best == best_base)

    def _softmax(self, logits: Floats) -> Softmax:
        tops, lows, totals = (np.empty(len(logits), np.float32) for _ in range(3))
        self._run("sums", logprob.Sums, logits, tops=tops, lows=lows, totals=totals)
        return Softmax(tops, lows, tops.astype(np.float64) + np.log(totals.astype(np.float64)))

    def _nll(self, logits: Floats, targets: Ints, softmax: Softmax) -> Doubles:
        return finite(softmax.normalizers - logits[np.arange(len(logits)), targets])

    def _run(self, kernel: str, record: type[Record], logits: Floats, **fields: object) -> None:
        rows = with_pitch(logits)
        pitch, (n_rows, n_vocab) = rows.strides[0] // rows.itemsize, rows.shape
        filled = record(logits=rows.ctypes.data, pitch=pitch, n_rows=n_rows, n_vocab=n_vocab, **fields)
        self.context.run_kernels([Step(f"logprob.{kernel}", filled)], self.kernels)


def scored(context: Context, chunks: Sequence[Chunk], targets: Ints) -> Iterator[tuple[Floats, Ints]]:
    """Compute chunks behind what their sequences hold; yields rows of logits, each with its part of `targets`.

    The rows are overwritten by the next ones: see `Context.slices`.
    """
    n_done = 0
    for logits in context.slices(chunks):
        yield logits, targets[n_done : n_done + len(logits)]
        n_done += len(logits)


def with_pitch(logits: Floats) -> Floats:
    """The rows as kernels need them, a multiple of 16 floats apart; copied where they are not."""
    n_rows, n_vocab = logits.shape
    row, column = logits.strides
    if column == logits.itemsize and row % (LANES * logits.itemsize) == 0 and row >= n_vocab * logits.itemsize:
        return logits
    rows = np.zeros((n_rows, -(-n_vocab // LANES) * LANES), np.float32)[:, :n_vocab]
    rows[:] = logits
    return rows


def finite(values: Doubles) -> Doubles:
    if not np.isfinite(values).all():
        raise ModelError("the model's output is not a number; is the file damaged? (`llamakit gguf verify` looks)")
    return values
