"""Perplexity: how surprised a model is by each token of a text, window by window."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from llamakit.tools.perplexity.base_file import BaseWriter
from llamakit.tools.perplexity.packed import PackedRows
from llamakit.tools.perplexity.scorer import Scorer, scored
from llamakit.tools.perplexity.windows import Windows

if TYPE_CHECKING:
    from llamakit.core.engine.context import Context

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer]


def measure(context: Context, windows: Windows, n_seq: int = 1) -> Iterator[Doubles]:
    """The negative log-likelihoods of each window's scored tokens, n_seq windows computed at a time.   (n_scored,)

    The context needs room for n_seq sequences of a window's length. Raises ModelError where a likelihood is no number.
    """
    scorer = Scorer(context)
    for batch in windows.batches(n_seq):
        parts = window_rows(context, windows, batch)
        nll = np.concatenate([scorer.nll(logits, targets) for logits, targets in parts])
        yield from nll.reshape(len(batch), -1)


def measure_and_save(context: Context, windows: Windows, path: str | Path, n_seq: int = 1) -> Iterator[Doubles]:
    """As `measure`; all log-probabilities go to a file for `divergences`, or llama-perplexity, there at the end."""
    scorer, packed = Scorer(context), PackedRows.empty(0, context.n_vocab)
    with closing(BaseWriter(path, windows.tokens, context.n_vocab)) as file:
        for batch in windows.batches(n_seq):
            nll = []
            for logits, targets in window_rows(context, windows, batch):
                if len(packed) < len(logits):
                    packed = PackedRows.empty(len(logits), context.n_vocab)
                nll.append(scorer.pack(logits, targets, packed[: len(logits)]))
                file.write(packed[: len(logits)])
            yield from np.concatenate(nll).reshape(len(batch), -1)
        file.commit()


def window_rows(context: Context, windows: Windows, batch: range) -> Iterator[tuple[Floats, Ints]]:
    """Compute some windows together, each from an empty context; yields as `scored`."""
    context.cache.clear()
    yield from scored(context, windows.chunks(batch), windows.targets(batch))
