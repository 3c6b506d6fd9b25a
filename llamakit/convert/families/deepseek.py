"""DeepSeek V2 and V3: keys and values of all heads pressed into one vector; and Dots 1."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.family import Family, Keys, Named
from llamakit.convert.names import EXPERTS, LATENT, LAYER, Names
from llamakit.convert.rotation import log_scale
from llamakit.convert.weight import Weight

SIGMOID = 2
GROUPS = ("expert_group_count", "expert_group_used_count")
LATENT_EPS = 1e-6  # of the norms of what is pressed, whatever that of the others is


class DeepSeek2(Family):
    arch = "deepseek2"
    hf_names: ClassVar[tuple[str, ...]] = (
        "DeepseekV2ForCausalLM",
        "DeepseekV3ForCausalLM",
        "KimiVLForConditionalGeneration",
        "YoutuForCausalLM",
    )
    model_types: ClassVar[tuple[str, ...]] = ("deepseek_v2", "deepseek_v3", "kimi_k2")
    says_multiplier: ClassVar[bool] = True  # of YaRN's magnitude, in place of the magnitude
    layer: ClassVar[Names] = {
        **LAYER,
        **EXPERTS,
        **LATENT,
    }

    def expert_keys(self) -> Keys:
        is_greedy = self.is_second and self.config.str("topk_method", default="greedy") == "greedy"
        yield from ((k, v) for k, v in super().expert_keys() if not (is_greedy and k in GROUPS and v != 1))

    def hparams(self) -> Keys:
        c = self.config
        says_multiplier = self.says_multiplier and c.rope.str("rope_type", default="") == "yarn"
        left_out = {"rope.scaling.attn_factor"} if says_multiplier else set()
        yield from ((key, value) for key, value in super().hparams() if key not in left_out)
        n_latent, n_turned, n_plain = c.int("kv_lora_rank"), c.int("qk_rope_head_dim"), c.int("qk_nope_head_dim")
        yield "attention.head_count_kv", 1  # of pressed keys and values
        yield (
            "leading_dense_block_count",
            c.int("first_k_dense_replace", default=0 if c.has("n_routed_experts") else self.n_layer),
        )
        yield "vocab_size", c.int("vocab_size")
        if c.has("q_lora_rank"):
            yield "attention.q_lora_rank", c.int("q_lora_rank")
        yield "attention.kv_lora_rank", n_latent
        yield "attention.key_length", n_latent + n_turned
        yield "attention.value_length", n_latent
        yield "attention.key_length_mla", n_plain + n_turned
        yield "attention.value_length_mla", c.int("v_head_dim")
        yield "expert_feed_forward_length", c.int("moe_intermediate_size", "intermediate_size")
        yield "expert_shared_count", c.int("n_shared_experts", default=0)
        if c.has("routed_scaling_factor"):
            yield "expert_weights_scale", c.float("routed_scaling_factor")
        if c.bool("norm_topk_prob", default=False) and not self.is_second:
            yield "expert_weights_norm", True
        if "V3" in c.architecture and not c.has("scoring_func"):
            yield "expert_gating_func", SIGMOID
        yield "rope.dimension_count", n_turned
        if self.says_multiplier and c.rope.has("mscale_all_dim"):
            yield "rope.scaling.yarn_log_multiplier", 0.1 * c.rope.float("mscale_all_dim")

    @property
    def is_second(self) -> bool:
        """Version 2, whose experts' shares are never normed, in transformers."""
        return self.config.model_type == "deepseek_v2"

    def foreign_keys(self) -> Keys:
        yield from super().foreign_keys()
        c, rope = self.config, self.config.rope
        if c.float("rms_norm_eps", default=LATENT_EPS) != LATENT_EPS:
            yield "llamakit.latent_norm_epsilon", LATENT_EPS
        if c.str("topk_method", default="") == "group_limited_greedy":
            yield "llamakit.expert_group_best_count", 1
        own, whole = rope.float("mscale", default=0.0), rope.float("mscale_all_dim", default=0.0)
        if rope.str("rope_type", default="") == "yarn" and (own != whole or not own or rope.has("attention_factor")):
            factor = rope.float("factor")
            usual = log_scale(factor, own) / log_scale(factor, whole) if own and whole else log_scale(factor, 1.0)
            yield "llamakit.rope.magnitude", rope.float("attention_factor", default=usual)
            n = c.int("qk_nope_head_dim") + c.int("qk_rope_head_dim")
            yield "llamakit.attention.scale", (log_scale(factor, whole) if whole else 1.0) ** 2 / n**0.5

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        c = self.config
        if word == "attn_kv_b.weight":
            n_key, n_value = c.int("qk_nope_head_dim"), c.int("v_head_dim")
            heads = weight.reshaped(c.n_head, n_key + n_value, weight.shape[-1])
            keys = heads.moved("keys", lambda array: array[:, :n_key]).transposed()
            return [
                ("attn_k_b.weight", keys),
                ("attn_v_b.weight", heads.moved("values", lambda array: array[:, n_key:])),
            ]
        if not c.bool("rope_interleave", default=True):
            weight = self._paired(word, weight)
        return super().change(word, weight, i)

    def turned_heads(self) -> dict[str, int]:
        """Tensors of heads whose last part turns, and how many heads each has."""
        n_head = self.config.n_head
        return {"attn_q.weight": n_head, "attn_q_b.weight": n_head, "attn_kv_a_mqa.weight": 1}

    def _paired(self, word: str, weight: Weight) -> Weight:
        """The part of queries and keys that turns, in GGUF's order; the checkpoint's turns by halves."""
        n_turned, n_head = self.config.int("qk_rope_head_dim"), self.turned_heads().get(word)
        if n_head is None:
            return weight
        order = list(range(weight.shape[0] // n_head))
        last = order[-n_turned:]
        order[-n_turned:] = [last[k // 2 + k % 2 * (n_turned // 2)] for k in range(n_turned)]
        heads = weight.reshaped(n_head, weight.shape[0] // n_head, *weight.shape[1:])
        return heads.moved("pair turned rows", lambda array: array[:, order]).reshaped(*weight.shape)


class Dots1(Family):
    arch = "dots1"
    hf_names: ClassVar[tuple[str, ...]] = ("Dots1ForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("dots1",)
    has_windows = has_late_windows = True
    layer: ClassVar[Names] = {**LAYER, **EXPERTS}

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        yield "expert_feed_forward_length", c.int("moe_intermediate_size")
        yield "leading_dense_block_count", c.int("first_k_dense_replace")
        yield "expert_shared_count", c.int("n_shared_experts")
        yield "expert_weights_scale", c.float("routed_scaling_factor")
        yield "expert_weights_norm", c.bool("norm_topk_prob")
        yield "expert_gating_func", SIGMOID
