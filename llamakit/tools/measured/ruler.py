"""What a change of weights does to a model's logits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llamakit.core.engine.context import Chunk, Context
from llamakit.core.gguf.types import GGMLType
from llamakit.core.quants import quantize
from llamakit.tools.measured.candidates import Choices, columns_of, round_trip
from llamakit.tools.perplexity.packed import PackedRows
from llamakit.tools.perplexity.scorer import Scorer
from llamakit.tools.quantize.importance import n_matrices
from llamakit.tools.quantize.pieces import as_weights

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]

UNSCORED = 32  # a window's first tokens, which have little before them


@dataclass(frozen=True, slots=True)
class Damage:
    """Against the source model, over all scored tokens."""

    kld: float  # mean Kullback-Leibler divergence, nats a token
    kld_error: float  # its standard error
    perplexity: float
    base_perplexity: float


class Ruler:
    """Windows of text on which a context is compared with what it was when the ruler was made.

    windows: token ids (n_windows, n_ctx), computed n_seq at a time. The context needs room for n_seq such sequences.
    """

    def __init__(self, context: Context, windows: Ints, n_seq: int) -> None:
        self.context, self.windows, self.n_seq = context, windows, n_seq
        self.scorer = Scorer(context)
        n_windows, n_ctx = windows.shape
        self.outputs = range(min(UNSCORED, n_ctx // 4), n_ctx - 1)
        self.base = PackedRows.empty(n_windows * len(self.outputs), context.n_vocab)
        self.base_nll = np.empty(len(self.base))
        for first, logits, targets in self._rows():
            part = slice(first, first + len(logits))
            self.base_nll[part] = self.scorer.pack(logits, targets, self.base[part])
        self.zero = self._divergences()[0]  # packing rounds: what an unchanged model would seem to differ by

    def measure(self) -> Damage:
        """The context as it is now."""
        kld, nll = self._divergences()
        kld = kld - self.zero
        return Damage(
            kld=float(kld.mean()),
            kld_error=float(kld.std() / math.sqrt(max(1, len(kld) - 1))),
            perplexity=math.exp(nll.mean()),
            base_perplexity=math.exp(self.base_nll.mean()),
        )

    def _divergences(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        kld, nll = np.empty(len(self.base)), np.empty(len(self.base))
        for first, logits, targets in self._rows():
            part = slice(first, first + len(logits))
            found = self.scorer.divergence(logits, targets, self.base[part])
            kld[part], nll[part] = found.kld, found.nll
        return kld, nll

    def _rows(self) -> Iterator[tuple[int, Floats, Ints]]:
        """(first, logits, targets): scored rows, counted from the first window's first."""
        first = 0
        for start in range(0, len(self.windows), self.n_seq):
            windows = self.windows[start : start + self.n_seq]
            targets = windows[:, self.outputs.start + 1 :].reshape(-1)
            for seq in range(len(windows)):
                self.context.truncate(0, seq)
            n_done = 0
            for logits in self.context.slices([Chunk(row, seq, self.outputs) for seq, row in enumerate(windows)]):
                yield first, logits, targets[n_done : n_done + len(logits)]
                first, n_done = first + len(logits), n_done + len(logits)


def swap(context: Context, choices: Choices, type_: GGMLType) -> None:
    """Compute with a tensor as it comes back from a type; with its own type, as it was."""
    tensor = choices.tensor
    if type_ is tensor.type:
        context.replace_weight(tensor.name, tensor.data)
        return
    rows = tensor.data.reshape(n_matrices(tensor), -1, tensor.data.shape[-1])
    floats = [
        round_trip(as_weights(matrix, tensor.type), type_, columns_of(choices.importance, m, tensor.shape[0]))
        for m, matrix in enumerate(rows)
    ]
    context.replace_weight(tensor.name, quantize(np.concatenate(floats), tensor.type))
