"""Tiny random encoders, one of each architecture, and llama.cpp's states of their tokens (`tests/data/encoders.npz`).

Every ninth row of the states of `TEXTS`, computed together in float32 (pooling none, without normalization).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from llamakit.core.gguf.writer import GGUFWriter

N_LAYER, N_EMBD, N_FF, N_VOCAB, N_CTX = 3, 64, 96, 128, 256
STATES = Path(__file__).parent / "data" / "encoders.npz"
STEP = 9
TEXTS = (lambda rng: [rng.integers(0, N_VOCAB, n).tolist() for n in (70, 9, 100)])(np.random.default_rng(5))

Shapes = list[tuple[str, tuple[int, ...]]]


def vectors(*names: str, n: int = N_EMBD, has_bias: bool = True) -> Shapes:
    return [(f"{name}.{suffix}", (n,)) for name in names for suffix in ("weight", "bias")[: 1 + has_bias]]


def attention(n_kv: int = N_EMBD, has_bias: bool = False) -> Shapes:
    widths = {"attn_q": N_EMBD, "attn_k": n_kv, "attn_v": n_kv, "attn_output": N_EMBD}
    biases = [(f"{name}.bias", (n,)) for name, n in widths.items() if has_bias]
    return [*((f"{name}.weight", (n, N_EMBD)) for name, n in widths.items()), *biases]


UP_DOWN: Shapes = [("ffn_up.weight", (N_FF, N_EMBD)), ("ffn_down.weight", (N_EMBD, N_FF))]
BIASES: Shapes = [("ffn_up.bias", (N_FF,)), ("ffn_down.bias", (N_EMBD,))]
GATE: Shapes = [("ffn_gate.weight", (N_FF, N_EMBD))]
FUSED: Shapes = [
    ("attn_qkv.weight", (3 * N_EMBD, N_EMBD)),
    ("attn_output.weight", (N_EMBD, N_EMBD)),
    ("ffn_up.weight", (2 * N_FF, N_EMBD)),
    ("ffn_down.weight", (N_EMBD, N_FF)),
]
EXPERTS: Shapes = [
    ("ffn_up_exps.weight", (4, N_FF, N_EMBD)),
    ("ffn_down_exps.weight", (4, N_EMBD, N_FF)),
    ("ffn_gate_inp.weight", (4, N_EMBD)),
]
BEHIND = vectors("attn_output_norm", "layer_output_norm")
BEFORE = vectors("attn_norm", "ffn_norm", has_bias=False)
TOP = [*vectors("token_embd_norm"), ("token_types.weight", (2, N_EMBD))]
LAST = vectors("output_norm", has_bias=False)
LLAMA = [*attention(32), *UP_DOWN, *GATE, *BEFORE]
BERT = [*attention(has_bias=True), *BEHIND, *UP_DOWN, *BIASES]


@dataclass(frozen=True)
class Encoder:
    """Shapes of tensors, of a layer and above; `layers` has those of a layer that is another."""

    layer: Shapes
    top: Shapes
    keys: Mapping[str, Any] = field(default_factory=dict)
    layers: Mapping[int, Shapes] = field(default_factory=dict)
    eps: str = "attention.layer_norm_epsilon"

    def shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield "token_embd.weight", (N_VOCAB, N_EMBD)
        yield from self.top
        for i in range(N_LAYER):
            for name, shape in self.layers.get(i, self.layer):
                yield f"blk.{i}.{name}", shape


RMS, GROUPED = "attention.layer_norm_rms_epsilon", {"attention.head_count_kv": 2}
ENCODERS = {
    "bert": Encoder(BERT, [*TOP, ("position_embd.weight", (N_CTX, N_EMBD))]),
    "nomic-bert": Encoder([*attention(), *BEHIND, *UP_DOWN, *GATE], TOP),
    "nomic-bert-moe": Encoder(
        BERT,
        TOP,
        {"moe_every_n_layers": 2, "expert_count": 4, "expert_used_count": 2},
        layers={1: [*attention(has_bias=True), *BEHIND, *EXPERTS]},
    ),
    "jina-bert-v2": Encoder(
        [
            *attention(has_bias=True),
            *BEHIND,
            *UP_DOWN,
            *BIASES[1:],
            *GATE,
            *vectors("attn_q_norm", "attn_k_norm", "attn_norm_2"),
        ],
        TOP,
    ),
    "jina-bert-v3": Encoder(BERT, TOP),
    "modern-bert": Encoder(
        [*FUSED, *BEFORE],
        [*vectors("token_embd_norm", has_bias=False), *LAST],
        {"attention.sliding_window": 20, "rope.freq_base": 160000.0, "rope.freq_base_swa": 10000.0},
        layers={0: [*FUSED, *BEFORE[1:]]},
    ),
    "eurobert": Encoder(LLAMA, LAST, GROUPED, eps=RMS),
    "neo-bert": Encoder([*FUSED, *BEFORE], vectors("enc.output_norm", has_bias=False), eps=RMS),
    "llama-embed": Encoder(LLAMA, LAST, GROUPED, eps=RMS),
    "gemma-embedding": Encoder(
        LLAMA
        + vectors("post_attention_norm", "post_ffw_norm", has_bias=False)
        + vectors("attn_q_norm", "attn_k_norm", n=16, has_bias=False),
        LAST,
        {
            "attention.sliding_window": 20,
            "attention.sliding_window_pattern": 2,
            "attention.key_length": 16,
            "attention.value_length": 16,
            "rope.freq_base": 1e6,
            **GROUPED,
        },
        eps=RMS,
    ),
}


def write_tiny_encoder(path: Path, arch: str, more: Mapping[str, Any] = {}, extra: Shapes = []) -> Path:  # noqa: B006
    """Its GGUF file; `more` are further keys, whole ones, and `extra` further tensors."""
    encoder, rng = ENCODERS[arch], np.random.default_rng(0)
    keys = {
        "block_count": N_LAYER,
        "context_length": N_CTX,
        "embedding_length": N_EMBD,
        "feed_forward_length": N_FF,
        "attention.head_count": 4,
        "attention.causal": False,
        "vocab_size": N_VOCAB,
        encoder.eps: 1e-5,
        **encoder.keys,
    }
    with GGUFWriter(path) as writer:
        writer.add("general.architecture", arch)
        for key, value in keys.items():
            writer.add(f"{arch}.{key}", value)
        for key, value in {"tokenizer.ggml.token_type_count": 2, **more}.items():
            writer.add(key, value)
        if not any(key == "tokenizer.ggml.model" for key in more):
            writer.add("tokenizer.ggml.model", "none")
        for name, shape in [*encoder.shapes(), *extra]:
            x = rng.uniform(-1, 1, shape).astype(np.float32)
            if "norm" in name and name.endswith("weight"):
                x = 1 + x * np.float32(0.3)
            elif len(shape) > 1 and "embd" not in name:
                x *= np.float32(1.5 * (3 / shape[-1]) ** 0.5)
            writer.add_tensor(name, x)
    return path
