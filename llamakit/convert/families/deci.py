"""DeciLM and Nemotron 51B, 253B: Llama with layers of different widths, some without attention or feed-forward."""

from __future__ import annotations

from typing import Any, ClassVar

from llamakit.convert.families.llama import Llama
from llamakit.convert.family import Keys, Named
from llamakit.convert.names import LAYER, Names
from llamakit.convert.weight import Weight, adjacent_pairs
from llamakit.errors import ModelError

STEP = 256  # feed-forwards are so many wide, or a multiple of it


class Deci(Llama):
    arch = "deci"
    hf_names: ClassVar[tuple[str, ...]] = ("DeciLMForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("deci", "nemotron-nas")
    layer: ClassVar[Names] = {**LAYER, "self_attn.linear_attn": "attn_output"}

    @property
    def blocks(self) -> list[dict[str, Any]]:
        """What each layer is, for models that say so; empty for others."""
        blocks = self.config.values.get("block_configs") or []
        if blocks and len(blocks) != self.n_layer:
            raise ModelError(f"{self.config.path}: {len(blocks)} block_configs for {self.n_layer} layers")
        return list(blocks)

    def heads(self) -> tuple[list[int], list[int]]:
        """Query heads and key heads of each layer: none of the latter where one matrix stands for attention."""
        c = self.config
        if not self.blocks:
            kv = c.ints("num_key_value_heads_per_layer", default=[c.n_head_kv] * self.n_layer)
            return [c.n_head] * self.n_layer, kv
        parts = [block["attention"] for block in self.blocks]
        groups = [part["n_heads_in_group"] or 0 for part in parts]
        has_heads = [bool(part["n_heads_in_group"] or part["replace_with_linear"]) for part in parts]
        return [c.n_head if kind else 0 for kind in has_heads], [c.n_head // g if g else 0 for g in groups]

    def widths(self) -> list[int]:
        """Of the feed-forward of each layer."""
        factors = [block["ffn"]["ffn_mult"] or 0.0 for block in self.blocks]
        return [-(-int(2 * factor * self.config.n_embd / 3) // STEP) * STEP for factor in factors]

    def hparams(self) -> Keys:
        n_head, n_head_kv = self.heads()
        yield from super().hparams()
        if self.blocks:
            yield "attention.head_count", n_head
            yield "feed_forward_length", self.widths()
            yield "attention.key_length", self.config.head_dim
            yield "attention.value_length", self.config.head_dim
        if self.blocks or self.config.has("num_key_value_heads_per_layer"):
            yield "attention.head_count_kv", n_head_kv

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if i is not None and word.startswith("attn_k."):
            return [(word, adjacent_pairs(weight, self.heads()[1][i]))]
        return super().change(word, weight, i)
