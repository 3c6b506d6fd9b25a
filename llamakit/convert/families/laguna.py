"""Laguna: experts behind dense layers, a gate on what is attended, heads that may differ by layer."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.families.settings import n_dense
from llamakit.convert.family import GATINGS, Family, Keys
from llamakit.convert.names import EXPERTS, LAYER, Names
from llamakit.convert.rotation import rotated_part


class Laguna(Family):
    arch = "laguna"
    hf_names: ClassVar[tuple[str, ...]] = ("LagunaForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("laguna",)
    layer: ClassVar[Names] = {
        **LAYER,
        **EXPERTS,
        "self_attn.g_proj": "attn_gate",
        "mlp.experts.e_score_correction_bias": "exp_probs_b.bias",
    }

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        yield "vocab_size", c.int("vocab_size")
        yield "attention.head_count", c.ints("num_attention_heads_per_layer", default=[c.n_head] * self.n_layer)
        if c.int("sliding_window", default=0):
            yield "attention.sliding_window", c.int("sliding_window")
            if self.window_pattern() not in ([], [i % 4 != 0 for i in range(self.n_layer)]):
                yield "attention.sliding_window_pattern", self.window_pattern()
        yield "expert_feed_forward_length", c.int("moe_intermediate_size")
        yield "expert_shared_feed_forward_length", c.int("shared_expert_intermediate_size")
        yield "expert_weights_norm", True
        yield "expert_weights_scale", c.float("moe_routed_scaling_factor")
        yield "expert_gating_func", GATINGS["sigmoid"]
        yield "leading_dense_block_count", n_dense(c, default=0)
        for key, rope in (("rope.dimension_count", c.rope), ("rope.dimension_count_swa", c.local_rope)):
            if rope.values:
                yield key, rotated_part(c, rope)
