"""Families without a golden checkpoint: random tensors of their names, which the engine must take as they come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llamakit.convert.plan import OUTPUT_TYPES, Source, make_plan, metadata
from llamakit.convert.run import Options, carry_out
from llamakit.core.graph.ops import RmsNorm, in_order

from ..running import open_decoder, reference
from .folders import safetensors_bytes, write_folder

Shapes = dict[str, tuple[int, ...]]
ATTENTION: Shapes = {
    "self_attn.q_proj": (32, 32), "self_attn.k_proj": (16, 32), "self_attn.v_proj": (16, 32),
    "self_attn.o_proj": (32, 32), "input_layernorm": (32,), "post_attention_layernorm": (32,),
}  # fmt: skip
FEED_FORWARD: Shapes = {"mlp.gate_proj": (64, 32), "mlp.up_proj": (64, 32), "mlp.down_proj": (32, 64)}
WHOLE: Shapes = {"model.embed_tokens": (262, 32), "model.norm": (32,), "lm_head": (262, 32)}


def weights(prefix: str, shapes: Shapes, whole: Shapes) -> Shapes:
    layers = {f"{prefix}.{i}.{name}.weight": shape for i in range(2) for name, shape in shapes.items()}
    return layers | {f"{name}.weight": shape for name, shape in whole.items()}


MOE = {
    f"mlp.experts.{e}.{w}_proj": (24, 32) if w != "down" else (32, 24) for e in range(4) for w in ("gate", "up", "down")
}
SHARED = {f"mlp.shared_experts.{w}_proj": (24, 32) if w != "down" else (32, 24) for w in ("gate", "up", "down")}
CASES: dict[str, tuple[dict[str, Any], Shapes]] = {
    "XverseForCausalLM": ({}, weights("model.layers", {**ATTENTION, **FEED_FORWARD}, WHOLE)),
    "OrionForCausalLM": (
        {},
        {
            **weights("model.layers", {**ATTENTION, **FEED_FORWARD}, WHOLE),
            "model.norm.bias": (32,),
            **{f"model.layers.{i}.{n}_layernorm.bias": (32,) for i in range(2) for n in ("input", "post_attention")},
        },
    ),
    "BaichuanForCausalLM": (
        {"num_key_value_heads": 4},
        weights(
            "model.layers",
            {
                "self_attn.W_pack": (96, 32), "self_attn.o_proj": (32, 32), "input_layernorm": (32,),
                "post_attention_layernorm": (32,), **FEED_FORWARD,
            },
            WHOLE,
        ),
    ),
    "InternLM2ForCausalLM": (
        {},
        weights(
            "model.layers",
            {
                "attention.wqkv": (64, 32), "attention.wo": (32, 32), "attention_norm": (32,), "ffn_norm": (32,),
                "feed_forward.w1": (64, 32), "feed_forward.w2": (32, 64), "feed_forward.w3": (64, 32),
            },
            {"model.tok_embeddings": (262, 32), "model.norm": (32,), "output": (262, 32)},
        ),
    ),
    "ExaoneForCausalLM": (
        {"layer_norm_epsilon": 1e-5, "activation_function": "silu"},
        weights(
            "transformer.h",
            {
                "ln_1": (32,), "ln_2": (32,), "attn.attention.q_proj": (32, 32), "attn.attention.k_proj": (16, 32),
                "attn.attention.v_proj": (16, 32), "attn.attention.out_proj": (32, 32), "mlp.c_fc_0": (64, 32),
                "mlp.c_fc_1": (64, 32), "mlp.c_proj": (32, 64),
            },
            {"transformer.wte": (262, 32), "transformer.ln_f": (32,), "lm_head": (262, 32)},
        ),
    ),
    "PhiForCausalLM": (
        {"qk_layernorm": True, "layer_norm_eps": 1e-5, "num_key_value_heads": 4},
        {
            **{
                f"model.layers.{i}.{name}.{kind}": shape if kind == "weight" else shape[:1]
                for i in range(2)
                for name, shape in {
                    **{f"self_attn.{n}": (32, 32) for n in ("q_proj", "k_proj", "v_proj", "dense")},
                    **{f"self_attn.{n}_layernorm": (8,) for n in "qk"},
                    "input_layernorm": (32,), "mlp.fc1": (64, 32), "mlp.fc2": (32, 64),
                }.items()
                for kind in ("weight", "bias")
            },
            **{f"model.final_layernorm.{kind}": (32,) for kind in ("weight", "bias")},
            "model.embed_tokens.weight": (262, 32), "lm_head.weight": (262, 32), "lm_head.bias": (262,),
        },
    ),
    "Lfm2MoeForCausalLM": (
        {
            "layer_types": ["conv", "full_attention"], "num_dense_layers": 1, "moe_intermediate_size": 24,
            "num_experts": 4, "num_experts_per_tok": 2, "conv_L_cache": 3, "norm_eps": 1e-5,
        },
        {
            "model.embed_tokens.weight": (262, 32), "model.embedding_norm.weight": (32,), "lm_head.weight": (262, 32),
            **{f"model.layers.{i}.{n}_norm.weight": (32,) for i in range(2) for n in ("operator", "ffn")},
            "model.layers.0.conv.conv.weight": (32, 1, 3), "model.layers.0.conv.in_proj.weight": (96, 32),
            "model.layers.0.conv.out_proj.weight": (32, 32), "model.layers.0.feed_forward.w1.weight": (64, 32),
            "model.layers.0.feed_forward.w2.weight": (32, 64), "model.layers.0.feed_forward.w3.weight": (64, 32),
            "model.layers.1.self_attn.q_proj.weight": (32, 32), "model.layers.1.self_attn.k_proj.weight": (16, 32),
            "model.layers.1.self_attn.v_proj.weight": (16, 32), "model.layers.1.self_attn.out_proj.weight": (32, 32),
            "model.layers.1.self_attn.q_layernorm.weight": (8,), "model.layers.1.self_attn.k_layernorm.weight": (8,),
            "model.layers.1.feed_forward.gate.weight": (4, 32), "model.layers.1.feed_forward.expert_bias": (4,),
            **{
                f"model.layers.1.feed_forward.experts.{e}.{w}.weight": (32, 24) if w == "w2" else (24, 32)
                for e in range(4) for w in ("w1", "w2", "w3")
            },
        },
    ),
    "MiniCPM3ForCausalLM": (
        {
            "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8, "scale_emb": 12,
            "scale_depth": 1.4, "dim_model_base": 256, "num_key_value_heads": 4,
        },
        weights(
            "model.layers",
            {
                "self_attn.q_proj": (48, 32), "self_attn.kv_a_proj_with_mqa": (20, 32),
                "self_attn.kv_a_layernorm": (16,), "self_attn.kv_b_proj": (64, 16), "self_attn.o_proj": (32, 32),
                "input_layernorm": (32,), "post_attention_layernorm": (32,), **FEED_FORWARD,
            },
            WHOLE,
        ),
    ),
    "HeliumForCausalLM": ({"head_dim": 8}, weights("model.layers", {**ATTENTION, **FEED_FORWARD}, WHOLE)),
    "HyperCLOVAXForCausalLM": (
        {"logits_scaling": 2.0, "residual_multiplier": 0.5},
        weights("model.layers", {**ATTENTION, **FEED_FORWARD, "post_norm1": (32,), "post_norm2": (32,)}, WHOLE),
    ),
    "GraniteSpeechForConditionalGeneration": (
        {"text_config": {"model_type": "granite"}, "encoder_config": {}, "logits_scaling": 2.0},
        weights("language_model.model.layers", {**ATTENTION, **FEED_FORWARD}, WHOLE)
        | {"encoder.layers.0.attn.to_q.weight": (8, 8), "projector.qformer.layer.0.dense.weight": (8, 8)},
    ),
    "VaultGemmaForCausalLM": (
        {
            "sliding_window": 8, "head_dim": 8, "hidden_activation": "gelu_pytorch_tanh", "tie_word_embeddings": True,
        },
        weights(
            "model.layers",
            {
                **{k: v for k, v in ATTENTION.items() if k != "post_attention_layernorm"}, **FEED_FORWARD,
                "pre_feedforward_layernorm": (32,),
            },
            {k: v for k, v in WHOLE.items() if k != "lm_head"},
        ),
    ),
    "DeepseekForCausalLM": (
        {
            "first_k_dense_replace": 0, "moe_intermediate_size": 24, "n_routed_experts": 4, "n_shared_experts": 1,
            "num_experts_per_tok": 2,
        },
        weights("model.layers", {**ATTENTION, **MOE, **SHARED, "mlp.gate": (4, 32)}, WHOLE),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_engine_takes_what_is_written(name: str, tmp_path: Path) -> None:
    decoder = open_decoder(written(name, tmp_path))
    assert np.isfinite(reference(decoder, decoder.logits(128)).run(np.arange(9))).all()


@pytest.mark.parametrize("name, n_norm", [("HyperCLOVAXForCausalLM", 9), ("VaultGemmaForCausalLM", 5)])
def test_norms_behind_parts_are_there_if_the_checkpoint_has_them(name: str, n_norm: int, tmp_path: Path) -> None:
    decoder = open_decoder(written(name, tmp_path))
    assert sum(isinstance(node, RmsNorm) for node in in_order(decoder.logits(128))) == n_norm


def written(name: str, tmp_path: Path) -> Path:
    settings, shapes = CASES[name]
    folder = write_folder(tmp_path / "tiny", {"architectures": [name], "model_type": "x", **settings})
    rng = np.random.default_rng(3)
    arrays = {n: rng.normal(0, 0.1, shape).astype(np.float32) for n, shape in shapes.items()}
    (folder / "model.safetensors").write_bytes(safetensors_bytes(arrays))
    source = Source.open(folder)
    plan = make_plan(source, metadata(source), OUTPUT_TYPES["f32"])
    assert not plan.unknown
    for _ in carry_out(plan, tmp_path / "out.gguf", Options()):
        pass
    return tmp_path / "out.gguf"
