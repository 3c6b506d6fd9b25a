"""OpenELM: heads and feed-forwards that grow with the layers."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.family import Family, Keys, Named
from llamakit.convert.names import Names
from llamakit.convert.weight import Weight, halves


def divisible(number: float, divisor: int) -> int:
    """The multiple of `divisor` that is nearest, but not less than nine tenths of the number."""
    nearest = max(divisor, int(number + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * number else nearest


class OpenElm(Family):
    arch = "openelm"
    hf_names: ClassVar[tuple[str, ...]] = ("OpenELMForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("openelm",)
    layer: ClassVar[Names] = {
        "attn_norm": "attn_norm",
        "attn.qkv_proj": "attn_qkv",
        "attn.q_norm": "attn_q_norm",
        "attn.k_norm": "attn_k_norm",
        "attn.out_proj": "attn_output",
        "ffn_norm": "ffn_norm",
        "ffn.proj_1": "ffn_gate_up",
        "ffn.proj_2": "ffn_down",
    }
    whole: ClassVar[Names] = {"token_embeddings": "token_embd", "norm": "output_norm", "lm_head": "output"}

    @property
    def n_layer(self) -> int:
        return self.config.int("num_transformer_layers")

    def hparams(self) -> Keys:
        c = self.config
        n_embd, dim, divisor = c.int("model_dim"), c.int("head_dim"), c.int("ffn_dim_divisor")
        yield "block_count", self.n_layer
        yield "context_length", c.int("max_context_length")
        yield "embedding_length", n_embd
        yield "feed_forward_length", [divisible(factor * n_embd, divisor) for factor in c.floats("ffn_multipliers")]
        yield "attention.head_count", c.ints("num_query_heads")
        yield "attention.head_count_kv", c.ints("num_kv_heads")
        yield "rope.freq_base", c.float("rope_freq_constant")
        yield "attention.layer_norm_rms_epsilon", 1e-6
        yield "rope.dimension_count", dim
        yield "attention.key_length", dim
        yield "attention.value_length", dim

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if word == "ffn_gate_up.weight":
            return zip(("ffn_gate.weight", "ffn_up.weight"), halves(weight), strict=True)
        return super().change(word, weight, i)
