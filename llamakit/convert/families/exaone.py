"""EXAONE 4 and 4.5, and the mixture of experts."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.families.nextn import NEXTN
from llamakit.convert.families.settings import n_dense
from llamakit.convert.family import GATINGS, SCORE_FUNCTIONS, Family, Keys, Named
from llamakit.convert.names import EXPERTS, LAYER, WHOLE, Names
from llamakit.convert.weight import Weight


class Exaone4(Family):
    arch = "exaone4"
    hf_names: ClassVar[tuple[str, ...]] = ("Exaone4ForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("exaone4",)
    layer: ClassVar[Names] = {
        **LAYER,
        "post_attention_layernorm": "post_attention_norm",
        "post_feedforward_layernorm": "post_ffw_norm",
    }

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        yield "vocab_size", c.int("vocab_size")
        if c.has("sliding_window"):
            yield "attention.sliding_window", c.int("sliding_window")
            pattern = self.window_pattern() or self._pattern_by_letters()
            if pattern:
                yield "attention.sliding_window_pattern", pattern

    def _pattern_by_letters(self) -> list[bool]:
        """Older spellings: a period, or letters such as LLLG."""
        value = self.config.values.get("sliding_window_pattern")
        if isinstance(value, str) and value:
            return [value[i % len(value)] == "L" for i in range(self.n_layer)]
        return [(i + 1) % value != 0 for i in range(self.n_layer)] if type(value) is int and value > 0 else []


class Exaone45(Exaone4):
    """The text part of EXAONE 4.5; the layers that foretell are left out."""

    hf_names: ClassVar[tuple[str, ...]] = ("Exaone4_5_ForConditionalGeneration",)
    model_types: ClassVar[tuple[str, ...]] = ("exaone4_5",)

    def renamed(self, name: str) -> str | None:
        return None if name.startswith("mtp.") else super().renamed(name)


class ExaoneMoe(Exaone4):
    """The layers that foretell further tokens stand apart; their norms and projection are shared by all of them."""

    arch = "exaone-moe"
    hf_names: ClassVar[tuple[str, ...]] = ("ExaoneMoeForCausalLM", "ExaoneMoEForCausalLM")
    model_types: ClassVar[tuple[str, ...]] = ("exaone_moe",)
    layer: ClassVar[Names] = {**LAYER, **EXPERTS, "mlp.e_score_correction_bias": "exp_probs_b.bias", **NEXTN}
    whole: ClassVar[Names] = {
        **WHOLE,
        "mtp.fc": "nextn.eh_proj",
        "mtp.pre_fc_norm_embedding": "nextn.enorm",
        "mtp.pre_fc_norm_hidden": "nextn.hnorm",
        "mtp.norm": "nextn.shared_head_norm",
    }

    @property
    def n_layer(self) -> int:
        return self.config.n_layer + self.config.int("num_nextn_predict_layers", default=0)

    def renamed(self, name: str) -> str | None:
        if name.startswith("mtp.layers."):
            number, _, rest = name.removeprefix("mtp.layers.").partition(".")
            name = f"layers.{self.config.n_layer + int(number)}.{rest}"
        return super().renamed(name)

    def window_pattern(self) -> list[bool]:
        return [*super().window_pattern(), *[False] * (self.n_layer - self.config.n_layer)]

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        n_ff, n_shared = c.int("moe_intermediate_size"), c.int("num_shared_experts")
        yield "expert_feed_forward_length", n_ff
        yield "expert_shared_count", n_shared
        yield "expert_shared_feed_forward_length", n_ff * n_shared
        yield "expert_weights_scale", c.float("routed_scaling_factor")
        yield "expert_weights_norm", c.bool("norm_topk_prob")
        if not c.has(*SCORE_FUNCTIONS):
            yield "expert_gating_func", GATINGS["sigmoid"]
        yield "leading_dense_block_count", n_dense(c, default=c.int("first_last_k_dense_replace", default=0))
        yield "nextn_predict_layers", c.int("num_nextn_predict_layers", default=0)
        if not c.rope.has("factor"):
            yield "rope.scaling.type", "none"

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if i is None and word.startswith("nextn."):
            return [(f"blk.{k}.{word}", weight) for k in range(self.config.n_layer, self.n_layer)]
        return super().change(word, weight, i)
