"""A tiny Llama as a Hugging Face folder, to be damaged by tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "vocab_size": 262,
    "tie_word_embeddings": False,
}
_LETTERS = [chr(b) for b in range(33, 127)]
SPLIT = r"[a-z]+|\p{N}{2}|\s+"  # a rule that no name stands for


def tensors(n_layer: int = 2) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    shapes = {
        "model.embed_tokens.weight": (262, 32), "model.norm.weight": (32,), "lm_head.weight": (262, 32),
    }  # fmt: skip
    for i in range(n_layer):
        shapes |= {
            f"model.layers.{i}.{name}.weight": shape
            for name, shape in {
                "input_layernorm": (32,), "self_attn.q_proj": (32, 32), "self_attn.k_proj": (16, 32),
                "self_attn.v_proj": (16, 32), "self_attn.o_proj": (32, 32), "post_attention_layernorm": (32,),
                "mlp.gate_proj": (64, 32), "mlp.up_proj": (64, 32), "mlp.down_proj": (32, 64),
            }.items()
        }  # fmt: skip
    return {name: rng.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()}


def safetensors_bytes(arrays: Mapping[str, np.ndarray], dtype: str = "F32") -> bytes:
    """The file format, written by hand; arrays hold the values as `dtype` stores them."""
    header, data = {}, b""
    for name, array in arrays.items():
        raw = array.tobytes()
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    return with_header(json.dumps(header).encode(), data)


def with_header(header: bytes, data: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header + data


def tokenizer() -> dict[str, Any]:
    """A byte-level BPE of 262 tokens with one merge."""
    from llamakit.core.vocab.letters import LETTERS

    vocab = {text: i for i, text in enumerate([*LETTERS, "th", "the"])}
    added = [
        {
            "id": 258 + k, "content": text, "special": True, "normalized": False,
            "single_word": False, "lstrip": False, "rstrip": False,
        }
        for k, text in enumerate(("<s>", "</s>", "<|im_end|>", "<pad>"))
    ]  # fmt: skip
    return {
        "version": "1.0",
        "added_tokens": added,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "vocab": vocab, "merges": [["t", "h"], ["th", "e"]]},
    }


def write_folder(folder: Path, config: Mapping[str, Any] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **(config or {})}))
    (folder / "model.safetensors").write_bytes(safetensors_bytes(tensors()))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer()))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "</s>"}))
    return folder
