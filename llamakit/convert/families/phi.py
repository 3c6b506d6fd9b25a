"""Phi 1 to 3.5, dense and mixture of experts."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.family import Family, Keys
from llamakit.convert.names import LAYER, MIXTRAL_EXPERTS, WHOLE, Names
from llamakit.convert.rotation import n_rotated


class Phi2(Family):
    arch = "phi2"
    hf_names: ClassVar[tuple[str, ...]] = ("PhiForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("phi",)
    activation = "gelu"
    layer: ClassVar[Names] = {
        **LAYER,
        "self_attn.dense": "attn_output",
        "self_attn.q_layernorm": "attn_q_norm",
        "self_attn.k_layernorm": "attn_k_norm",
        "mlp.fc1": "ffn_up",
        "mlp.fc2": "ffn_down",
    }
    whole: ClassVar[Names] = {**WHOLE, "final_layernorm": "output_norm"}
    silent_base = 10000.0

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "attention.head_count_kv", self.config.n_head_kv
        yield "rope.dimension_count", n_rotated(self.config)

    def tokenizer_keys(self) -> Keys:
        yield "add_bos_token", False


class LongRope(Family):
    """With factors of rotation for short and for long contexts."""

    def scaled(self) -> Keys:
        rope = self.config.rope
        original = rope.int("original_max_position_embeddings", default=self.config.int("max_position_embeddings"))
        yield "rope.scaling.original_context_length", original
        yield "rope.dimension_count", n_rotated(self.config)
        yield "rope.freq_base", rope.float("rope_theta", default=10000.0)
        yield "attention.sliding_window", self.config.int("sliding_window", default=0)


class Phi3(LongRope):
    arch = "phi3"
    hf_names: ClassVar[tuple[str, ...]] = ("Phi3ForCausalLM", "Phi4ForCausalLMV")
    model_types: ClassVar[tuple[str, ...]] = ("phi3",)
    layer: ClassVar[Names] = {**LAYER, "self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up"}
    omitted: ClassVar[frozenset[str]] = frozenset({"rope.scaling.type"})
    has_all_added = True

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield from self.scaled()


class PhiMoe(LongRope):
    """Normed by mean and variance, and mixed sparsely, though llama.cpp does neither."""

    arch = "phimoe"
    hf_names: ClassVar[tuple[str, ...]] = ("PhimoeForCausalLM", "PhiMoEForCausalLM")
    model_types: ClassVar[tuple[str, ...]] = ("phimoe",)
    layer: ClassVar[Names] = {**LAYER, **MIXTRAL_EXPERTS}
    omitted: ClassVar[frozenset[str]] = frozenset({"rope.scaling.type"})

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield from self.scaled()
        yield "rope.dimension_count", self.config.head_dim  # all of it, whatever the config says
        yield "attention.layer_norm_epsilon", self.config.float("rms_norm_eps")
        if self.config.rope.has("long_mscale"):  # in place of the usual one
            yield "rope.scaling.attn_factor", self.config.rope.float("long_mscale")

    def foreign_keys(self) -> Keys:
        yield from super().foreign_keys()
        yield "llamakit.router_jitter", self.config.float("router_jitter_noise", default=0.01)
