"""Models that are nothing but shapes: enough to plan with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.source import Source
from llamakit.core.gguf.tensor import Tensor
from llamakit.core.gguf.types import GGMLType


def tensor(name: str, shape: Sequence[int], type_: GGMLType = GGMLType.F16, offset: int = 0) -> Tensor:
    return Tensor(name, tuple(shape), type_, offset, 0, 0, "little", cast(Source, SimpleNamespace(path=Path("m.gguf"))))


def reader(metadata: Mapping[str, Any], *files: Sequence[Tensor]) -> GGUFReader:
    """What planning asks of a reader; `files` are the tensors of each shard."""
    return cast(
        GGUFReader,
        SimpleNamespace(
            path=Path("m.gguf"),
            metadata={"general.architecture": "llama", **metadata},
            files=[SimpleNamespace(tensors=list(file)) for file in files],
            tensors=[tensor for file in files for tensor in file],
        ),
    )


def llama(n_layer: int = 2, *, n_embd: int = 256, n_ff: int = 512, n_gqa: int = 1, is_tied: bool = False) -> GGUFReader:
    metadata = {
        "llama.block_count": n_layer,
        "llama.attention.head_count": 2 * n_gqa,
        "llama.attention.head_count_kv": 2,
    }
    shapes = {"token_embd.weight": (n_embd, 1000), "output_norm.weight": (n_embd,)}
    if not is_tied:
        shapes["output.weight"] = (n_embd, 1000)
    for i in range(n_layer):
        shapes |= {
            f"blk.{i}.attn_norm.weight": (n_embd,),
            f"blk.{i}.attn_q.weight": (n_embd, n_embd),
            f"blk.{i}.attn_k.weight": (n_embd, n_embd // n_gqa),
            f"blk.{i}.attn_v.weight": (n_embd, n_embd // n_gqa),
            f"blk.{i}.attn_output.weight": (n_embd, n_embd),
            f"blk.{i}.ffn_norm.weight": (n_embd,),
            f"blk.{i}.ffn_gate.weight": (n_embd, n_ff),
            f"blk.{i}.ffn_up.weight": (n_embd, n_ff),
            f"blk.{i}.ffn_down.weight": (n_ff, n_embd),
        }
    f32 = {name: GGMLType.F32 if len(shape) == 1 else GGMLType.F16 for name, shape in shapes.items()}
    return reader(metadata, [tensor(name, shape, f32[name]) for name, shape in shapes.items()])
