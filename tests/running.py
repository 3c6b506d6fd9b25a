"""A model file run by the engine, and by the reference interpreter."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from llamakit.core.engine.context import Chunk, Context, Outputs
from llamakit.core.engine.load import Model
from llamakit.core.gguf.metadata import Metadata
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.graph.ops import Node
from llamakit.core.graph.reference.interpreter import Reference
from llamakit.core.models.base import Decoder
from llamakit.core.models.registry import find
from llamakit.core.quants import dequantize

N_CTX = 256


def open_decoder(path: Path) -> Decoder:
    """The architecture's object for a file."""
    reader = GGUFReader(path)
    meta = Metadata.of_model(reader.metadata, path)
    return find(meta)(meta, reader)


def reference(decoder: Decoder, root: Node | None = None) -> Reference:
    """The interpreter of a model's own graph, or of another over its weights."""

    def floats(name: str) -> np.ndarray:
        tensor = decoder.reader.tensor(name)
        return np.asarray(dequantize(tensor.data, tensor.type))

    return Reference(root or decoder.logits(N_CTX), floats)


def open_context(path: Path, **options: int | str) -> Context:
    """One or more sequences on a model; cells are float32 unless `type_k` and `type_v` say otherwise."""
    return Context(Model(path), **{"n_ctx": N_CTX, "n_ubatch": 96, "type_k": "f32", "type_v": "f32", **options})


def logits_of(context: Context, tokens: np.ndarray, size: int, seq: int = 0) -> np.ndarray:
    """All tokens' logits, computed from position 0 on, `size` tokens at a time.   -> (n_tokens, n_vocab)"""
    context.truncate(0, seq)
    parts = [Chunk(tokens[i : i + size], seq, Outputs.ALL) for i in range(0, len(tokens), size)]
    return np.concatenate([context.decode([part]) for part in parts])
