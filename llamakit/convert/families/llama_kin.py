"""Decoders like Llama but for names or layouts: Baichuan, InternLM 2, XVERSE, Orion, EXAONE 3, DeepSeek 1, LFM2 MoE."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.families.mamba import Lfm2
from llamakit.convert.family import Family, Keys, Named
from llamakit.convert.names import EXPERTS, LAYER, WHOLE, Names
from llamakit.convert.rotation import n_rotated
from llamakit.convert.weight import Weight, adjacent_pairs, grouped_qkv, split_rows

SIGMOID = 2


class Xverse(Family):
    arch = "xverse"
    hf_names: ClassVar[tuple[str, ...]] = ("XverseForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("xverse",)
    turns_neighbours = True


class Orion(Family):
    arch = "orion"
    hf_names: ClassVar[tuple[str, ...]] = ("OrionForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("orion",)
    omitted: ClassVar[frozenset[str]] = frozenset({"attention.layer_norm_rms_epsilon"})

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "attention.layer_norm_epsilon", self.config.float("rms_norm_eps")


class ThreeInOne(Family):
    """Queries, keys and values in one matrix, which GGUF has apart."""

    arch = ""
    turns_neighbours = True

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if word != "attn_qkv.weight":
            return super().change(word, weight, i)
        c = self.config
        n_q, n_kv = c.n_head * c.head_dim, c.n_head_kv * c.head_dim
        q, k, v = split_rows(self.sorted(weight), n_q, n_kv, n_kv)
        return [
            ("attn_q.weight", adjacent_pairs(q, c.n_head)),
            ("attn_k.weight", adjacent_pairs(k, c.n_head_kv)),
            ("attn_v.weight", v),
        ]

    def sorted(self, weight: Weight) -> Weight:
        """Rows with all queries first, then keys, then values."""
        return weight


class Baichuan(ThreeInOne):
    arch = "baichuan"
    hf_names: ClassVar[tuple[str, ...]] = ("BaichuanForCausalLM", "BaiChuanForCausalLM")
    model_types: ClassVar[tuple[str, ...]] = ("baichuan",)
    layer: ClassVar[Names] = {**LAYER, "self_attn.W_pack": "attn_qkv"}

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "attention.head_count_kv", self.config.n_head_kv
        yield "context_length", self.config.int("max_position_embeddings", "model_max_length")
        yield "rope.dimension_count", self.config.head_dim


class InternLM2(ThreeInOne):
    arch = "internlm2"
    hf_names: ClassVar[tuple[str, ...]] = ("InternLM2ForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("internlm2",)
    layer: ClassVar[Names] = {
        "attention_norm": "attn_norm",
        "attention.wqkv": "attn_qkv",
        "attention.wo": "attn_output",
        "ffn_norm": "ffn_norm",
        "feed_forward.w1": "ffn_gate",
        "feed_forward.w2": "ffn_down",
        "feed_forward.w3": "ffn_up",
    }
    whole: ClassVar[Names] = {"tok_embeddings": "token_embd", "norm": "output_norm", "output": "output"}

    def sorted(self, weight: Weight) -> Weight:
        c = self.config
        return grouped_qkv(weight, c.n_head_kv, c.n_head // c.n_head_kv, c.head_dim)


class Exaone(Family):
    arch = "exaone"
    hf_names: ClassVar[tuple[str, ...]] = ("ExaoneForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("exaone",)
    layer: ClassVar[Names] = {
        "ln_1": "attn_norm",
        "attn.attention.q_proj": "attn_q",
        "attn.attention.k_proj": "attn_k",
        "attn.attention.v_proj": "attn_v",
        "attn.attention.out_proj": "attn_output",
        "ln_2": "ffn_norm",
        "mlp.c_fc_0": "ffn_gate",
        "mlp.c_fc_1": "ffn_up",
        "mlp.c_proj": "ffn_down",
    }
    whole: ClassVar[Names] = {"wte": "token_embd", "ln_f": "output_norm", "lm_head": "output"}
    omitted: ClassVar[frozenset[str]] = frozenset({"attention.layer_norm_epsilon"})

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "attention.layer_norm_rms_epsilon", self.config.float("layer_norm_epsilon", "rms_norm_eps")
        yield "rope.dimension_count", n_rotated(self.config)


class DeepSeek(Family):
    arch = "deepseek"
    hf_names: ClassVar[tuple[str, ...]] = ("DeepseekForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("deepseek",)
    layer: ClassVar[Names] = {**LAYER, **EXPERTS}
    turns_neighbours = True

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        yield "rope.dimension_count", c.head_dim
        yield "rope.scaling.type", "none"
        yield "leading_dense_block_count", c.int("first_k_dense_replace")
        yield "vocab_size", c.int("vocab_size")
        yield "expert_feed_forward_length", c.int("moe_intermediate_size")
        yield "expert_weights_scale", 1.0
        yield "expert_shared_count", c.int("n_shared_experts")


class Lfm2Moe(Lfm2):
    arch = "lfm2moe"
    hf_names: ClassVar[tuple[str, ...]] = ("Lfm2MoeForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("lfm2_moe",)
    layer: ClassVar[Names] = {
        **Lfm2.layer,
        "feed_forward.gate": "ffn_gate_inp",
        "feed_forward.expert_bias": "exp_probs_b.bias",
        "feed_forward.experts.*.w1": "ffn_gate_exps",
        "feed_forward.experts.*.w2": "ffn_down_exps",
        "feed_forward.experts.*.w3": "ffn_up_exps",
    }
    whole: ClassVar[Names] = {**WHOLE, "embedding_norm": "token_embd_norm"}

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "expert_feed_forward_length", self.config.int("moe_intermediate_size")
        yield "leading_dense_block_count", self.config.int("num_dense_layers")
        yield "expert_gating_func", SIGMOID
