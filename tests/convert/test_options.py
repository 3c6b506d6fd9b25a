"""Options of checkpoints that the golden ones do not have: the keys that tell the engine of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llamakit.convert.checkpoint import Checkpoint
from llamakit.convert.config import Config
from llamakit.convert.registry import find_family
from llamakit.errors import ModelError

SIZES = {
    "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 128, "max_position_embeddings": 256, "vocab_size": 512, "rms_norm_eps": 1e-5,
}  # fmt: skip
EXPERTS = {
    "moe_intermediate_size": 48, "n_routed_experts": 8, "num_experts": 8, "num_experts_per_tok": 2, "kv_lora_rank": 32,
    "qk_rope_head_dim": 16, "qk_nope_head_dim": 16, "v_head_dim": 16, "routed_scaling_factor": 1.0,
}  # fmt: skip
NEMOTRON = {
    "layers_block_type": ["mamba", "mlp"], "mamba_num_heads": 4, "ssm_state_size": 16, "layer_norm_epsilon": 1e-5,
}  # fmt: skip
BAMBA = {
    "attn_layer_indices": [1], "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_conv": 4, "mamba_d_state": 16,
    "mamba_n_groups": 1,
}  # fmt: skip
DELTA = {
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 16, "linear_value_head_dim": 16,
    "linear_conv_kernel_dim": 4,
}  # fmt: skip
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "rope_theta": 1e4}
LLAMA3 = {"rope_type": "llama3", "factor": 4.0, "high_freq_factor": 1.0, "original_max_position_embeddings": 64}
TURNED = {"rope_type": "default", "rope_theta": 1e4}
LONG = {"rope_type": "longrope", "factor": 4.0, "attention_factor": 1.5, "original_max_position_embeddings": 64}
ERNIE = {
    "moe_num_experts": 8, "moe_k": 2, "moe_layer_interval": 1, "moe_layer_start_index": 1, "moe_intermediate_size": 48,
    "moe_norm_min": 1e-12,
}  # fmt: skip
EXAONE = EXPERTS | {
    "num_shared_experts": 1, "norm_topk_prob": True, "sliding_window": 20, "layer_types": ["sliding_attention"] * 4,
    "first_k_dense_replace": 1,
}  # fmt: skip
MIMO = EXPERTS | {"sliding_window": 20, "hybrid_layer_pattern": [0, 1, 1, 1], "partial_rotary_factor": 0.5}
WINDOWS = {"sliding_window": 20, "layer_types": [*["sliding_attention"] * 3, "full_attention"]}
COHERE = {"logit_scale": 0.5, "sliding_window": 20, "num_experts": 8, "num_experts_per_tok": 2}
KIMI = EXPERTS | {
    "layer_types": [*["linear_attention"] * 3, "full_attention"],
    "num_shared_experts": 1,
    "first_k_dense_replace": 1,
}
M3 = EXPERTS | {"n_shared_experts": 1, "moe_layer_freq": [0, 1, 1, 1]}
LATE = [False, False, True, True]


def two_rotations(whole: dict[str, Any], window: dict[str, Any]) -> dict[str, Any]:
    return {"rope_parameters": {"full_attention": whole, "sliding_attention": window}}


def keys_of(name: str, **options: Any) -> dict[str, Any]:
    config = Config(Path("config.json"), {"architectures": [name], **SIZES, **options})
    return find_family(config)(config, Checkpoint({})).keys()


@pytest.mark.parametrize(
    "name, options, wanted",
    [
        ("MistralForCausalLM", {"sliding_window": 20}, {"llama.attention.sliding_window": 20}),
        ("MistralForCausalLM", {"sliding_window": None}, {"llama.attention.sliding_window": None}),
        (
            "Qwen2ForCausalLM",
            {"sliding_window": 20, "use_sliding_window": True, "max_window_layers": 2},
            {"qwen2.attention.sliding_window": 20, "qwen2.attention.sliding_window_pattern": LATE},
        ),
        (
            "Qwen2ForCausalLM",
            {"sliding_window": 20, "use_sliding_window": False, "max_window_layers": 2},
            {"qwen2.attention.sliding_window": None},
        ),
        ("LlamaForCausalLM", {"hidden_act": "gelu"}, {"llama.hidden_activation": "gelu_erf"}),
        ("LlamaForCausalLM", {"hidden_act": "hardswish"}, {"llama.hidden_activation": "hard_swish"}),
        ("LlamaForCausalLM", {"hidden_act": "silu"}, {"llama.hidden_activation": None}),
        ("BitNetForCausalLM", {"hidden_act": "relu2"}, {"bitnet.hidden_activation": "relu2"}),
        (
            "SmolLM3ForCausalLM",
            {"no_rope_layers": [1, 0, 1, 0]},
            {"smollm3.attention.rope_pattern": [True, False, True, False]},
        ),
        ("SmolLM3ForCausalLM", {"no_rope_layers": [1, 1, 1, 0]}, {"smollm3.attention.rope_pattern": None}),
        (
            "Qwen3MoeForCausalLM",
            EXPERTS | {"norm_topk_prob": False},
            {"llamakit.expert_weights_norm": False, "qwen3moe.expert_weights_norm": None},
        ),
        (
            "DeepseekV2ForCausalLM",
            EXPERTS | {"model_type": "deepseek_v2", "topk_method": "group_limited_greedy", "rms_norm_eps": 1e-3},
            {"llamakit.expert_group_best_count": 1, "llamakit.latent_norm_epsilon": 1e-6},
        ),
        (
            "LlamaForCausalLM",
            {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "truncate": False, "rope_theta": 1e4}},
            {"llamakit.rope.yarn_truncate": False, "llama.rope.scaling.type": "yarn"},
        ),
        ("Qwen3NextForCausalLM", EXPERTS | DELTA, {"llamakit.unit_norm_epsilon": 1e-6}),
        ("Qwen3NextForCausalLM", EXPERTS | DELTA | {"rms_norm_eps": 1e-6}, {"llamakit.unit_norm_epsilon": None}),
        ("GPT2LMHeadModel", {"head_dim": 24}, {"gpt2.attention.key_length": None}),
        ("MiniMaxForCausalLM", {"rotary_dim": 8}, {"minimax-01.rope.dimension_count": None}),
        ("MiniMaxText01ForCausalLM", {"rotary_dim": 8}, {"minimax-01.rope.dimension_count": 8}),
        ("MiniMaxForCausalLM", {"rms_norm_eps": 1e-5}, {"llamakit.mixer_norm_epsilon": 1e-6}),
        ("MiniMaxForCausalLM", {"rms_norm_eps": 1e-6}, {"llamakit.mixer_norm_epsilon": None}),
        ("GptOssForCausalLM", {"sliding_window": 20, "swiglu_limit": 5.0}, {"llamakit.swiglu_limit": 5.0}),
        ("GptOssForCausalLM", {"sliding_window": 20, "swiglu_limit": 7.0}, {"llamakit.swiglu_limit": None}),
        (
            "MiniMaxM3SparseForCausalLM",
            M3 | {"hidden_act": "swigluoai", "swiglu_limit": 5.0},
            {"llamakit.swiglu_limit": 5.0, "minimax-m3.hidden_activation": None},
        ),
        (
            "GemmaForCausalLM",
            {"hidden_act": "relu", "hidden_activation": "gelu_pytorch_tanh"},
            {"gemma.hidden_activation": "relu"},
        ),
        ("GemmaForCausalLM", {"hidden_act": "gelu", "hidden_activation": "relu"}, {"gemma.hidden_activation": None}),
        (
            "Gemma2ForCausalLM",
            {"sliding_window": 20, "hidden_activation": "relu"},
            {"gemma2.hidden_activation": "relu"},
        ),
        ("Gemma3TextModel", {}, {"gemma3.attention.sliding_window": 4096}),
        (
            "Gemma3TextModel",
            {"use_bidirectional_attention": True},
            {"gemma3.attention.sliding_window": None, "gemma-embedding.attention.sliding_window": 4096},
        ),
        ("PhimoeForCausalLM", {"partial_rotary_factor": 0.5}, {"phimoe.rope.dimension_count": 16}),
        (
            "Gemma3ForCausalLM",
            {"rope_parameters": {"full_attention": YARN | {"factor": 2.0}, "sliding_attention": YARN}},
            {
                "gemma3.rope.scaling.factor": 2.0,
                "llamakit.swa.rope.scaling.type": "yarn",
                "llamakit.swa.rope.scaling.factor": 4.0,
                "llamakit.swa.rope.scaling.original_context_length": 64,
            },
        ),
        (
            "Mamba2ForCausalLM",
            {"time_step_limit": [0.01, 0.5]},
            {"llamakit.ssm.time_step_min": 0.01, "llamakit.ssm.time_step_max": 0.5},
        ),
        (
            "Mamba2ForCausalLM",
            {"time_step_limit": [0.0, {"__float__": "Infinity"}]},
            {"llamakit.ssm.time_step_min": None, "llamakit.ssm.time_step_max": None},
        ),
        ("NemotronHForCausalLM", NEMOTRON | {"time_step_min": 0.02}, {"llamakit.ssm.time_step_min": 0.02}),
        ("BambaForCausalLM", BAMBA, {"granitehybrid.rope.dimension_count": 8}),
        ("DeepseekV3ForCausalLM", EXPERTS | {"rope_scaling": LONG}, {"deepseek2.rope.scaling.attn_factor": 1.5}),
        ("DeepseekV3ForCausalLM", EXPERTS | {"rope_scaling": YARN}, {"deepseek2.rope.scaling.attn_factor": None}),
        ("Ernie4_5_MoeForCausalLM", ERNIE, {"llamakit.expert_weights_norm_min": None}),
        (
            "MiniMaxM2ForCausalLM",
            EXPERTS | {"head_dim": 16, "rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}},
            {"minimax-m2.rope.dimension_count": 8},
        ),
        ("ExaoneMoeForCausalLM", EXAONE | {"rope_scaling": YARN}, {"exaone-moe.rope.scaling.type": "yarn"}),
        ("ExaoneMoeForCausalLM", EXAONE, {"exaone-moe.rope.scaling.type": "none"}),
        (
            "ExaoneMoeForCausalLM",
            EXAONE | {"mlp_layer_types": ["dense"] * 3 + ["sparse"]},
            {"exaone-moe.leading_dense_block_count": 3},
        ),
        (
            "AfmoeForCausalLM",
            {"sliding_window": 20, "layer_types": ["sliding_attention", "full_attention"] * 2},
            {"afmoe.attention.sliding_window_pattern": [True, False, True, False]},
        ),
        (
            "AfmoeForCausalLM",
            {"sliding_window": 20, "layer_types": [*["sliding_attention"] * 3, "full_attention"]},
            {"afmoe.attention.sliding_window_pattern": None},
        ),
        ("MiMoV2FlashForCausalLM", MIMO | {"norm_topk_prob": False}, {"llamakit.expert_weights_norm": False}),
        ("MiMoV2FlashForCausalLM", MIMO, {"mimo2.attention.sliding_window": 20}),
        ("MiMoV2FlashForCausalLM", MIMO | {"sliding_window_size": 20}, {"mimo2.attention.sliding_window": 21}),
        ("MiMoV2FlashForCausalLM", MIMO | {"attention_bias": True}, {"llamakit.uses_all_tensors": True}),
        (
            "MiMoV2FlashForCausalLM",
            MIMO | two_rotations(YARN | {"partial_rotary_factor": 0.5}, TURNED | {"partial_rotary_factor": 0.25}),
            {
                "mimo2.rope.scaling.type": "yarn",
                "llamakit.swa.rope.scaling.type": "none",
                "mimo2.rope.dimension_count": 8,
                "mimo2.rope.dimension_count_swa": 4,
            },
        ),
        (
            "MellumForCausalLM",
            EXPERTS | WINDOWS | two_rotations(TURNED, LLAMA3),
            {"llamakit.swa.rope.scaling.type": "none", "llamakit.swa.rope.scaling.factors": [1.0] * 3 + [4.0] * 5},
        ),
        (
            "Gemma3ForCausalLM",
            {"head_dim": 16} | two_rotations(TURNED, LONG | {"long_factor": [2.0] * 8, "short_factor": [1.5] * 8}),
            {
                "llamakit.swa.rope.scaling.type": "longrope",
                "llamakit.swa.rope.scaling.original_context_length": 64,
                "llamakit.swa.rope.scaling.attn_factor": 1.5,
                "llamakit.swa.rope.scaling.long_factors": [2.0] * 8,
                "llamakit.swa.rope.scaling.short_factors": [1.5] * 8,
            },
        ),
        (
            "GPTNeoXForCausalLM",
            {"head_dim": 24},
            {"gptneox.attention.key_length": None, "gptneox.rope.dimension_count": 6},
        ),
        ("KimiLinearForCausalLM", KIMI | {"linear_num_heads": 2}, {"llamakit.kda.head_count": 2}),
        ("KimiLinearForCausalLM", KIMI | {"linear_num_heads": 4}, {"llamakit.kda.head_count": None}),
        (
            "Cohere2MoeForCausalLM",
            COHERE | {"prefix_dense_sliding_window_pattern": 2, "first_k_dense_replace": 2},
            {
                "cohere2moe.attention.sliding_window_pattern": [True, False, True, True],
                "cohere2moe.attention.rope_pattern": [True, False, True, True],
            },
        ),
        (
            "Cohere2MoeForCausalLM",
            COHERE | {"first_k_dense_replace": 2, "num_nextn_predict_layers": 1},
            {
                "cohere2moe.attention.sliding_window_pattern": [False, False, True, True, False],
                "cohere2moe.attention.rope_pattern": None,
            },
        ),
        ("FalconForCausalLM", {"alibi": True}, {"llamakit.attention.max_alibi_bias": 8.0}),
        ("FalconForCausalLM", {"alibi": False}, {"llamakit.attention.max_alibi_bias": None}),
        (
            "Mistral4ForCausalLM",
            EXPERTS | {"rope_parameters": YARN | {"llama_4_scaling_beta": 0.2}},
            {"mistral4.attention.temperature_scale": 0.2, "mistral4.attention.temperature_length": 64},
        ),
        ("MinistralForCausalLM", {"sliding_window": 20}, {"llama.attention.sliding_window": 20}),
        (
            "CwmForCausalLM",
            {"sliding_window": 20, "layer_types": ["full_attention", *["sliding_attention"] * 3]},
            {"llama.attention.sliding_window_pattern": [False, True, True, True]},
        ),
        ("Cohere2MoeForCausalLM", COHERE, {"cohere2moe.expert_gating_func": 3}),
        (
            "Cohere2MoeForCausalLM",
            COHERE | {"expert_selection_fn": "sigmoid", "norm_topk_prob": False, "rope_scaling": YARN},
            {
                "cohere2moe.expert_gating_func": 2,
                "cohere2moe.expert_weights_norm": False,
                "cohere2moe.rope.scaling.type": "yarn",
            },
        ),
        (
            "GraniteSWAForCausalLM",
            {"layer_rope_theta": [0, 5e4, 5e4, 5e4]},
            {"granite_swa.rope.freq_base": 5e4, "granite_swa.attention.rope_pattern": [False, True, True, True]},
        ),
        (
            "FalconMambaForCausalLM",
            {"model_type": "falcon_mamba", "layer_norm_epsilon": 1e-3, "state_size": 16, "conv_kernel": 4},
            {"llamakit.mixer_norm_epsilon": 1e-6},
        ),
        ("Ernie4_5_MoeForCausalLM", ERNIE | {"moe_norm_min": 0.5}, {"llamakit.expert_weights_norm_min": 0.5}),
    ],
)
def test_options_become_keys(name: str, options: dict[str, Any], wanted: dict[str, Any]) -> None:
    keys = keys_of(name, **options)
    assert {key: keys.get(key) for key in wanted} == wanted


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("LlamaForCausalLM", {"hidden_act": "laplace"}, "applies 'laplace'"),
        ("GraniteSWAForCausalLM", {"layer_rope_theta": [1e4, 5e4, 0, 0]}, "layer_rope_theta"),
        ("MiMoV2FlashForCausalLM", MIMO | {"head_dim": 10}, "turns 5 of a head's 10 dimensions"),
        ("GPTNeoXForCausalLM", {"rotary_pct": 0.3, "head_dim": 10}, "turns 3 of a head's 10 dimensions"),
        ("Cohere2MoeForCausalLM", COHERE | {"expert_selection_fn": "tanh"}, "expert_selection_fn is 'tanh'"),
        ("Gemma3ForCausalLM", {"use_bidirectional_attention": True}, "both sides"),
        ("ApertusForCausalLM", {"hidden_act": "silu"}, "'silu' in place of xIELU"),
        ("ApertusForCausalLM", {}, "tensor 'model.layers.0.mlp.act_fn.alpha_n' is missing"),
        ("GptOssForCausalLM", {"sliding_window": 20, "swiglu_alpha": 1.5}, "swiglu_alpha is 1.5"),
        (
            "Gemma3ForCausalLM",
            {"head_dim": 16} | two_rotations(YARN, LONG | {"long_factor": [1.0, 2.0]}),
            "long_factor has 2 numbers, not 8",
        ),
    ],
)
def test_what_cannot_be_said_is_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        keys_of(name, **options)


@pytest.mark.parametrize("name, is_kept", [("LlamaForCausalLM", False), ("NemotronHForCausalLM", True)])
def test_a_stored_head_counts_where_transformers_ties_none(name: str, is_kept: bool) -> None:
    config = Config(Path("config.json"), {"architectures": [name], **SIZES, **NEMOTRON, "tie_word_embeddings": True})
    assert (find_family(config)(config, Checkpoint({})).renamed("lm_head.weight") is not None) == is_kept
