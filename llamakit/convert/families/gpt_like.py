"""Decoders named as GPT-2: CodeShell, Jais, Qwen 1, Refact, ruGPT-3 XL."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from llamakit.convert.families.gpt import GPT2
from llamakit.convert.family import Family, Keys, Named
from llamakit.convert.names import Names
from llamakit.convert.weight import Weight, as_float32, halves, split_rows


class CodeShell(Family):
    arch = "codeshell"
    hf_names: ClassVar[tuple[str, ...]] = ("CodeShellForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("codeshell",)
    activation = "gelu"
    layer: ClassVar[Names] = GPT2.layer
    whole: ClassVar[Names] = GPT2.whole

    def hparams(self) -> Keys:
        c = self.config
        yield "context_length", c.int("n_positions")
        yield "embedding_length", c.n_embd
        yield "feed_forward_length", 4 * c.n_embd
        yield "block_count", self.n_layer
        yield "attention.head_count", c.n_head
        yield "attention.head_count_kv", c.int("num_query_groups")
        yield "attention.layer_norm_epsilon", c.float("layer_norm_epsilon")
        yield "rope.freq_base", 10000.0
        yield "rope.scaling.type", "linear"
        yield "rope.scaling.factor", 1.0


class Jais(Family):
    """Distances in place of positions; embeddings and logits are scaled, which their matrices take up."""

    arch = "jais"
    hf_names: ClassVar[tuple[str, ...]] = ("JAISLMHeadModel",)
    model_types: ClassVar[tuple[str, ...]] = ("jais",)
    layer: ClassVar[Names] = {**GPT2.layer, "mlp.c_fc2": "ffn_gate"}
    whole: ClassVar[Names] = {**GPT2.whole, "relative_pe.slopes": ""}

    def hparams(self) -> Keys:
        c = self.config
        yield "block_count", self.n_layer
        yield "context_length", c.int("n_positions")
        yield "embedding_length", c.n_embd
        yield "feed_forward_length", c.int("n_inner")
        yield "attention.head_count", c.n_head
        yield "attention.layer_norm_epsilon", c.float("layer_norm_epsilon")
        yield "attention.max_alibi_bias", self._max_bias()

    def _max_bias(self) -> float:
        """From the slope of the first head, where the checkpoint has them."""
        name = next((name for name in self.checkpoint if name.endswith("relative_pe.slopes")), None)
        if name is None:
            return 8.0
        slope = float(np.asarray(as_float32(self.checkpoint.weight(name).load())).reshape(-1)[0])
        return float(-round(math.log2(slope) * 2 ** math.floor(math.log2(self.config.n_head))))

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        c = self.config
        if i is not None and len(weight.shape) == 2:
            return [(word, weight.transposed())]
        if word == "token_embd.weight":
            return [(word, weight.times(c.float("mup_embeddings_scale", "embeddings_scale")))]
        if word == "output.weight":
            width = c.float("mup_width_scale", "width_scale") * c.float("mup_output_alpha", default=1.0)
            return [(word, weight.times(width))]
        return [(word, weight)]


class Qwen1(Family):
    """The config counts both halves of the gated feed-forward."""

    arch = "qwen"
    hf_names: ClassVar[tuple[str, ...]] = ("QWenLMHeadModel",)
    model_types: ClassVar[tuple[str, ...]] = ("qwen",)
    layer: ClassVar[Names] = {**GPT2.layer, "mlp.w1": "ffn_up", "mlp.w2": "ffn_gate", "mlp.c_proj": "ffn_down"}
    whole: ClassVar[Names] = GPT2.whole

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "attention.layer_norm_rms_epsilon", self.config.float("layer_norm_epsilon")


class Refact(Family):
    """One key and value head; distances in place of positions."""

    arch = "refact"
    hf_names: ClassVar[tuple[str, ...]] = ("GPTRefactForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("gpt_refact",)
    layer: ClassVar[Names] = {
        "ln_1": "attn_norm",
        "attn.q": "attn_q",
        "attn.kv": "attn_kv",
        "attn.k": "attn_k",
        "attn.v": "attn_v",
        "attn.c_proj": "attn_output",
        "ln_2": "ffn_norm",
        "mlp.gate_up_proj": "ffn_gate_up",
        "mlp.linear_1": "ffn_gate",
        "mlp.linear_3": "ffn_up",
        "mlp.c_proj": "ffn_down",
    }
    whole: ClassVar[Names] = GPT2.whole

    def hparams(self) -> Keys:
        c = self.config
        yield "context_length", c.int("n_positions")
        yield "embedding_length", c.n_embd
        yield "feed_forward_length", -(-int(2 * 4 * c.n_embd / 3) // 256) * 256
        yield "block_count", self.n_layer
        yield "attention.head_count", c.n_head
        yield "attention.head_count_kv", 1
        yield "attention.layer_norm_rms_epsilon", c.float("layer_norm_epsilon")

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if word == "attn_kv.weight":
            dim = self.config.head_dim
            return zip(("attn_k.weight", "attn_v.weight"), split_rows(weight, dim, dim), strict=True)
        if word == "ffn_gate_up.weight":
            return zip(("ffn_gate.weight", "ffn_up.weight"), halves(weight), strict=True)
        return super().change(word, weight, i)
