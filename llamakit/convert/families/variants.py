"""Other families' models in all but a name or a tensor: MiniCPM-V 4.6, ruGPT-3 XL, LFM 2 for embeddings, ..."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from llamakit.convert.checkpoint import Checkpoint, read_json
from llamakit.convert.config import Config
from llamakit.convert.families.delta import Qwen35
from llamakit.convert.families.gemma_later import Gemma4
from llamakit.convert.families.gpt import GPT2
from llamakit.convert.families.mamba import Lfm2
from llamakit.convert.families.nemotron_h import NemotronH
from llamakit.convert.family import Family, Keys, Named
from llamakit.convert.names import LAYER, WHOLE, Names
from llamakit.convert.safetensors import read_safetensors
from llamakit.convert.sentence_transformers import pooling_type
from llamakit.convert.weight import Weight


class Gemma4Unified(Gemma4):
    hf_names: ClassVar[tuple[str, ...]] = ("Gemma4UnifiedForConditionalGeneration",)
    model_types: ClassVar[tuple[str, ...]] = ("gemma4_unified",)

    def tokenizer_keys(self) -> Keys:
        """Tokens that are never sampled."""
        yield from super().tokenizer_keys()
        path = self.config.path.parent / "generation_config.json"
        given = read_json(path) if path.is_file() else {}
        if given.get("suppress_tokens"):
            yield "suppress_tokens", Config(path, given).ints("suppress_tokens")


class MiniCPMV(Qwen35):
    """The text part; the layers that foretell are left out."""

    hf_names: ClassVar[tuple[str, ...]] = ("MiniCPMV4_6ForConditionalGeneration",)
    model_types: ClassVar[tuple[str, ...]] = ("minicpmv4_6",)

    def renamed(self, name: str) -> str | None:
        return None if name.startswith(("mtp", "model.merger.")) else super().renamed(name)


class RuGpt3XL(Family):
    """GPT-2 with queries, keys and values apart."""

    arch = "gpt2"
    hf_names: ClassVar[tuple[str, ...]] = ("RuGPT3XLForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("rugpt3xl",)
    activation = "gelu"
    layer: ClassVar[Names] = {**LAYER, "qkv_weight.*": "attn_qkv.weight", "qkv_bias.*": "attn_qkv.bias"}
    whole: ClassVar[Names] = {**GPT2.whole, **WHOLE, "embed_positions": "position_embd"}

    def renamed(self, name: str) -> str | None:
        renamed = super().renamed(name)
        match = re.fullmatch(r"(.+\.\d+)\.self_attn\.([qkv])_proj\.(weight|bias)", renamed or "")
        return f"{match[1]}.qkv_{match[3]}.{'qkv'.index(match[2])}" if match else renamed

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if word.startswith("attn_qkv."):
            weight = weight.reshaped(-1, *weight.shape[2:])
        return super().change(word, weight, i)


class Lfm2Embedding(Lfm2):
    """With a dense layer for each token's vector in a folder of its own."""

    hf_names: ClassVar[tuple[str, ...]] = ("Lfm2Model", "Lfm2BidirectionalModel")
    model_types: ClassVar[tuple[str, ...]] = ()

    def _dense(self) -> Weight | None:
        path = self.config.path.parent / "1_Dense" / "model.safetensors"
        return Checkpoint(read_safetensors(path)).weight("linear.weight") if path.is_file() else None

    def hparams(self) -> Keys:
        yield from super().hparams()
        if self.config.architecture == "Lfm2BidirectionalModel":
            yield "attention.causal", False
        pooled, dense = pooling_type(self.config.path.parent), self._dense()
        if pooled is not None:
            yield "pooling_type", pooled
        if dense is not None:
            yield "embedding_length_out", dense.shape[0]

    def extra(self) -> Named:
        yield from super().extra()
        dense = self._dense()
        if dense is not None:
            yield "dense_2.weight", dense


class NemotronPuzzle(NemotronH):
    """Each mixture of experts has numbers of its own."""

    hf_names: ClassVar[tuple[str, ...]] = ("NemotronHPuzzleForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("nemotron_h_puzzle",)

    @property
    def blocks(self) -> list[dict[str, Any]]:
        return list(self.config.values.get("block_configs") or [])

    @property
    def kinds(self) -> list[str]:
        return [str(block.get("block_type")) for block in self.blocks]

    def hparams(self) -> Keys:
        yield from super().hparams()
        widths = [int(block.get("moe_intermediate_size") or 0) for block in self.blocks]
        yield "feed_forward_length", widths
        yield "expert_feed_forward_length", widths
        yield "expert_used_count", [int(block.get("num_experts_per_tok") or 0) for block in self.blocks]
