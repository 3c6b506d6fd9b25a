"""Tencent's: Hunyuan, dense, with experts, and of several senses; Hy 3."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.families.nextn import NEXTN
from llamakit.convert.families.settings import copied
from llamakit.convert.family import GATINGS, Family, Keys
from llamakit.convert.names import EXPERTS, LAYER, Names
from llamakit.errors import ModelError

LONG_CONTEXT = 256 * 1024  # what the scaled base is made for, whatever the config says


class Hunyuan(Family):
    arch = "hunyuan-dense"
    hf_names: ClassVar[tuple[str, ...]] = ("HunYuanDenseV1ForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("hunyuan_v1_dense",)
    layer: ClassVar[Names] = {
        **LAYER,
        "self_attn.query_layernorm": "attn_q_norm",
        "self_attn.key_layernorm": "attn_k_norm",
    }

    def hparams(self) -> Keys:
        yield from super().hparams()
        rope = self.config.rope
        if rope.str("rope_type", default="") in ("dynamic", "xdrope") and rope.has("alpha"):
            yield from self.rescaled(rope.float("rope_theta", default=10000.0), rope.float("alpha"))

    def rescaled(self, base: float, alpha: float) -> Keys:
        """A base made larger for the longer context: NTK-aware scaling."""
        dim = self.config.head_dim
        yield "rope.freq_base", base * alpha ** (dim / (dim - 2))
        yield "rope.scaling.type", "none"

    def tokenizer_keys(self) -> Keys:
        if self.config.has("eod_token_id"):
            yield "eos_token_id", self.config.int("eod_token_id")


class HunyuanMoe(Hunyuan):
    arch = "hunyuan-moe"
    hf_names: ClassVar[tuple[str, ...]] = ("HunYuanMoEV1ForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("hunyuan_v1_moe",)
    layer: ClassVar[Names] = {
        **Hunyuan.layer,
        **EXPERTS,
        "mlp.gate.wg": "ffn_gate_inp",
        **{f"mlp.shared_mlp.{word}_proj": f"ffn_{word}_shexp" for word in ("gate", "up", "down")},
    }

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "expert_shared_feed_forward_length", self.config.int("intermediate_size")
        yield "expert_feed_forward_length", self._of_all_layers("moe_intermediate_size", "intermediate_size")
        yield "expert_used_count", self._of_all_layers("moe_topk", "num_experts_per_tok")
        n_shared = self._of_all_layers("num_shared_expert") if self.config.has("num_shared_expert") else 1
        yield "expert_shared_count", n_shared

    def _of_all_layers(self, *names: str) -> int:
        """A number that is given for each layer, but must be the same for all."""
        numbers = self.config.int_or_ints(*names)
        numbers = numbers if isinstance(numbers, list) else [numbers]
        if len(set(numbers)) != 1:
            raise ModelError(f"{self.config.path}: {names[0]} differs by layer, which GGUF cannot say: {numbers}")
        return numbers[0]

    def tokenizer_keys(self) -> Keys:
        return iter(())


class HunyuanVL(Hunyuan):
    """The text part. Its rotation is by four axes, which for text are one."""

    arch = "hunyuan_vl"
    hf_names: ClassVar[tuple[str, ...]] = ("HunYuanVLForConditionalGeneration",)
    model_types: ClassVar[tuple[str, ...]] = ("hunyuan_vl",)

    def expert_keys(self) -> Keys:
        """A single expert is none."""
        return super().expert_keys() if self.config.int("num_experts", default=1) > 1 else iter(())

    def rescaled(self, base: float, alpha: float) -> Keys:
        rope, n_ctx = self.config.rope, self.config.int("max_position_embeddings")
        yield "rope.freq_base", base
        yield "rope.scaling.alpha", alpha
        yield "rope.scaling.type", "none"
        yield "rope.scaling.factor", rope.float("factor", default=1.0)
        yield "rope.scaling.original_context_length", n_ctx
        yield "context_length", n_ctx
        yield "rope.dimension_sections", rope.ints("xdrope_section", "mrope_section")


class Hy3(Family):
    arch = "hy_v3"
    hf_names: ClassVar[tuple[str, ...]] = ("HYV3ForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("hy_v3",)
    layer: ClassVar[Names] = {
        **HunyuanMoe.layer,
        **NEXTN,
        "mlp.router.gate": "ffn_gate_inp",
        "mlp.expert_bias": "exp_probs_b",
        "final_layernorm": "nextn.shared_head_norm",
    }

    @property
    def n_layer(self) -> int:
        return self.config.n_layer + self.config.int("num_nextn_predict_layers", default=0)

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        n_ff = c.int("moe_intermediate_size")
        yield "expert_feed_forward_length", n_ff
        yield "expert_shared_feed_forward_length", n_ff * c.int("num_shared_experts", default=1)
        yield "expert_weights_norm", c.bool("route_norm", default=True)
        yield "expert_weights_scale", c.float("router_scaling_factor", default=1.0)
        yield "expert_gating_func", GATINGS["sigmoid"]
        if self.n_layer > c.n_layer:
            yield from copied(c, {"nextn_predict_layers": "num_nextn_predict_layers"})
