"""Built as Llama, under other names or with small additions: InternLM 3, Maincoder, Nanbeige, openPangu, Mellum, ..."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.families.ernie import Ernie
from llamakit.convert.families.llama import Llama
from llamakit.convert.families.qwen import Qwen3Moe
from llamakit.convert.family import Family, Keys
from llamakit.convert.sentence_transformers import pooling_type


class LlamaNamed(Llama):
    """Llama itself, as a part of models of several senses or under another name."""

    hf_names: ClassVar[tuple[str, ...]] = (
        "InternLM3ForCausalLM", "JanusForConditionalGeneration", "VoxtralForConditionalGeneration", "UltravoxModel",
        "Sarashina2VisionForCausalLM",
    )  # fmt: skip
    model_types: ClassVar[tuple[str, ...]] = ("internlm3", "janus", "voxtral")
    other_parts: ClassVar[tuple[str, ...]] = ("aligner.", "generation_", "gen_")

    def renamed(self, name: str) -> str | None:
        is_other = name.removeprefix("model.").startswith(self.other_parts)
        return None if is_other else super().renamed(name)


class LlamaEmbed(Llama):
    """Attention in both directions."""

    arch = "llama-embed"
    hf_names: ClassVar[tuple[str, ...]] = ("LlamaBidirectionalModel",)
    model_types: ClassVar[tuple[str, ...]] = ("llama_bidirec",)

    def hparams(self) -> Keys:
        yield from super().hparams()
        pooled = pooling_type(self.config.path.parent)
        if pooled is not None:
            yield "pooling_type", pooled


class Nanbeige(Llama):
    """All layers may run more than once."""

    arch = "nanbeige"
    hf_names: ClassVar[tuple[str, ...]] = ("NanbeigeForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("nanbeige",)

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "num_loops", max(self.config.int("num_loops", default=1), 1)
        yield "skip_loop_final_norm", self.config.bool("skip_loop_final_norm", default=False)


class Maincoder(Family):
    arch = "maincoder"
    hf_names: ClassVar[tuple[str, ...]] = ("MaincoderForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("maincoder",)

    def hparams(self) -> Keys:
        yield from super().hparams()
        if self.config.has("head_dim"):
            yield "rope.dimension_count", self.config.head_dim


class Pangu(Family):
    arch = "pangu-embedded"
    hf_names: ClassVar[tuple[str, ...]] = ("PanguEmbeddedForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("PanguEmbedded",)

    def hparams(self) -> Keys:
        yield from super().hparams()
        dim = self.config.head_dim
        yield "vocab_size", self.config.int("vocab_size")
        for key in ("rope.dimension_count", "attention.key_length", "attention.value_length"):
            yield key, dim


class Mellum(Qwen3Moe):
    """Qwen 3's mixture of experts with windows."""

    arch = "mellum"
    hf_names: ClassVar[tuple[str, ...]] = ("MellumForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("mellum",)

    def hparams(self) -> Keys:
        yield from super().hparams()
        if self.config.has("sliding_window") and self.config.bool("use_sliding_window", default=True):
            yield "attention.sliding_window", self.config.int("sliding_window")
            yield "attention.sliding_window_pattern", self.window_pattern()


class PaddleOcr(Ernie):
    """The text part."""

    arch = "paddleocr"
    hf_names: ClassVar[tuple[str, ...]] = ("PaddleOCRVLForConditionalGeneration",)
    model_types: ClassVar[tuple[str, ...]] = ("paddleocr_vl",)

    def renamed(self, name: str) -> str | None:
        return None if name.startswith("mlp_AR.") else super().renamed(name)


class Jais2(Family):
    """Layer norms, and squares of what is positive."""

    arch = "jais2"
    hf_names: ClassVar[tuple[str, ...]] = ("Jais2ForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("jais2",)
    activation = "relu2"

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "rope.dimension_count", self.config.head_dim
