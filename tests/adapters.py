"""Adapters with random numbers for a model's tensors."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from llamakit.core.engine.adapters import EMBEDDING
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.writer import GGUFWriter


def write_adapter(
    path: Path,
    model: Path,
    names: Collection[str],
    rank: int,
    alpha: float,
    seed: int = 0,
    keys: Mapping[str, Any] | None = None,
    left_out: Collection[str] = (),
) -> Path:
    """A LoRA adapter for the tensors `names` of a model, of any number of dimensions."""
    rng = np.random.default_rng(seed)
    with GGUFReader(model) as reader, GGUFWriter(path) as writer:
        own = {
            "general.type": "adapter",
            "general.architecture": reader.metadata["general.architecture"],
            "adapter.type": "lora",
            "adapter.lora.alpha": alpha,
        }
        for key, value in (own | dict(keys or {})).items():
            writer.add(key, value)
        for name in names:
            *experts, n_rows, n_columns = reader.tensor(name).shape[::-1]
            shapes: tuple[tuple[int, ...], ...] = ((*experts, rank, n_columns), (*experts, n_rows, rank))
            if name == EMBEDDING:
                shapes = (n_rows, rank), (n_columns, rank)
            for kind, shape in zip("ab", shapes, strict=True):
                data = rng.normal(scale=0.1, size=shape).astype(np.float32)
                if f"{name}.lora_{kind}" not in left_out:
                    writer.add_tensor(f"{name}.lora_{kind}", data)
    return path
