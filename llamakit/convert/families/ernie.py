"""ERNIE 4.5, dense and mixture of experts."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.family import Family, Keys, Named
from llamakit.convert.names import EXPERTS, LAYER, Names
from llamakit.convert.weight import Weight, halves, split_rows


class Ernie(Family):
    arch = "ernie4_5"
    hf_names: ClassVar[tuple[str, ...]] = ("Ernie4_5ForCausalLM", "Ernie4_5_ForCausalLM")
    model_types: ClassVar[tuple[str, ...]] = ("ernie4_5",)
    passed_over: ClassVar[tuple[str, ...]] = ("use_bias",)
    layer: ClassVar[Names] = {**LAYER, "self_attn.qkv_proj": "attn_qkv", "mlp.up_gate_proj": "ffn_gate_up"}

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        """Older checkpoints have some matrices in one."""
        if word == "attn_qkv.weight":
            n_kv = self.config.n_head_kv * self.config.head_dim
            parts = split_rows(weight, self.config.n_head * self.config.head_dim, n_kv, n_kv)
            return zip(("attn_q.weight", "attn_k.weight", "attn_v.weight"), parts, strict=True)
        if word == "ffn_gate_up.weight":
            return zip(("ffn_gate.weight", "ffn_up.weight"), halves(weight), strict=True)
        return super().change(word, weight, i)


SMALLEST_SUM = 2.0**-14  # of shares, as the engine counts it


class ErnieMoe(Ernie):
    arch = "ernie4_5-moe"
    hf_names: ClassVar[tuple[str, ...]] = ("Ernie4_5_MoeForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("ernie4_5_moe",)
    layer: ClassVar[Names] = {**LAYER, **EXPERTS, "mlp.moe_statics.e_score_correction_bias": "exp_probs_b.bias"}

    def foreign_keys(self) -> Keys:
        yield from super().foreign_keys()
        least = self.config.float("moe_norm_min", default=0.0)
        if least > SMALLEST_SUM:  # else the sum of shares is always more
            yield "llamakit.expert_weights_norm_min", least

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        yield "expert_count", c.int("moe_num_experts")
        yield "expert_used_count", c.int("moe_k")
        yield "interleave_moe_layer_step", c.int("moe_layer_interval")
        yield "leading_dense_block_count", c.int("moe_layer_start_index")
        yield "expert_feed_forward_length", c.int("moe_intermediate_size")
        n_shared = c.int("moe_num_shared_experts", default=0)
        yield "expert_shared_count", n_shared
        if n_shared:
            yield "expert_shared_feed_forward_length", n_shared * c.int("moe_intermediate_size")
