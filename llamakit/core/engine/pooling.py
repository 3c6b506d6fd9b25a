"""From the states of a text's tokens to one vector, or to scores. What happens to single vectors is NumPy."""

from __future__ import annotations

from enum import Enum

import numpy as np
import numpy.typing as npt

from llamakit.core.engine.load import Model
from llamakit.core.gguf.metadata import Metadata
from llamakit.core.graph.reference.interpreter import activate
from llamakit.core.models.blocks.feed_forward import READABLE
from llamakit.core.quants import dequantize
from llamakit.errors import ModelError

Floats = npt.NDArray[np.float32]

INT16_PEAK = 32760.0  # what the largest number becomes with MAX_ABS
NONE, MAX_ABS, EUCLID = -1, 0, 2  # kinds of norm; any other p is the p-norm, as 1, the sum of magnitudes


class Pooling(Enum):
    """Which states count; the values are those of the key `pooling_type`."""

    NONE = 0  # all of them, each for itself
    MEAN = 1
    CLS = 2  # the first token's
    LAST = 3
    RANK = 4  # scores of a classifier, from one of these


def pooling_of(model: Model) -> Pooling:
    """What the file says; NONE where it says nothing."""
    return Pooling(Metadata.of_model(model.metadata, model.path).int("pooling_type", 0, min=0, max=4))


def normalized(vectors: Floats, p: int) -> Floats:
    """Rows divided by their norm: see NONE, MAX_ABS, EUCLID. Rows of zeros stay.   (n, width) -> (n, width)"""
    if p == NONE:
        return vectors
    wide = np.abs(vectors.astype(np.float64))
    peaks = wide.max(axis=1, initial=0.0, keepdims=True)
    if p == MAX_ABS:
        norms = peaks / INT16_PEAK
    else:  # of shares of the peak, as powers of the numbers themselves may be too large or small
        shares = wide / np.where(peaks > 0, peaks, 1)
        norms = peaks * (shares**p).sum(axis=1, keepdims=True) ** (1 / p)
    scaled: Floats = (vectors / np.where(norms > 0, norms, 1)).astype(np.float32)
    return scaled


class Pool:
    """One model's way from states to vectors; `width` numbers come out.

    Behind the pooling may lie the classifier of a reranker, tensors `cls` and `cls.output`, or the dense layers of a
    sentence transformer, `dense_2` and `dense_3`. Raises ModelError where they do not fit.
    """

    def __init__(self, model: Model, kind: Pooling) -> None:
        self.model, self.kind = model, kind
        meta = Metadata.of_model(model.metadata, model.path)
        self.states = kind  # which states are needed
        if kind is Pooling.RANK:
            default = Pooling.MEAN if model.arch == "modern-bert" else Pooling.CLS
            of_classifier = Pooling(meta.int("classifier.pooling_type", default.value, min=0, max=4))
            is_first = Pooling.LAST if model.decoder.is_causal else Pooling.CLS
            self.states = Pooling.MEAN if of_classifier is Pooling.MEAN else is_first
        self.labels = meta.strs("classifier.output_labels", default=[])
        names = ("cls", "cls.norm", "cls.output") if kind is Pooling.RANK else ("dense_2", "dense_3")
        self.matrices = {name: self.tensor(f"{name}.weight") for name in names if f"{name}.weight" in model.reader}
        if kind is Pooling.RANK and not {"cls", "cls.output"} & self.matrices.keys():
            raise ModelError(f"{model.path}: has no classifier (cls, cls.output), as pooling rank needs; use another")
        usual = "gelu_erf" if model.arch == "modern-bert" else "tanh"
        self.activation = meta.section("llamakit").str("classifier.activation", usual)
        if self.activation not in READABLE:
            raise ModelError(
                f"{model.path}: the classifier applies {self.activation!r:.40}; known are {', '.join(READABLE)}"
            )
        self.biases = {name: self.tensor(f"{name}.bias") for name in names if f"{name}.bias" in model.reader}
        self.width = self.check_widths()

    def tensor(self, name: str) -> Floats:
        tensor = self.model.reader.tensor(name)
        return np.ascontiguousarray(dequantize(tensor.data, tensor.type), np.float32)

    def check_widths(self) -> int:
        """Of what comes out at the end."""
        width: int = self.model.hparams.n_embd
        for name, matrix in self.matrices.items():
            rows = matrix.shape[0] if matrix.ndim == 2 else width
            if matrix.shape[-1] != width or (name in self.biases and self.biases[name].size != rows):
                raise ModelError(
                    f"{self.model.path}: {name}.weight has shape {list(matrix.shape)}, needs {width} columns"
                )
            width = rows
        return width

    def __call__(self, states: Floats) -> Floats:
        """The states of the tokens that `rows` names.   (n, n_embd) -> (width,), or (n, width) without pooling"""
        if self.kind is Pooling.NONE:
            return np.stack([self.behind(state) for state in states])
        return self.behind(states.mean(axis=0, dtype=np.float64).astype(np.float32))

    def rows(self, n_tokens: int) -> range:
        """The tokens whose states are needed."""
        first_and_end = {Pooling.CLS: (0, 1), Pooling.LAST: (n_tokens - 1, n_tokens)}
        return range(*first_and_end.get(self.states, (0, n_tokens)))

    def behind(self, x: Floats) -> Floats:
        """What follows the pooling, for one vector: so its bits do not depend on others."""
        for name in ("dense_2", "dense_3"):
            x = self.linear(name, x)
        if self.kind is Pooling.RANK:
            x = self.classify(x)
        return x

    def classify(self, x: Floats) -> Floats:
        """A layer as wide as the state, if there is one, then the scores."""
        if "cls" in self.matrices:
            x = activate(self.activation, self.linear("cls", x))
            if "cls.norm" in self.matrices:
                x = x - x.mean()
                x = x / np.sqrt(np.mean(x * x) + np.float32(self.model.hparams.eps)) * self.matrices["cls.norm"]
                x = x + self.biases.get("cls.norm", np.float32(0))
        x = self.linear("cls.output", x)
        if self.model.arch in ("qwen3", "qwen3vl") and self.labels == ["yes", "no"]:
            x = np.exp(x - x.max())
            x = x / x.sum()
        return x

    def linear(self, name: str, x: Floats) -> Floats:
        if name not in self.matrices:
            return x
        y: Floats = self.matrices[name] @ x
        return y + self.biases[name] if name in self.biases else y
