"""Tiny models with known logits: a spec says metadata and tensors, a hash of name and index gives the tensors' values.

The logits are llama.cpp's, in float32 with a float32 cache. A spec for each architecture, with every sixth row of its
logits, lies in `tests/data`; `../shared/golden/archs` has those and more in full. `python -m tests.golden NAME ...`
copies from there (`arcee-dense`).
"""

from __future__ import annotations

import json
import math
import sys
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from llamakit.core.gguf.types import GGMLType, ValueType
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.core.quants import quantize

DATA = Path(__file__).parent / "data"
SHARED = Path(__file__).parents[2] / "shared/golden/archs"
ROUTER = "ffn_gate_inp.weight"  # never quantized


@dataclass(frozen=True)
class Golden:
    """A spec, the tokens of one batch at positions 0, 1, ..., and the logits of some `rows` of it."""

    name: str
    spec: dict[str, Any]
    tokens: np.ndarray
    rows: np.ndarray
    logits: np.ndarray

    @property
    def arch(self) -> str:
        return next(value for key, _, value in self.spec["kv"] if key == "general.architecture")

    def error(self, logits: np.ndarray) -> float:
        """Normalized squared error of the logits of all tokens."""
        return float(((logits[self.rows] - self.logits) ** 2).sum() / (self.logits**2).sum())


def excerpts() -> dict[str, Golden]:
    """Those that are always here."""
    specs = json.loads((DATA / "archs.json").read_text())
    arrays = np.load(DATA / "archs.npz")
    return {
        name: Golden(name, spec, arrays[f"{name}.tokens"], arrays[f"{name}.rows"], arrays[f"{name}.logits"])
        for name, spec in specs.items()
    }


@cache
def shared() -> dict[str, Golden]:
    """All of the shared folder; none where it is absent."""
    found = {}
    for path in sorted(SHARED.glob("*.json")):
        arrays = np.load(path.with_suffix(".npz"))
        rows = np.arange(len(arrays["tokens"]))
        found[path.stem] = Golden(path.stem, json.loads(path.read_text()), arrays["tokens"], rows, arrays["logits"])
    return found


def keep(name: str) -> None:
    """Copy an excerpt of a shared model into `tests/data`: keys that say something, every sixth row of logits."""
    specs = json.loads((DATA / "archs.json").read_text())
    spec, arrays = json.loads((SHARED / f"{name}.json").read_text()), np.load(SHARED / f"{name}.npz")
    rows = np.arange(5, len(arrays["tokens"]), 6, dtype=np.int32)
    specs[name] = {
        "salt": spec["salt"],
        "kv": [entry for entry in spec["kv"] if says_something(entry[2])],
        "tensors": spec["tensors"],
    }
    shown = ",\n".join(f" {json.dumps(each)}: {shown_spec(specs[each])}" for each in sorted(specs))
    (DATA / "archs.json").write_text(f"{{\n{shown}\n}}\n")
    kept = dict(np.load(DATA / "archs.npz"))
    kept |= {f"{name}.tokens": arrays["tokens"], f"{name}.rows": rows, f"{name}.logits": arrays["logits"][rows]}
    np.savez_compressed(DATA / "archs.npz", **kept)


def says_something(value: Any) -> bool:
    """Neither zero nor a number that stands for none, nor a list of several of those."""
    if isinstance(value, list) and len(value) > 1:
        return any(map(says_something, value))
    return value not in (0, -1, 2**32 - 1, -math.inf)


def shown_spec(spec: dict[str, Any]) -> str:
    """JSON with a key or a tensor in each line."""
    parts = (f'\n  "{part}": [\n   ' + ",\n   ".join(map(json.dumps, spec[part])) + "]" for part in ("kv", "tensors"))
    return f'{{\n  "salt": {json.dumps(spec["salt"])},{",".join(parts)}}}'


def write_golden(golden: Golden, path: Path, type: str | None = None) -> Path:
    """The model's GGUF file; `type` is that of its matrices, in place of the spec's."""
    with GGUFWriter(path) as writer:
        for key, kind, value in golden.spec["kv"]:
            kind, _, element = kind.partition(":")
            writer.add(key, value, ValueType[kind], ValueType[element] if element else None)
        for name, shape, kind in golden.spec["tensors"]:
            x = values(name, shape, golden.spec.get("salt", ""))
            if type is not None and len(shape) > 1 and shape[0] % 32 == 0 and not name.endswith(ROUTER):
                writer.add_tensor(name, quantize(x, type), GGMLType[type.upper()])
            else:
                writer.add_tensor(name, x.astype({"F32": np.float32, "F16": np.float16}[kind]))
    return path


def uniform(name: str, n: int) -> np.ndarray:
    """n values in [-1, 1): splitmix64 of the index, keyed by the name."""
    key = np.uint64(zlib.crc32(name.encode())) << np.uint64(32)
    with np.errstate(over="ignore"):
        z = (np.arange(n, dtype=np.uint64) + key + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float32) / np.float32(2**23) - np.float32(1)


def values(name: str, shape: list[int], salt: str) -> np.ndarray:
    """A tensor, rows first; `shape` is in GGUF order. Norms lie around 1, decays below 0."""
    u = uniform(salt + name, int(np.prod(shape)))
    if "_norm." in name and name.endswith("weight"):
        x = 1 + 0.3 * u
    elif "ssm_a" in name:
        x = -(0.05 + 0.95 * np.abs(u))
    elif name.startswith(("rope_factors", "rope_freqs")):
        x = 1 + 1.5 * (u + 1)
    elif name == "token_embd.weight":
        x = u
    elif name.endswith(".bias") or len(shape) == 1 or shape[1] == 1:
        x = 0.3 * u
    else:
        x = u * np.float32(1.7 / np.sqrt(shape[0]))
    return x.astype(np.float32).reshape(shape[::-1])


if __name__ == "__main__":
    for wanted in sys.argv[1:]:
        keep(wanted)
