"""Qwen 4 (preview): Qwen 3.5 with experts between residual streams, and a table of the last few tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from llamakit.convert.families.delta import DeltaNet, Qwen35Moe
from llamakit.convert.family import Keys, Named
from llamakit.convert.names import Names, prefixed
from llamakit.convert.weight import Weight, joined, split_rows
from llamakit.errors import ModelError

_TABLE = "per_layer_token_embd.weight"
_SHARD = re.compile(r"(?<=\.ngram_embedding\.shard)_(?=\d+\.)")
_HASHES = {
    "ple.layer_multipliers": "layer_multipliers",
    "ple.head_offsets": "ngram_heads_offsets",
    "ple.head_vocab_sizes": "ngram_heads_vocab_sizes",
}


def streams(name: str) -> Names:
    """What reads the residual streams, and how far they take what a part gives."""
    return {
        "hc_norm": f"{name}_norm",
        "input_mix_weight_down": f"{name}_down",
        "input_mix_weight_up": f"{name}_up",
        "block_inject_weight": f"{name}_inject",
    }


class Qwen4Exp(Qwen35Moe):
    arch = "qwen4exp"
    hf_names: ClassVar[tuple[str, ...]] = ("Qwen4ExpForCausalLM", "Qwen4ExpForConditionalGeneration")
    model_types: ClassVar[tuple[str, ...]] = ("qwen4_exp", "qwen4_exp_text")
    layer: ClassVar[Names] = {
        **DeltaNet.layer,
        **prefixed("attn_hyper_connection.", streams("hc_attn")),
        **prefixed("mlp_hyper_connection.", streams("hc_ffn")),
        "self_attn.indexer.index_qk_proj": "indexer.qk_proj",
        "self_attn.indexer.q_layernorm": "indexer.q_norm",
        "self_attn.indexer.k_layernorm": "indexer.k_norm",
        **{f"ple.{word}_proj": f"ple_{word}" for word in ("key", "value")},
        **{f"ple.norm_{word}": f"ple_norm_{word}" for word in ("key", "query", "conv")},
        "ple.conv1d": "ple_conv1d",
        "ple.ple_embedding.ngram_embedding.weight": _TABLE,
        "ple.ple_embedding.ngram_embedding.shard.*.weight": _TABLE,
        **{f"ple.ple_embedding.{name}": "" for name in _HASHES.values()},  # keys
    }
    whole: ClassVar[Names] = {
        **Qwen35Moe.whole,
        **prefixed("hyper_connection_mixer.", streams("output_hc")),
    }

    def renamed(self, name: str) -> str | None:
        renamed = super().renamed(name)
        return renamed and _SHARD.sub(".", renamed)

    def full_name(self, word: str, i: int | None) -> str:
        """The table is the model's, though the checkpoint has it in the layer that uses it."""
        return word if word == _TABLE else super().full_name(word, i)

    def gathered(self, parts: Mapping[int | None, str]) -> Weight:
        """Shards of the table follow one another."""
        if any(".ngram_embedding.shard_" in name for name in parts.values()):
            numbers = sorted(number for number in parts if number is not None)
            n = self.config.int("split_ngram_parts", default=len(numbers))
            if numbers != list(range(n)):
                raise ModelError(f"{self.config.path.parent}: {len(numbers)} of {n} parts of ngram_embedding are there")
            return joined([self.checkpoint.weight(parts[number]) for number in numbers])
        return super().gathered(dict(parts))

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        c = self.config
        if word == "indexer.qk_proj.weight":
            n = c.int("indexer_n_heads") * c.int("indexer_head_dim")
            parts = split_rows(weight, n, weight.shape[0] - n)
            return zip(("indexer.q_proj.weight", "indexer.k_proj.weight"), parts, strict=True)
        if word.startswith("ple_norm_"):
            return [(word, weight.plus(1))]
        if word == "ple_conv1d.weight":
            return [(word, weight.squeezed())]
        return super().change(word, weight, i)

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        gate = c.str("output_gate_type", "hidden_act", default="silu")
        if gate != "sigmoid":
            raise ModelError(f"{c.path}: output_gate_type is {gate!r:.40}; only sigmoid is known")
        yield "hyper_connection.count", c.int("hc_count")
        yield "hyper_connection.low_rank", c.int("hc_lowrank")
        if c.has("indexer_n_heads"):
            yield "attention.indexer.head_count", c.int("indexer_n_heads")
            yield "attention.indexer.key_length", c.int("indexer_head_dim")
            yield "attention.indexer.top_k", c.int("indexer_budget")
            ratio = c.int("indexer_compress_ratio")
            yield "attention.compress_ratios", [0 if self._is_recurrent(i) else ratio for i in range(self.n_layer)]
        yield from self.ngram_keys()

    def ngram_keys(self) -> Keys:
        """Of the table; its hashes are whole numbers of 45 bits and more, which tensors of the file cannot hold."""
        c = self.config
        layers = c.ints("ple_layer_ids", default=[])
        if not layers:
            return
        if len(layers) > 1:
            raise ModelError(f"{c.path}: ple_layer_ids names {len(layers)} layers; a table for one is known")
        yield "ple.layers", [layers[0] - 1]
        yield "ple.ngram_size", c.int("ngram_size", default=3)
        yield "ple.heads_per_ngram", c.int("heads_per_ngram", default=8)
        yield "ple.conv_kernel", c.int("ple_conv_kernel_size", default=4)
        is_list = isinstance(c.values.get("eos_token_id"), list)
        yield "ple.eos_token_id", c.ints("eos_token_id")[0] if is_list else c.int("eos_token_id")
        if c.has("image_token_id"):
            yield "ple.image_token_id", c.int("image_token_id")
        n_heads = (c.int("ngram_size", default=3) - 1) * c.int("heads_per_ngram", default=8)
        yield "embedding_length_per_layer_input", c.int("ple_embed_dim", default=c.n_embd) // n_heads
        for ours, theirs in _HASHES.items():
            name = next((name for name in self.checkpoint if name.endswith(f".ple_embedding.{theirs}")), None)
            if name is not None:
                yield ours, [int(number) for number in self.checkpoint.array(name)]
