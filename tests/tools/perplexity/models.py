"""Tiny models with a vocabulary of bytes, and a text for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from llamakit.core.gguf.reader import GGUFReader
from tests.core.vocab.vocabs import spm_metadata
from tests.tiny import Tiny, write_tiny

WORDS = "the cat sat on a mat dog ran far away".split()
TEXT = " ".join(WORDS[(7 * i * i + i // 3) % len(WORDS)] for i in range(300))


def write_model(path: Path, add_bos: bool = True, seed: int = 0) -> Path:
    """Random float weights; token 4 + b is byte b."""
    keys = spm_metadata(add_bos_token=add_bos, add_space_prefix=False)
    return write_tiny(path, Tiny(n_vocab=len(keys["tokenizer.ggml.tokens"]), metadata=keys, seed=seed))


def damage(path: Path) -> None:
    """Make the first numbers of the last norm NaN."""
    with GGUFReader(path) as reader:
        weight = np.array(reader.tensor("output_norm.weight").data).tobytes()
    raw = path.read_bytes()
    assert raw.count(weight) == 1
    path.write_bytes(raw.replace(weight, np.full(4, np.nan, np.float32).tobytes() + weight[16:]))
