"""What a saved state depends on: the same in two contexts, the cells of one mean the same in the other."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from llamakit.core.gguf.tensor import Tensor
from llamakit.core.graph.fused import RopeAttention
from llamakit.core.graph.ops import Rope, in_order
from llamakit.core.kernels.checksum import XXH64
from llamakit.core.kernels.kv_cells import BLOCK

if TYPE_CHECKING:
    from llamakit.core.engine.context import Context
    from llamakit.core.engine.load import Model

SAMPLE = 1024  # bytes looked at in the beginning, the middle and the end of each tensor
NOT_COMPUTED = ("rope.", "context_length")  # rotations are compared as they are in force

# What to say where an entry of two identities differs.
NAMES = {
    "model": "another model",
    "weights": "other weights",
    "metadata": "other metadata (see --override-kv)",
    "rotation": "other rotations (see --rope-scaling and the like, and -c)",
    "cache types": "other types of cache (see -ctk, -ctv)",
    "cells": "another layout of cells",
    "adapters": "other adapters (see --lora, --control-vector)",
}


def identity(context: Context) -> dict[str, str]:
    """Entries as in NAMES. The context's length is none: a state fits wherever its positions do."""
    cache = context.cache
    rotations = [repr(n.rotation) for n in in_order(context.graph) if isinstance(n, RopeAttention | Rope)]
    return {
        **context.model.identity,
        "rotation": checksum("\n".join(rotations).encode()),
        "cache types": f"{cache.type_k.name} and {cache.type_v.name}",
        "cells": f"{BLOCK} {sys.byteorder}-endian",
        "adapters": identity_of_adapters(context),
    }


def identity_of_model(model: Model) -> dict[str, str]:
    """The entries that are the same for all contexts of an open model."""
    numbers = {
        key: model.metadata[key]
        for key in model.metadata
        if key.startswith(f"{model.arch}.") and not key.removeprefix(f"{model.arch}.").startswith(NOT_COMPUTED)
    }
    hasher = XXH64()
    for tensor in model.reader.tensors:
        hasher.update(f"{tensor.name} {tensor.shape} {tensor.type.name}\n".encode())
        for start in sample(tensor):
            hasher.update(tensor.source.view(tensor.offset + start, min(SAMPLE, tensor.n_bytes - start)).data)
    return {
        "model": model.description,
        "weights": hasher.hexdigest(),
        "metadata": checksum("\n".join(f"{key} {numbers[key]}" for key in sorted(numbers)).encode()),
    }


def identity_of_adapters(context: Context) -> str:
    """Of those that change anything."""
    hasher = XXH64()
    for adapter, scale in context.adapters:
        if scale:
            hasher.update(f"{scale} {adapter.alpha}\n".encode())
            for name in sorted(adapter.pairs):
                hasher.update(name.encode())
                hasher.update(adapter.pairs[name].a.tobytes())
                hasher.update(adapter.pairs[name].b.tobytes())
    for i, direction in sorted(context.directions.items()):
        hasher.update(f"{i}".encode())
        hasher.update(direction.tobytes())
    return hasher.hexdigest()


def sample(tensor: Tensor) -> list[int]:
    """Where the looked-at pieces of a tensor begin."""
    last = max(0, tensor.n_bytes - SAMPLE)
    return sorted({0, last // 2, last})


def checksum(data: bytes) -> str:
    hasher = XXH64()
    hasher.update(data)
    return hasher.hexdigest()
