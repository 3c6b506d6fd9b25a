"""Command R and its kin."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.family import Family, Keys
from llamakit.convert.names import LAYER, Names


class CommandR(Family):
    arch = "command-r"
    hf_names: ClassVar[tuple[str, ...]] = ("CohereForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("cohere",)
    layer: ClassVar[Names] = LAYER

    def hparams(self) -> Keys:
        yield from super().hparams()
        if self.config.has("model_max_length"):
            yield "context_length", self.config.int("model_max_length")
        yield "logit_scale", self.config.float("logit_scale")
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
        yield "rope.scaling.type", "none"
