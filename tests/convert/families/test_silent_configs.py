"""Keys where a config says nothing: llama.cpp must load the file all the same, and compute the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llamakit.convert.checkpoint import Checkpoint
from llamakit.convert.config import Config
from llamakit.convert.registry import find_family

GEMMA4 = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32,
    "intermediate_size": 128, "max_position_embeddings": 256, "vocab_size": 512, "rms_norm_eps": 1e-6,
    "sliding_window": 20, "layer_types": ["sliding_attention", "full_attention"],
}  # fmt: skip
T5 = {
    "d_model": 64, "d_ff": 128, "d_kv": 16, "num_layers": 2, "num_heads": 4, "layer_norm_epsilon": 1e-6,
    "relative_attention_num_buckets": 8, "vocab_size": 512,
}  # fmt: skip


def keys_of(name: str, values: dict[str, Any]) -> dict[str, Any]:
    config = Config(Path("config.json"), {"architectures": [name], **values})
    return dict(find_family(config)(config, Checkpoint({})).keys())


def test_logits_of_gemma_4_without_a_bound_are_said_to_have_none() -> None:
    for values, wanted in (
        ({}, 0.0),
        ({"final_logit_softcapping": None}, 0.0),
        ({"final_logit_softcapping": 30.0}, 30.0),
    ):
        assert keys_of("Gemma4ForCausalLM", GEMMA4 | values)["gemma4.final_logit_softcapping"] == wanted


def test_an_encoder_alone_needs_nothing_of_a_decoder() -> None:
    assert not [key for key in keys_of("T5EncoderModel", T5) if "decoder" in key or "logit" in key]
    both = keys_of("T5ForConditionalGeneration", T5 | {"decoder_start_token_id": 0, "num_decoder_layers": 3})
    assert both["t5.decoder_start_token_id"] == 0 and both["t5.decoder_block_count"] == 3
