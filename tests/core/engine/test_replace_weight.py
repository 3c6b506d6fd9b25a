"""Other numbers in a loaded matrix give what a file with these numbers gives, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from llamakit.core.engine.context import Chunk, Outputs
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.writer import GGUFWriter

from ...running import open_context
from ...tiny import Tiny, write_tiny

TOKENS = np.arange(40) % 67
MODELS = {
    "f16": Tiny(type="f16", is_tied=True),
    "f32": Tiny(n_ff=72),
    "q8_0": Tiny(type="q8_0", types={"attn_v": "q4_0"}),
    "experts": Tiny(n_expert=4, n_expert_used=2, type="f16"),
}


def logits(context):
    context.truncate(0)
    many = context.decode([Chunk(TOKENS, outputs=Outputs.ALL)])
    return np.concatenate([many, context.decode([Chunk(TOKENS[:1])])])


@pytest.mark.parametrize("model", MODELS)
def test_every_matrix_can_be_replaced_and_restored(tmp_path, model):
    path = write_tiny(tmp_path / "one.gguf", MODELS[model])
    other = GGUFReader(write_tiny(tmp_path / "two.gguf", replace(MODELS[model], seed=1)))
    with open_context(path) as context:
        before, reader = logits(context), context.model.reader
        names = [tensor.name for tensor in reader.tensors if len(tensor.shape) > 1]
        for name in names:
            context.replace_weight(name, other.tensor(name).data)
            assert (logits(context) != before).any(), name
            context.replace_weight(name, reader.tensor(name).data)
            np.testing.assert_array_equal(logits(context), before, err_msg=name)
        for name in names:
            context.replace_weight(name, other.tensor(name).data)
        replaced = logits(context)
    with open_context(with_matrices(path, other, tmp_path / "three.gguf")) as context:
        np.testing.assert_array_equal(replaced, logits(context))


def with_matrices(path: Path, other: GGUFReader, out: Path) -> Path:
    """A file with the vectors of one model and the matrices of another."""
    with GGUFReader(path) as reader, GGUFWriter(out) as writer:
        for key, value in reader.metadata.items():
            writer.add(key, value)
        for tensor in reader.tensors:
            source = other.tensor(tensor.name) if len(tensor.shape) > 1 else tensor
            writer.add_tensor(tensor.name, source.data, tensor.type)
    return out
