"""Tiny checkpoints with sparse attention: those of `families/layouts.json`, their indexers with more heads."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from .families.layouts import LAYOUTS
from .folders import safetensors_bytes, write_folder

NAMES = ("dsv32", "glmdsa", "hyv4", "dots3", "glm5next")
N_HEAD = 16  # of the indexer: with few, many scores are equal
TOP_K = 12
TOKENS = np.random.default_rng(5).integers(5, 250, 60)
CHANGED: dict[str, dict[str, Any]] = {"glmdsa": {"indexer_types": ["full", "shared", "full"]}}


def write_checkpoint(name: str, folder: Path) -> Path:
    """A folder as transformers and the converter read it; a tensor's numbers follow from its name."""
    layout = LAYOUTS[name]
    config = json.loads(json.dumps(layout["config"]))
    text = config.get("text_config", config)
    n_head = text["index_n_heads"]
    text |= {"index_topk": TOP_K, "index_n_heads": N_HEAD, "use_dsa": True} | CHANGED.get(name, {})
    write_folder(folder)
    (folder / "config.json").write_text(json.dumps(config))
    arrays = {}
    for entry, where in layout["tensors"].items():
        pattern, _, sizes = entry.rpartition(" ")
        layers, n_expert = where if isinstance(where, list) else (where, 1)
        shape = [int(n) for n in sizes.split("x")]
        if pattern.endswith(("indexer.wq_b.weight", "indexer.weights_proj.weight")):
            shape[0] *= N_HEAD // n_head
        for i in layers or [""]:
            if ".indexer." in pattern and name == "glmdsa" and i == "1":
                continue
            for e in range(n_expert):
                full = pattern.replace("#", i, 1).replace("*", str(e), 1).replace("attn.gate_proj", "attn.g_proj")
                rng = np.random.default_rng(zlib.crc32(full.encode()))
                is_norm = len(shape) == 1 and full.endswith("norm.weight")
                numbers = rng.normal(float(is_norm), 1.0 / shape[-1] ** 0.5 if len(shape) > 1 else 0.2, shape)
                arrays[full] = numbers.astype(np.float32)
    (folder / "model.safetensors").write_bytes(safetensors_bytes(arrays))
    return folder
