"""MiMo 2: layers with a window have heads, bases and sinks of their own."""

from __future__ import annotations

import re
from typing import ClassVar

from llamakit.convert.families.nextn import APART, NEXTN, ForetellingApart
from llamakit.convert.families.settings import copied
from llamakit.convert.family import GATINGS, SCORE_FUNCTIONS, Keys
from llamakit.convert.names import EXPERTS, LAYER, Names
from llamakit.convert.rotation import rotated_part


class MiMo2(ForetellingApart):
    arch = "mimo2"
    hf_names: ClassVar[tuple[str, ...]] = ("MiMoV2FlashForCausalLM", "MiMoV2ForCausalLM")
    model_types: ClassVar[tuple[str, ...]] = ("mimo_v2_flash", "mimo_v2")
    passed_over: ClassVar[tuple[str, ...]] = ("attention_bias",)
    windows_share_scaling = True
    layer: ClassVar[Names] = {
        **LAYER,
        **EXPERTS,
        **NEXTN,
        "self_attn.qkv_proj": "attn_qkv",
        "self_attn.attention_sink_bias": "attn_sinks.weight",
        "pre_mlp_layernorm": "ffn_norm",
        "final_layernorm": "layer_output_norm",
    }

    def renamed(self, name: str) -> str | None:
        match = APART.fullmatch(name)
        name = f"layers.{self.config.n_layer + int(match[1])}.{match[2]}" if match else name
        return super().renamed(name)

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        kinds = c.ints("hybrid_layer_pattern", default=[int(kind) for kind in self.window_pattern()])
        yield "attention.head_count_kv", self._heads_kv()
        own = c.int("sliding_window_size", default=0)  # does not count the token itself
        yield "attention.sliding_window", own + 1 if own else c.int("sliding_window")
        yield "attention.sliding_window_pattern", [*kinds, *[1] * self.n_predict_layers]
        yield "attention.value_length", c.int("v_head_dim")
        yield "expert_feed_forward_length", c.int("moe_intermediate_size")
        yield "rope.dimension_count", rotated_part(c, c.rope)
        if c.local_rope.has("partial_rotary_factor") and rotated_part(c, c.local_rope) != rotated_part(c, c.rope):
            yield "rope.dimension_count_swa", rotated_part(c, c.local_rope)
        if c.has("layernorm_epsilon"):
            yield "attention.layer_norm_rms_epsilon", c.float("layernorm_epsilon")
        yield from copied(c, {"attention.value_scale": "attention_value_scale"})
        if c.float("routed_scaling_factor", default=1.0) != 1:
            yield "expert_weights_scale", c.float("routed_scaling_factor")
        if not c.has(*SCORE_FUNCTIONS):
            yield "expert_gating_func", GATINGS["sigmoid"]
        yield from self.foretelling_keys()

    def foreign_keys(self) -> Keys:
        yield from super().foreign_keys()
        if not self.config.bool("norm_topk_prob", default=True):
            yield "llamakit.expert_weights_norm", False

    def _heads_kv(self) -> list[int]:
        """By layer, from the matrices: not every config names the number of layers with a window."""
        c, found = self.config, [self.config.n_head_kv] * self.n_layer
        for name, tensor in self.checkpoint.tensors.items():
            match = re.search(r"layers\.(\d+)\.self_attn\.(k|qkv)_proj\.weight$", self.renamed(name) or "")
            if match and match[2] == "k":
                found[int(match[1])] = tensor.shape[0] // c.head_dim
            elif match:
                rest = tensor.shape[0] - c.n_head * c.head_dim
                found[int(match[1])] = rest // (c.head_dim + c.int("v_head_dim"))
        return found
