"""Random models of any shape and mix of types, small enough to make in a test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from llamakit.core.gguf.types import BLOCK_SIZES, GGMLType
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.core.quants import quantize

PLAIN = {"f32": np.float32, "f16": np.float16}


@dataclass(frozen=True)
class Tiny:
    """A model to write. `types` overrides `type` for tensors by name, without "blk.{i}." and ".weight"."""

    arch: str = "llama"
    n_layer: int = 2
    n_embd: int = 64
    n_head: int = 4
    n_head_kv: int = 2
    head_dim: int = 16
    n_ff: int = 96
    n_vocab: int = 67
    n_ctx: int = 256
    n_expert: int = 0
    n_expert_used: int = 0
    is_tied: bool = False
    type: str = "f32"
    types: Mapping[str, str] = field(default_factory=dict)
    window: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict)  # more keys, or other values; None: not there
    vectors: Mapping[str, list[float]] = field(default_factory=dict)  # more tensors, by whole name
    seed: int = 0

    def keys(self) -> dict[str, Any]:
        """Metadata by full key."""
        own = {
            "block_count": self.n_layer,
            "context_length": self.n_ctx,
            "embedding_length": self.n_embd,
            "feed_forward_length": self.n_ff,
            "attention.head_count": self.n_head,
            "attention.head_count_kv": self.n_head_kv,
            "attention.key_length": self.head_dim,
            "attention.value_length": self.head_dim,
            "attention.layer_norm_rms_epsilon": 1e-5,
            "rope.freq_base": 10000.0,
        }
        if self.n_expert:
            own |= {"expert_count": self.n_expert, "expert_used_count": self.n_expert_used}
        if self.window:
            own["attention.sliding_window"] = self.window
        keys = {"general.architecture": self.arch} | {f"{self.arch}.{key}": value for key, value in own.items()}
        return {key: value for key, value in (keys | dict(self.metadata)).items() if value is not None}

    def shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Tensors by name, rows first."""
        n_q, n_kv = self.n_head * self.head_dim, self.n_head_kv * self.head_dim
        yield "token_embd.weight", (self.n_vocab, self.n_embd)
        yield "output_norm.weight", (self.n_embd,)
        if not self.is_tied:
            yield "output.weight", (self.n_vocab, self.n_embd)
        for i in range(self.n_layer):
            for name, shape in self.layer_shapes(n_q, n_kv):
                yield f"blk.{i}.{name}", shape

    def layer_shapes(self, n_q: int, n_kv: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        n, n_ff, n_expert = self.n_embd, self.n_ff, self.n_expert
        yield "attn_norm.weight", (n,)
        yield "attn_q.weight", (n_q, n)
        yield "attn_k.weight", (n_kv, n)
        yield "attn_v.weight", (n_kv, n)
        yield "attn_output.weight", (n, n_q)
        if self.arch == "qwen2":
            yield from (("attn_q.bias", (n_q,)), ("attn_k.bias", (n_kv,)), ("attn_v.bias", (n_kv,)))
        if self.arch in ("qwen3", "gemma3"):
            yield from (("attn_q_norm.weight", (self.head_dim,)), ("attn_k_norm.weight", (self.head_dim,)))
        if self.arch == "gemma3":
            yield from (("post_attention_norm.weight", (n,)), ("post_ffw_norm.weight", (n,)))
        yield "ffn_norm.weight", (n,)
        if n_expert:
            yield "ffn_gate_inp.weight", (n_expert, n)
            yield "ffn_gate_exps.weight", (n_expert, n_ff, n)
            yield "ffn_up_exps.weight", (n_expert, n_ff, n)
            yield "ffn_down_exps.weight", (n_expert, n, n_ff)
        else:
            yield "ffn_gate.weight", (n_ff, n)
            yield "ffn_up.weight", (n_ff, n)
            yield "ffn_down.weight", (n, n_ff)

    def type_of(self, name: str, shape: tuple[int, ...]) -> str:
        """Vectors and routers stay F32, and so do rows that are no whole blocks."""
        short = name.removesuffix(".weight").split(".")[-1]
        if len(shape) == 1 or short == "ffn_gate_inp":
            return "f32"
        type = self.types.get(short, self.type)
        return "f32" if shape[-1] % BLOCK_SIZES[GGMLType[type.upper()]].n_values else type


def write_tiny(path: Path, tiny: Tiny) -> Path:
    """The model's GGUF file."""
    rng = np.random.default_rng(tiny.seed)
    with GGUFWriter(path) as writer:
        for key, value in tiny.keys().items():
            writer.add(key, value)
        for name, shape in tiny.shapes():
            x = rng.uniform(-1, 1, shape).astype(np.float32)
            if "norm" in name:
                x = 1 + x * np.float32(0.3)
            elif name != "token_embd.weight":
                x *= np.float32((3 / shape[-1]) ** 0.5)
            type = tiny.type_of(name, shape)
            if type in PLAIN:
                writer.add_tensor(name, x.astype(PLAIN[type]))
            else:
                writer.add_tensor(name, quantize(x, type), GGMLType[type.upper()])
        for name, numbers in tiny.vectors.items():
            writer.add_tensor(name, np.array(numbers, np.float32))
    return path
