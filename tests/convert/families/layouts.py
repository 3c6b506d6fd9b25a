"""Tiny checkpoints of many families, from `layouts.json`: a config, and names with shapes.

A "#" in a name stands for the layers listed, a "*" for so many experts. `keys` and `digest` (of names, shapes and bytes
of all tensors) are those of files that were compared with the reference converter's, or, where it does not take the
checkpoint or differs from transformers, whose logits were compared with transformers'. Where a change is meant,
`python -m tests.convert.families.layouts` writes them anew, a line for each checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from llamakit.convert.family import Mapped
from llamakit.convert.plan import Source
from llamakit.convert.weight import as_float32
from tests.convert.folders import safetensors_bytes

PATH = Path(__file__).parent / "layouts.json"
LAYOUTS: dict[str, dict[str, Any]] = json.loads(PATH.read_text())


def arrays(tensors: Mapping[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    """Names and values; a tensor's values depend on nothing but its name."""
    for entry, where in tensors.items():
        pattern, _, shape = entry.rpartition(" ")
        layers, n_expert = where if isinstance(where, list) else (where, 1)
        for layer in layers or [""]:
            for expert in range(n_expert):
                name = pattern.replace("#", layer, 1).replace("*", str(expert), 1)
                rng = np.random.default_rng(zlib.crc32(name.encode()))
                values = np.abs(rng.normal(0, 0.1, [int(n) for n in shape.split("x")]))
                yield name, values.astype(np.float32)


def open_source(layout: Mapping[str, Any], folder: Path) -> Source:
    (folder / "config.json").write_text(json.dumps(layout["config"]))
    (folder / "model.safetensors").write_bytes(safetensors_bytes(dict(arrays(layout["tensors"]))))
    return Source.open(folder)


def digest(mapped: Mapped) -> str:
    """Of all tensors by name: their shapes and float32 values."""
    found = hashlib.sha256()
    for name, weight in sorted(mapped.weights.items()):
        values = np.ascontiguousarray(as_float32(weight.load()), "<f4")
        found.update(f"{name} {values.shape}".encode() + values.tobytes())
    return found.hexdigest()[:16]


def plain(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Keys as JSON has them."""
    parsed: dict[str, Any] = json.loads(json.dumps(dict(keys), default=float))
    return parsed


def rewrite() -> None:
    """The file with the keys and digests of today."""
    lines = []
    for name, layout in LAYOUTS.items():
        with tempfile.TemporaryDirectory() as folder:
            source = open_source(layout, Path(folder))
            found = {"keys": plain(source.family.keys()), "digest": digest(source.mapped)}
        lines.append(f"{json.dumps(name)}: {json.dumps({**layout, **found})}")
    PATH.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    rewrite()
