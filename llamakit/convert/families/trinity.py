"""AFMoE (Trinity): a mixture of experts with gated attention and windows."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.family import Family, Keys
from llamakit.convert.names import ATTENTION, EXPERTS, FEED_FORWARD, Names


class Afmoe(Family):
    arch = "afmoe"
    hf_names: ClassVar[tuple[str, ...]] = ("AfmoeForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("afmoe",)
    layer: ClassVar[Names] = {
        **ATTENTION,
        **FEED_FORWARD,
        **EXPERTS,
        "self_attn.gate_proj": "attn_gate",
        "post_attention_layernorm": "post_attention_norm",
        "pre_mlp_layernorm": "ffn_norm",
        "post_mlp_layernorm": "post_ffw_norm",
        "mlp.router.gate": "ffn_gate_inp",
        "mlp.expert_bias": "exp_probs_b.bias",
    }

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        yield "vocab_size", c.int("vocab_size")
        yield "rope.dimension_count", c.head_dim
        for theirs, ours in {
            "num_shared_experts": "expert_shared_count",
            "moe_intermediate_size": "expert_feed_forward_length",
            "num_dense_layers": "leading_dense_block_count",
            "sliding_window": "attention.sliding_window",
        }.items():
            if c.has(theirs):
                yield ours, c.int(theirs)
        period = c.int("global_attn_every_n_layers", default=4)
        pattern = self.window_pattern() or [(i + 1) % period != 0 for i in range(self.n_layer)]
        if pattern != [(i + 1) % 4 != 0 for i in range(self.n_layer)]:
            yield "attention.sliding_window_pattern", pattern
            yield "attention.rope_pattern", pattern
        yield "expert_weights_norm", c.bool("route_norm", default=True)
        if not c.bool("mup_enabled", default=False):  # embeddings are scaled otherwise
            yield "embedding_scale", 1.0
        if c.has("route_scale"):
            yield "expert_weights_scale", c.float("route_scale")
