"""A tiny model with weights, and what llamakit makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.types import GGMLType
from llamakit.core.gguf.values import ByteOrder
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.tools.quantize.file_types import parse_file_type
from llamakit.tools.quantize.plan import Options, Plan
from llamakit.tools.quantize.run import quantize_file

Floats = npt.NDArray[np.float32]
SHAPES: Mapping[str, tuple[int, ...]] = {
    "token_embd.weight": (256, 40),
    "output_norm.weight": (256,),
    "output.weight": (256, 40),
    "blk.0.attn_q.weight": (256, 256),
    "blk.0.attn_norm.weight": (256,),
    "blk.0.ffn_down.weight": (512, 256),
    "blk.1.attn_q.weight": (256, 256),
    "blk.1.attn_norm.weight": (256,),
    "blk.1.ffn_down.weight": (512, 256),
}


def weights(shapes: Mapping[str, tuple[int, ...]] = SHAPES, seed: int = 0) -> dict[str, Floats]:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape[::-1]).astype(np.float32) for name, shape in shapes.items()}


def write_model(
    path: Path, tensors: Mapping[str, Floats] | None = None, dtype: str = "f2", byte_order: ByteOrder = "little"
) -> Path:
    """Matrices in `dtype`, "bf16" for bfloat16; vectors in float32."""
    with GGUFWriter(path, byte_order=byte_order) as writer:
        writer.add("general.architecture", "llama")
        writer.add("general.file_type", 1)
        writer.add("general.name", "tiny")
        writer.add("llama.block_count", 2)
        writer.add("tokenizer.ggml.tokens", ["a", "b"])
        for name, values in (weights() if tensors is None else tensors).items():
            if values.ndim < 2:
                writer.add_tensor(name, values)
            elif dtype == "bf16":
                bits = (values.view(np.uint32) >> 16).astype("<u2")
                writer.add_tensor(name, bits.view(np.uint8), GGMLType.BF16)
            else:
                writer.add_tensor(name, values.astype(dtype))
    return path


def quantized(source: Path, output: Path, file_type: str = "Q4_0", n_threads: int = 2, **options: object) -> Plan:
    return quantize_file(source, output, parse_file_type(file_type), Options(**options), n_threads)  # type: ignore[arg-type]


def types_of(path: Path) -> dict[str, str]:
    with GGUFReader(path) as reader:
        return {tensor.name: tensor.type.name for tensor in reader.tensors}
