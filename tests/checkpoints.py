"""Hugging Face encoders written as GGUF files, by the few names they have."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from llamakit.core.gguf.writer import GGUFWriter

NAMES = {  # parts of a tensor's name, those of Hugging Face first
    "bert": {
        r"^bert\.": "",
        r"embeddings\.word_embeddings": "token_embd",
        r"embeddings\.position_embeddings": "position_embd",
        r"embeddings\.token_type_embeddings": "token_types",
        r"embeddings\.LayerNorm": "token_embd_norm",
        r"encoder\.layer\.": "blk.",
        r"attention\.self\.query": "attn_q",
        r"attention\.self\.key": "attn_k",
        r"attention\.self\.value": "attn_v",
        r"attention\.output\.dense": "attn_output",
        r"attention\.output\.LayerNorm": "attn_output_norm",
        r"intermediate\.dense": "ffn_up",
        r"output\.dense": "ffn_down",
        r"output\.LayerNorm": "layer_output_norm",
    },
    "modern-bert": {
        r"embeddings\.tok_embeddings": "token_embd",
        r"embeddings\.norm": "token_embd_norm",
        r"^layers\.": "blk.",
        r"attn\.Wqkv": "attn_qkv",
        r"attn\.Wo": "attn_output",
        r"mlp\.Wi": "ffn_up",
        r"mlp\.Wo": "ffn_down",
        r"mlp_norm": "ffn_norm",
        r"final_norm": "output_norm",
    },
}
LEFT_OUT = ("pooler.", "position_ids")


def write_encoder(folder: Path, path: Path, arch: str, more: Mapping[str, Any] = {}) -> Path:
    """A checkpoint as a GGUF file in float32; `more` are further keys, without the architecture's name in front."""
    config = json.loads((folder / "config.json").read_text())
    keys = {
        "block_count": config["num_hidden_layers"],
        "context_length": config["max_position_embeddings"],
        "embedding_length": config["hidden_size"],
        "feed_forward_length": config["intermediate_size"],
        "attention.head_count": config["num_attention_heads"],
        "attention.layer_norm_epsilon": float(config.get("layer_norm_eps") or config["norm_eps"]),
        "attention.causal": False,
        **more,
    }
    with GGUFWriter(path) as writer:
        writer.add("general.architecture", arch)
        for key, value in keys.items():
            writer.add(f"{arch}.{key}", value)
        if "type_vocab_size" in config:
            writer.add("tokenizer.ggml.token_type_count", config["type_vocab_size"])
        for name, data in load_file(folder / "model.safetensors").items():
            if not any(part in name for part in LEFT_OUT):
                for theirs, ours in NAMES[arch].items():
                    name = re.sub(theirs, ours, name)
                writer.add_tensor(name, data.astype("float32"))
    return path
