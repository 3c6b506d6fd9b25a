"""Gemma 3n and 4: embeddings for each layer, layers that share keys and values."""

from __future__ import annotations

from statistics import NormalDist
from typing import ClassVar

import numpy as np

from llamakit.convert.families.gemma import NORMS_AROUND, Gemma3
from llamakit.convert.family import Keys, Named
from llamakit.convert.names import WHOLE, Names
from llamakit.convert.weight import Weight, constant, joined
from llamakit.errors import ModelError

PER_LAYER = {
    "per_layer_input_gate": "inp_gate",
    "per_layer_projection": "proj",
    "post_per_layer_input_norm": "post_norm",
}
PER_LAYER_WHOLE = {
    **WHOLE,
    "embed_tokens_per_layer": "per_layer_token_embd",
    "per_layer_model_projection": "per_layer_model_proj",
    "per_layer_projection_norm": "per_layer_proj_norm",
}


class Gemma3n(Gemma3):
    arch = "gemma3n"
    hf_names: ClassVar[tuple[str, ...]] = ("Gemma3nForCausalLM", "Gemma3nForConditionalGeneration")
    model_types: ClassVar[tuple[str, ...]] = ("gemma3n", "gemma3n_text")
    norm_shift = 0.0
    layer: ClassVar[Names] = {
        **NORMS_AROUND,
        **PER_LAYER,
        "altup.correct_output_scale": "altup_correct_scale.weight",
        "altup.correction_coefs": "altup_correct_coef",
        "altup.modality_router": "altup_router",
        "altup.prediction_coefs": "altup_predict_coef",
        "altup.router_norm": "altup_router_norm",
        "laurel.linear_left": "laurel_l",
        "laurel.linear_right": "laurel_r",
        "laurel.post_laurel_norm": "laurel_post_norm",
    }
    whole: ClassVar[Names] = {
        **PER_LAYER_WHOLE,
        "altup_projections.*": "altup_proj",
        "altup_unembed_projections.*": "altup_unembd_proj",
    }

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        yield "altup.active_idx", c.int("altup_active_idx")
        yield "altup.num_inputs", c.int("altup_num_inputs")
        yield "embedding_length_per_layer_input", c.int("hidden_size_per_layer_input")
        yield "attention.shared_kv_layers", c.int("num_kv_shared_layers")
        yield "activation_sparsity_scale", [_quantile(s) for s in c.floats("activation_sparsity_pattern")]
        yield "attention.sliding_window_pattern", self.window_pattern()

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if word.startswith("altup_correct_scale") and not self.config.bool("altup_correct_scale", default=True):
            return []
        n_missing = self.config.int("vocab_size") - weight.shape[0]
        if word == "per_layer_token_embd.weight" and n_missing > 0:  # tokens of images and sound take those of token 0
            first = weight.rows(0, 1).moved(f"repeat {n_missing}", lambda row: np.repeat(row, n_missing, axis=0))
            weight = joined((weight, first))
        return super().change(word, weight, i)

    def scale_key(self, scale: float) -> Keys:
        return iter(())


def _quantile(share: float) -> float:
    """How many standard deviations above the mean the largest 1 - `share` of values begin."""
    return NormalDist().inv_cdf(share) if share > 0 else float("-inf")


class Gemma4(Gemma3):
    arch = "gemma4"
    hf_names: ClassVar[tuple[str, ...]] = ("Gemma4ForCausalLM", "Gemma4ForConditionalGeneration")
    model_types: ClassVar[tuple[str, ...]] = ("gemma4", "gemma4_text")
    norm_shift = 0.0
    layer: ClassVar[Names] = {
        **NORMS_AROUND,
        **PER_LAYER,
        "layer_scalar": "layer_output_scale.weight",
        "router.proj": "ffn_gate_inp",
        "router.scale": "ffn_gate_inp.scale",
        "router.per_expert_scale": "ffn_down_exps.scale",
        "experts.gate_up_proj": "ffn_gate_up_exps.weight",
        "experts.down_proj": "ffn_down_exps.weight",
        "pre_feedforward_layernorm_2": "pre_ffw_norm_2",
        "post_feedforward_layernorm_1": "post_ffw_norm_1",
        "post_feedforward_layernorm_2": "post_ffw_norm_2",
    }
    whole: ClassVar[Names] = PER_LAYER_WHOLE

    def of_full_layers(self, name: str, key: str) -> int:
        """A number that layers without a window have for themselves."""
        c = self.config
        if c.has(name):
            return c.int(name)
        own = c.section("per_layer_config").values
        for i, kind in enumerate(c.layer_types):
            layer = own.get(str(i))
            if kind == "full_attention" and isinstance(layer, dict) and type(layer.get(key)) is int:
                return int(layer[key])
        return c.int(key)

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        n_shared, dim, full_dim = (
            c.int("num_kv_shared_layers", default=0),
            c.head_dim,
            self.of_full_layers("global_head_dim", "head_dim"),
        )
        if not c.float("final_logit_softcapping", default=0.0):
            yield "final_logit_softcapping", 0.0  # llama.cpp bounds logits by 30 where the file does not say
        yield "attention.shared_kv_layers", n_shared
        yield "embedding_length_per_layer_input", c.int("hidden_size_per_layer_input", default=0)
        yield "attention.sliding_window_pattern", self.window_pattern()
        yield "attention.key_length", full_dim
        yield "attention.value_length", full_dim
        yield "attention.key_length_swa", dim
        yield "attention.value_length_swa", dim
        if c.has("expert_intermediate_size", "moe_intermediate_size"):
            yield "expert_feed_forward_length", c.int("expert_intermediate_size", "moe_intermediate_size")
        if c.bool("use_double_wide_mlp", default=False):
            n_ff = c.int("intermediate_size")
            yield (
                "feed_forward_length",
                [n_ff if i < self.n_layer - n_shared else 2 * n_ff for i in range(self.n_layer)],
            )
        full_kv = self.of_full_layers("num_global_key_value_heads", "num_key_value_heads")
        if full_kv != c.n_head_kv:
            yield (
                "attention.head_count_kv",
                [c.n_head_kv if is_local else full_kv for is_local in self.window_pattern()],
            )
        yield "rope.dimension_count", full_dim
        yield "rope.dimension_count_swa", int(dim * c.local_rope.float("partial_rotary_factor", default=1.0))

    def scale_key(self, scale: float) -> Keys:
        return iter(())

    def extra(self) -> Named:
        """Of the layers without a window only a part of the dimensions turns: the others do so very slowly."""
        rope = self.config.rope
        n_pairs = self.of_full_layers("global_head_dim", "head_dim") // 2
        kind = rope.str("rope_type", default="proportional")
        if kind not in ("proportional", "default"):
            raise ModelError(f"{self.config.path}: layers without a window turn by {kind!r}")
        is_whole = kind == "default"
        n_turned = n_pairs if is_whole else int(n_pairs * rope.float("partial_rotary_factor", default=1.0))
        factors = [1.0 if is_whole else rope.float("factor", default=1.0)] * n_turned + [1e30] * (n_pairs - n_turned)
        return [("rope_freqs.weight", constant(factors, "proportional factors"))]
