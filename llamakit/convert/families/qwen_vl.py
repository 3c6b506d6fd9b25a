"""The text part of Qwen's models of several senses: 2-VL, 2.5-VL, 2.5 Omni, 3-VL, 3 Omni, 3 ASR."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from llamakit.convert.checkpoint import Checkpoint
from llamakit.convert.config import Config
from llamakit.convert.families.qwen import Qwen2, Qwen3, Qwen3Moe
from llamakit.convert.family import Family, Keys, Named
from llamakit.convert.weight import Weight


class Thinker(Family):
    """Omni models keep the part that thinks below a name of its own."""

    arch = ""

    def __init__(self, config: Config, checkpoint: Checkpoint) -> None:
        thinker = config.section("thinker_config")
        super().__init__(config.overlaid(**thinker.values, **thinker.section("text_config").values), checkpoint)

    def renamed(self, name: str) -> str | None:
        return super().renamed(name.removeprefix("thinker."))


class Qwen2VL(Thinker, Qwen2):
    arch = "qwen2vl"
    hf_names: ClassVar[tuple[str, ...]] = (
        "Qwen2VLModel", "Qwen2VLForConditionalGeneration", "Qwen2_5_VLForConditionalGeneration", "Qwen2_5OmniModel",
        "Qwen2_5OmniForConditionalGeneration", "Qwen2_5OmniThinkerForConditionalGeneration",
    )  # fmt: skip
    model_types: ClassVar[tuple[str, ...]] = ("qwen2_vl", "qwen2_5_vl", "qwen2_5_omni")


class Qwen3VL(Thinker, Qwen3):
    """Images go in at several depths, which the number of `n_deepstack_layers` tells."""

    arch = "qwen3vl"
    hf_names: ClassVar[tuple[str, ...]] = ("Qwen3VLForConditionalGeneration", "Qwen3ASRForConditionalGeneration")
    model_types: ClassVar[tuple[str, ...]] = ("qwen3_vl", "qwen3_asr")

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "n_deepstack_layers", n_deep(self.config)


def n_deep(config: Config) -> int:
    return len(config.section("vision_config").ints("deepstack_visual_indexes", default=[]))


class Qwen3VLMoe(Thinker, Qwen3Moe):
    """Experts may be stored the other way round than elsewhere."""

    arch = "qwen3vlmoe"
    hf_names: ClassVar[tuple[str, ...]] = ("Qwen3VLMoeForConditionalGeneration",)
    model_types: ClassVar[tuple[str, ...]] = ("qwen3_vl_moe",)

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "n_deepstack_layers", n_deep(self.config)

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if word in ("ffn_gate_up_exps.weight", "ffn_down_exps.weight") and self.is_turned and len(weight.sources) == 1:
            weight = weight.transposed()
        return super().change(word, weight, i)

    @cached_property
    def is_turned(self) -> bool:
        """Whether stacks of experts are stored with inputs in front, as the published checkpoints have them."""
        c, n_ff = self.config, self.config.int("moe_intermediate_size")
        shapes = {name.rpartition(".")[2]: tensor.shape for name, tensor in self.checkpoint.tensors.items()}
        up, down = shapes.get("gate_up_proj", ()), shapes.get("down_proj", ())
        return up[1:] == (c.n_embd, 2 * n_ff) and down[1:] == (n_ff, c.n_embd)


class Qwen3Omni(Qwen3VLMoe):
    hf_names: ClassVar[tuple[str, ...]] = (
        "Qwen3OmniMoeForConditionalGeneration", "Qwen3OmniMoeThinkerForConditionalGeneration",
    )  # fmt: skip
    model_types: ClassVar[tuple[str, ...]] = ("qwen3_omni_moe", "qwen3_omni_moe_thinker")

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "n_deepstack_layers", 0
