"""Built as Llama, under other names or with small additions: InternLM 3, Maincoder, Nanbeige, openPangu, Mellum, ..."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.families.ernie import Ernie
from llamakit.convert.families.llama import Llama
from llamakit.convert.families.qwen import Qwen3Moe
from llamakit.convert.family import Family, Keys
from llamakit.convert.names import LATENT_KEYS, LAYER, Names
from llamakit.convert.rotation import rotated_part
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


class CogVlm(Llama):
    """With a second set of matrices for images in every layer."""

    arch = "cogvlm"
    hf_names: ClassVar[tuple[str, ...]] = ("CogVLMForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("cogvlm",)
    layer: ClassVar[Names] = {
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "self_attn.language_expert_query_key_value": "attn_qkv",
        "self_attn.language_expert_dense": "attn_output",
        "self_attn.vision_expert_query_key_value": "vis_attn_qkv",
        "self_attn.vision_expert_dense": "vis_attn_output",
        **{f"mlp.language_mlp.{word}_proj": f"ffn_{word}" for word in ("gate", "up", "down")},
        **{f"mlp.vision_mlp.{word}_proj": f"vis_{word}" for word in ("gate", "up", "down")},
    }

    def renamed(self, name: str) -> str | None:
        """What is otherwise left out of images belongs to the layers here."""
        return name if ".layers." in name and not name.startswith("model.vision.") else super().renamed(name)


class Plm(Family):
    """Keys and values pressed into one vector, squares of what is positive."""

    arch = "plm"
    hf_names: ClassVar[tuple[str, ...]] = ("PLMForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("plm",)
    activation = "relu2"
    layer: ClassVar[Names] = {**LAYER, **LATENT_KEYS}

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        yield "vocab_size", c.int("vocab_size")
        yield "attention.kv_lora_rank", c.int("kv_lora_rank")
        yield "attention.key_length", c.int("qk_nope_head_dim") + c.int("qk_rope_head_dim")
        yield "attention.value_length", c.int("v_head_dim")
        yield "rope.dimension_count", c.int("qk_rope_head_dim")


class Spark(Family):
    """Spark X2.5: windows, and a gate for each head."""

    arch = "spark2_5"
    hf_names: ClassVar[tuple[str, ...]] = ("Spark2_5ForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("spark2_5",)
    activation = "gelu"
    layer: ClassVar[Names] = {**LAYER, "self_attn.q_k_v_proj": "attn_qkv", "self_attn.g_proj": "attn_gate"}

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        yield "vocab_size", c.int("vocab_size")
        yield "attention.sliding_window", c.int("sliding_window")
        yield "attention.sliding_window_pattern", self.window_pattern()
        for key, rope in (("rope.dimension_count", c.rope), ("rope.dimension_count_swa", c.local_rope)):
            yield key, rotated_part(c, rope)
