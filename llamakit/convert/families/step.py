"""Step 3.5 and 3.7: layers with a window have more heads and another rotation."""

from __future__ import annotations

import re
from typing import ClassVar

from llamakit.convert.checkpoint import Checkpoint
from llamakit.convert.config import Config
from llamakit.convert.families.nextn import NEXTN
from llamakit.convert.families.settings import copied, n_dense
from llamakit.convert.family import GATINGS, SCORE_FUNCTIONS, Family, Keys, Named
from llamakit.convert.names import EXPERTS, LAYER, Names
from llamakit.convert.rotation import llama3_factors
from llamakit.convert.weight import Weight, constant


class Step35(Family):
    """Norms are stored without their one; experts lie in stacks already."""

    arch = "step35"
    hf_names: ClassVar[tuple[str, ...]] = (
        "Step3p5ForCausalLM", "Step3p7ForCausalLM", "Step3p7ForConditionalGeneration",
    )  # fmt: skip
    model_types: ClassVar[tuple[str, ...]] = ("step3p5", "step3p7")
    layer: ClassVar[Names] = {
        **LAYER,
        **EXPERTS,
        **NEXTN,
        "self_attn.g_proj": "attn_gate",
        "moe.gate": "ffn_gate_inp",
        "moe.router_bias": "exp_probs_b.bias",
        **{f"moe.{word}_proj": f"ffn_{word}_exps" for word in ("gate", "up", "down")},
        **{f"share_expert.{word}_proj": f"ffn_{word}_shexp" for word in ("gate", "up", "down")},
        "shared_head.output": "nextn.shared_head_head",
    }

    def __init__(self, config: Config, checkpoint: Checkpoint) -> None:
        """Bases of the rotation may be two in a list, or one for each layer."""
        bases = config.values.get("rope_theta")
        if isinstance(bases, list):
            kinds = config.layer_types
            local = next(
                (base for base, kind in zip(bases, kinds, strict=False) if kind == "sliding_attention"), bases[-1]
            )
            config = config.overlaid(rope_theta=bases[0], local_rope_theta=local)
        super().__init__(config, checkpoint)

    @property
    def n_layer(self) -> int:
        return self.config.n_layer + self.config.int("num_nextn_predict_layers", default=0)

    def renamed(self, name: str) -> str | None:
        renamed = super().renamed(name)
        if renamed is None or "vit_large_projector" in renamed:
            return None
        return re.sub(r"(layers\.\d+\.)transformer\.", r"\1", renamed)

    def window_pattern(self) -> list[bool]:
        found = super().window_pattern()[: self.n_layer]
        return found + [False] * (self.n_layer - len(found))

    def hparams(self) -> Keys:
        yield from super().hparams()
        c, other = self.config, self.config.section("attention_other_setting")
        n_head, n_head_kv = c.n_head, c.int("num_attention_groups", "num_key_value_heads")
        local_head = other.int("num_attention_heads", default=c.int("num_sliding_attention_heads", default=n_head))
        local_kv = other.int("num_attention_groups", default=c.int("num_sliding_key_value_heads", default=n_head_kv))
        kinds = self.window_pattern()
        yield "attention.head_count", [local_head if is_local else n_head for is_local in kinds]
        yield "attention.head_count_kv", [local_kv if is_local else n_head_kv for is_local in kinds]
        yield "attention.sliding_window", c.int("sliding_window")
        yield "attention.sliding_window_pattern", kinds
        yield "attention.value_length", c.head_dim
        yield "expert_count", c.int("moe_num_experts", "n_routed_experts")
        yield "expert_used_count", c.int("moe_top_k", "num_experts_per_tok")
        yield "expert_feed_forward_length", c.int("moe_intermediate_size")
        yield "expert_shared_feed_forward_length", c.int("share_expert_dim")
        yield from copied(c, {"expert_weights_scale": "moe_router_scaling_factor"})
        yield "expert_weights_norm", c.bool("norm_expert_weight", default=True)
        yield "leading_dense_block_count", self._n_dense()
        yield "moe_every_n_layers", c.int("moe_every_n_layer", default=1)
        yield "attention.layer_norm_rms_epsilon", c.float("rms_norm_eps", default=1e-5)
        for ours, theirs in (("swiglu_clamp_exp", "swiglu_limits"), ("swiglu_clamp_shexp", "swiglu_limits_shared")):
            if c.has(theirs):
                limits = [float(limit or 0.0) for limit in c.values[theirs]][: self.n_layer]
                yield ours, limits + [0.0] * (self.n_layer - len(limits))
        if self.n_layer > c.n_layer:
            yield "nextn_predict_layers", self.n_layer - c.n_layer
        if not c.has(*SCORE_FUNCTIONS) and not c.has("moe_router_activation"):
            yield from self._gating()

    def _gating(self) -> Keys:
        """Of transformers' config, which does not say it."""
        if self.config.has("mlp_layer_types"):
            yield "expert_gating_func", GATINGS["sigmoid"]

    def _n_dense(self) -> int:
        numbers = [int(text) for text in self.config.str("moe_layers_enum", default="").split(",") if text.strip()]
        return min(numbers) if numbers else n_dense(self.config, default=0)

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if word.endswith("norm.weight"):
            weight = weight.plus(1)
        return super().change(word, weight, i)

    def extra(self) -> Named:
        """Factors of Llama 3's kind go for the turned part of layers without a window; the rest is one."""
        dim, part = self.config.head_dim, self.config.rope.float("partial_rotary_factor", default=0.5)
        if self.config.rope.str("rope_type", default="").lower() != "llama3":
            return []
        factors = llama3_factors(self.config, self.config.rope, int(dim * part))
        return [("rope_freqs.weight", constant(factors + [1.0] * (dim // 2 - len(factors)), "frequency factors"))]
