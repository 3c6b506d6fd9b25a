"""Models that read pages, as far as their text goes: DeepSeek OCR, Youtu VL."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.checkpoint import Checkpoint
from llamakit.convert.config import Config
from llamakit.convert.families.deepseek import DeepSeek2
from llamakit.convert.families.settings import copied, n_dense
from llamakit.convert.family import Family, Keys
from llamakit.convert.names import EXPERTS, LAYER, Names


class YoutuVL(DeepSeek2):
    hf_names: ClassVar[tuple[str, ...]] = ("YoutuVLForConditionalGeneration",)
    model_types: ClassVar[tuple[str, ...]] = ("youtu_vl",)


class DeepSeekOcr(Family):
    """DeepSeek 2 without latent attention."""

    arch = "deepseek2-ocr"
    hf_names: ClassVar[tuple[str, ...]] = (
        "DeepseekOCRForCausalLM", "DeepseekOCR2ForCausalLM", "UnlimitedOCRForCausalLM",
    )  # fmt: skip
    layer: ClassVar[Names] = {**LAYER, **EXPERTS}

    def __init__(self, config: Config, checkpoint: Checkpoint) -> None:
        super().__init__(config.overlaid(**config.section("language_config").values), checkpoint)

    def renamed(self, name: str) -> str | None:
        return None if "sam_model" in name or "qwen2_model" in name else super().renamed(name)

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        yield "rope.freq_base", c.rope.float("rope_theta", default=10000.0)
        yield "attention.layer_norm_rms_epsilon", c.float("rms_norm_eps", default=1e-6)
        yield "leading_dense_block_count", n_dense(c, default=0)
        yield "vocab_size", c.int("vocab_size")
        yield "expert_feed_forward_length", c.int("moe_intermediate_size", "intermediate_size")
        yield "expert_shared_count", c.int("n_shared_experts", default=0)
        yield from copied(
            c,
            {
                "expert_weights_scale": "routed_scaling_factor",
                "rope.dimension_count": "qk_rope_head_dim",
                "attention.sliding_window": "sliding_window_size",
            },
        )
        if c.bool("norm_topk_prob", default=False):
            yield "expert_weights_norm", True

    def tokenizer_keys(self) -> Keys:
        return iter(())

    def foreign_keys(self) -> Keys:
        yield from super().foreign_keys()
        yield "tokenizer.chat_template", "{% for m in messages %}{{m['content']}}{% endfor %}"
