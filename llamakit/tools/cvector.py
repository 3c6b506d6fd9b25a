"""Control vectors made of pairs of prompts: how a model's layers tell one kind of text from the other.

Both prompts of a pair are filled up to one length; the differences of what a layer gives, token by token, have a main
direction. Conventions (padding, numbering, rows left out) of llama.cpp's cvector-generator; arXiv:2310.01405.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from llamakit.core.engine.context import Chunk, Context, Outputs, Report
from llamakit.core.engine.load import load_model
from llamakit.core.engine.steering import PREFIX
from llamakit.core.gguf.types import ValueType
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.errors import ModelError, UsageError

Floats = npt.NDArray[np.float32]
METHODS = ("pca", "mean")
EPSILON = 1e-6  # rows of differences with nothing above it say nothing
TOLERANCE = 1e-7  # by which a direction may still move when it counts as found


def differences(
    path: str | Path,
    pairs: Sequence[tuple[str, str]],
    n_threads: int | None = None,
    report: Report | None = None,
) -> list[Floats]:
    """Positive minus negative behind each layer but the last.   -> float32 (n_rows, n_embd) a layer

    Raises ModelError for a model whose layers do not give a token's numbers, UsageError for prompts that are alike.
    """
    model = load_model(path)
    model.decoder.gives_layers = True
    vocab, n_layer, n_embd = model.vocab, model.hparams.n_layer, model.hparams.n_embd
    pad = vocab.encode(" ", add_special=False)[-1]
    encoded = [tuple(vocab.encode(text, add_special=True, parse_special=True) for text in pair) for pair in pairs]
    longest = max((len(tokens) for pair in encoded for tokens in pair), default=1)
    found: list[list[Floats]] = [[] for _ in range(n_layer - 1)]
    with (
        model,
        Context(
            model, n_ctx=longest, n_ubatch=longest, n_threads=n_threads, type_k="f32", type_v="f32", has_head=False
        ) as context,
    ):
        if context.width != n_layer * n_embd:
            raise ModelError(f"{path}: the layers of a {model.arch} model do not give {n_embd} numbers a token")
        for done, pair in enumerate(encoded):
            n = max(map(len, pair))
            states = []
            for tokens in pair:
                context.truncate(0)
                rows = context.decode([Chunk([*tokens, *[pad] * (n - len(tokens))], 0, Outputs.ALL)])
                states.append(rows.reshape(n, n_layer, n_embd))
            difference = states[0] - states[1]
            for i, rows_of_layer in enumerate(found):
                rows = difference[:, i]
                rows_of_layer.append(rows[np.abs(rows).max(axis=1) > EPSILON])
            if report:
                report("prompts", done + 1, len(encoded))
    layers = [np.concatenate(rows) for rows in found]
    if any(len(rows) == 0 for rows in layers):
        raise UsageError("the positive prompts are the negative ones: there is no difference to go by")
    return layers


def direction(rows: Floats, method: str = "pca", n_iter: int = 1000) -> Floats:
    """The main direction of some rows, of length 1, pointing where they point on average.   (n, width) -> (width,)"""
    mean = rows.mean(axis=0, dtype=np.float64)
    if method == "mean":
        return unit(mean)
    wide = rows.astype(np.float64)
    found = unit(mean).astype(np.float64)
    for _ in range(n_iter):
        before, found = found, unit(wide.T @ (wide @ found)).astype(np.float64)
        if np.abs(found - before).max() < TOLERANCE:
            break
    return unit(found if found @ mean >= 0 else -found)


def unit(vector: npt.NDArray[np.float64]) -> Floats:
    """At length 1; where it has none, any direction."""
    length = np.linalg.norm(vector)
    return np.asarray(vector / length if length else np.full(len(vector), len(vector) ** -0.5), np.float32)


def directions(layers: Sequence[Floats], method: str = "pca", n_iter: int = 1000) -> Iterator[Floats]:
    for rows in layers:
        yield direction(rows, method, n_iter)


def write_vector(path: str | Path, arch: str, found: Sequence[Floats]) -> None:
    """A file for --control-vector: the direction found behind layer i is number i + 1, as llama.cpp counts."""
    with GGUFWriter(path) as writer:
        writer.add("general.architecture", "controlvector")
        writer.add("controlvector.model_hint", arch)
        writer.add("controlvector.layer_count", len(found), ValueType.INT32)
        for i, vector in enumerate(found):
            writer.add_tensor(f"{PREFIX}{i + 1}", vector)
