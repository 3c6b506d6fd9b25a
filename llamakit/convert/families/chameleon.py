"""Chameleon, its text."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.families.llama import Llama
from llamakit.convert.family import Keys, Named
from llamakit.convert.weight import Array, Weight


class Chameleon(Llama):
    """Norms of heads are in the order of the checkpoint's rows too."""

    arch = "chameleon"
    hf_names: ClassVar[tuple[str, ...]] = ("ChameleonForCausalLM", "ChameleonForConditionalGeneration")
    model_types: ClassVar[tuple[str, ...]] = ("chameleon",)

    def renamed(self, name: str) -> str | None:
        return None if "vqmodel." in name else super().renamed(name)

    def hparams(self) -> Keys:
        for key, value in super().hparams():
            if key not in ("vocab_size", "rope.dimension_count"):
                yield key, value
        yield "swin_norm", self.config.bool("swin_norm", default=False)

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if word.startswith(("attn_q_norm.", "attn_k_norm.")):

            def move(rows: Array) -> Array:
                return rows.reshape(rows.shape[0], 2, -1).swapaxes(1, 2).reshape(rows.shape)

            return [(word, weight.moved("pair numbers of heads", move))]
        return super().change(word, weight, i)
