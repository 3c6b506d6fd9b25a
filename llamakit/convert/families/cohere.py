"""Command R and its kin."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.families.nextn import NEXTN
from llamakit.convert.families.settings import n_dense
from llamakit.convert.family import GATINGS, Family, Keys, Named
from llamakit.convert.names import EXPERTS, LAYER, Names
from llamakit.convert.weight import Weight
from llamakit.errors import ModelError


class CommandR(Family):
    arch = "command-r"
    hf_names: ClassVar[tuple[str, ...]] = ("CohereForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("cohere",)
    layer: ClassVar[Names] = LAYER

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        if c.has("model_max_length"):
            yield "context_length", c.int("model_max_length")
        yield "logit_scale", c.float("logit_scale")
        if not c.rope.has("factor"):
            yield "rope.scaling.type", "none"


class Cohere2(Family):
    arch = "cohere2"
    hf_names: ClassVar[tuple[str, ...]] = ("Cohere2ForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("cohere2",)

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        yield "logit_scale", c.float("logit_scale")
        yield "attention.sliding_window", c.int("sliding_window")
        if self.window_pattern() not in ([], [(i + 1) % 4 != 0 for i in range(self.n_layer)]):
            yield "attention.sliding_window_pattern", self.window_pattern()
        yield "vocab_size", c.int("vocab_size")
        yield "rope.dimension_count", c.head_dim
        if not c.rope.has("factor"):
            yield "rope.scaling.type", "none"


SOFTMAX_OF_CHOSEN = 3


class Cohere2Moe(Family):
    arch = "cohere2moe"
    hf_names: ClassVar[tuple[str, ...]] = ("Cohere2MoeForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("cohere2_moe",)
    layer: ClassVar[Names] = {**LAYER, **EXPERTS, **NEXTN}

    @property
    def n_layer(self) -> int:
        return self.config.n_layer + self.config.int("num_nextn_predict_layers", default=0)

    def hparams(self) -> Keys:
        yield from super().hparams()
        c, n_ff = self.config, self.config.int("intermediate_size")
        yield "logit_scale", c.float("logit_scale")
        yield "attention.sliding_window", c.int("sliding_window")
        windows, first = self.window_pattern(), n_dense(c, default=0)
        yield "attention.sliding_window_pattern", windows
        if first and c.int("prefix_dense_sliding_window_pattern", default=1) != 1:  # dense ones no longer always turn
            yield "attention.rope_pattern", windows
        yield "vocab_size", c.int("vocab_size")
        yield "expert_feed_forward_length", n_ff
        yield "leading_dense_block_count", first
        yield "expert_weights_norm", c.bool("norm_topk_prob", default=True)
        name = c.str("expert_selection_fn", default="softmax")
        if name not in ("softmax", "sigmoid"):
            raise ModelError(f"{c.path}: expert_selection_fn is {name!r:.40}; known are softmax and sigmoid")
        yield "expert_gating_func", SOFTMAX_OF_CHOSEN if name == "softmax" else GATINGS[name]
        if n_shared := c.int("num_shared_experts", default=0):
            yield "expert_shared_count", n_shared
            yield "expert_shared_feed_forward_length", n_ff * n_shared
        if self.n_layer > c.n_layer:
            yield "nextn_predict_layers", self.n_layer - c.n_layer
        yield "rope.dimension_count", c.head_dim
        if not c.rope.has("factor"):
            yield "rope.scaling.type", "none"

    def window_pattern(self) -> list[bool]:
        """Where the config lists no kinds, dense layers have a period of their own."""
        c, first = self.config, n_dense(self.config, default=0)
        periods = c.int("prefix_dense_sliding_window_pattern", default=1), c.int("sliding_window_pattern", default=4)
        usual = [(i + 1) % periods[0] != 0 for i in range(first)]
        usual += [(i + 1) % periods[1] != 0 for i in range(c.n_layer - first)]
        return (super().window_pattern() or usual) + [False] * (self.n_layer - c.n_layer)

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        """The engine takes the mean of experts and shared one, which is half their sum."""
        joined = self.config.str("shared_expert_combination_strategy", default="average")
        is_averaged = self.config.int("num_shared_experts", default=0) > 0
        if joined == "sum" and is_averaged and word in ("ffn_down_exps.weight", "ffn_down_shexp.weight"):
            weight = weight.times(2.0)
        return super().change(word, weight, i)
