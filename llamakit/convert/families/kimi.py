"""Kimi: the text part of K2.5, and Kimi Linear, where every fourth layer attends and the others keep a state."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.families.deepseek import DeepSeek2
from llamakit.convert.families.settings import n_dense
from llamakit.convert.family import GATINGS, Keys, Named
from llamakit.convert.names import EXPERTS, MIXTRAL_EXPERTS, Names
from llamakit.convert.weight import Weight


class KimiK25(DeepSeek2):
    hf_names: ClassVar[tuple[str, ...]] = ("KimiK25ForConditionalGeneration",)
    model_types: ClassVar[tuple[str, ...]] = ("kimi_k25",)


class KimiLinear(DeepSeek2):
    arch = "kimi-linear"
    hf_names: ClassVar[tuple[str, ...]] = ("KimiLinearForCausalLM", "KimiLinearModel")
    model_types: ClassVar[tuple[str, ...]] = ("kimi_linear",)
    may_tie_head = False
    layer: ClassVar[Names] = {
        **DeepSeek2.layer,
        **MIXTRAL_EXPERTS,
        "block_sparse_moe.gate.e_score_correction_bias": "exp_probs_b.bias",
        **{f"block_sparse_moe.{word}_proj": f"ffn_{word}" for word in ("gate", "up", "down")},
        **{
            f"block_sparse_moe{name.removeprefix('mlp')}": ours
            for name, ours in EXPERTS.items()
            if "shared_experts" in name
        },
        **{f"self_attn.{word}_conv1d": f"ssm_conv1d_{word}" for word in "qkv"},
        **{f"self_attn.{word}_{half}_proj": f"ssm_{word}_{half}" for word in "fg" for half in "ab"},
        "self_attn.b_proj": "ssm_beta",
        "self_attn.A_log": "ssm_a",
        "self_attn.dt_bias": "ssm_dt.bias",
        "self_attn.o_norm": "ssm_norm",
    }

    def is_attending(self) -> list[bool]:
        c = self.config
        if c.layer_types:
            return [kind == "full_attention" for kind in c.layer_types]
        chosen = c.section("linear_attn_config").ints("full_attn_layers")
        return [i + 1 in chosen for i in range(self.n_layer)]

    def hparams(self) -> Keys:
        c = self.config
        linear = c.section("linear_attn_config")
        for key, value in super().hparams():
            if key not in ("rope.scaling.type", "attention.value_length", "expert_weights_norm"):
                yield key, value
        yield "context_length", c.int("max_position_embeddings", "model_max_length")
        yield "attention.head_count_kv", [1 if kind else 0 for kind in self.is_attending()]
        n_kernel = linear.int("short_conv_kernel_size", default=4)
        yield "ssm.conv_kernel", c.int("linear_conv_kernel_dim", default=n_kernel)
        yield "kda.head_dim", c.int("linear_head_dim", default=linear.int("head_dim", default=128))
        yield "leading_dense_block_count", n_dense(c)
        yield "expert_gating_func", GATINGS[c.str("moe_router_activation_func", default="sigmoid")]
        yield "expert_shared_count", self.n_shared()
        if c.has("head_dim"):
            yield "attention.value_length", c.head_dim

    def foreign_keys(self) -> Keys:
        yield from super().foreign_keys()
        n_head = self.config.section("linear_attn_config").int("num_heads", default=self.config.n_head)
        n_head = self.config.int("linear_num_heads", default=n_head)
        if n_head != self.config.n_head:
            yield "llamakit.kda.head_count", n_head

    def n_shared(self) -> int:
        return self.config.int("num_shared_experts")

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if word.startswith("ssm_conv1d_"):
            return [(word, weight.reshaped(1, weight.shape[0], 1, weight.shape[-1]))]
        if word == "ssm_a":
            return [(word, weight.negative_exp())]
        return super().change(word, weight, i)
