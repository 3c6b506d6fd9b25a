"""ChatGLM 2 and 3, and GLM 4 of 2024 in its first layout."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.family import Family, Keys
from llamakit.convert.names import Names


class ChatGlm(Family):
    arch = "chatglm"
    hf_names: ClassVar[tuple[str, ...]] = ("ChatGLMModel", "ChatGLMForConditionalGeneration")
    model_types: ClassVar[tuple[str, ...]] = ("chatglm",)
    layer: ClassVar[Names] = {
        "input_layernorm": "attn_norm",
        "self_attention.query_key_value": "attn_qkv",
        "self_attention.dense": "attn_output",
        "post_attention_layernorm": "ffn_norm",
        "mlp.dense_h_to_4h": "ffn_up",
        "mlp.dense_4h_to_h": "ffn_down",
    }
    whole: ClassVar[Names] = {
        "embedding.word_embeddings": "token_embd",
        "encoder.final_layernorm": "output_norm",
        "output_layer": "output",
    }

    @property
    def n_vocab(self) -> int:
        return self.config.int("padded_vocab_size", "vocab_size")

    def renamed(self, name: str) -> str | None:
        renamed = super().renamed(name.removeprefix("transformer."))
        return renamed and renamed.replace("encoder.layers.", "layers.")

    def hparams(self) -> Keys:
        c = self.config
        n_embd = c.int("hidden_size", "n_embed")
        dim = c.int("attention_dim", default=n_embd // c.n_head)
        yield "context_length", c.int("seq_length", default=n_embd)
        yield "embedding_length", n_embd
        yield "feed_forward_length", c.int("ffn_hidden_size", "intermediate_size", default=4 * n_embd)
        yield "block_count", self.n_layer
        yield "attention.head_count", c.n_head
        yield "attention.head_count_kv", c.int("multi_query_group_num", "num_key_value_heads", default=c.n_head)
        yield "attention.layer_norm_rms_epsilon", c.float("layernorm_epsilon", default=1e-5)
        yield "rope.dimension_count", int(dim * c.rope.float("partial_rotary_factor", default=0.5))
        yield "rope.freq_base", 10000.0 * c.float("rope_ratio", default=1.0)

    def tokenizer_keys(self) -> Keys:
        yield "add_bos_token", False
