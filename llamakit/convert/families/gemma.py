"""Gemma 1 to 3: norms are stored without the one that is added to them, the head is the embedding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from llamakit.convert.checkpoint import Checkpoint
from llamakit.convert.config import Config
from llamakit.convert.family import ACTIVATION, Family, Keys, Named
from llamakit.convert.names import LAYER, Names
from llamakit.convert.sentence_transformers import dense_keys, dense_weights, pooling_type
from llamakit.convert.weight import Weight
from llamakit.errors import ModelError

NORMS_AROUND: Names = {
    **LAYER,
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}


class Gemma(Family):
    arch = "gemma"
    hf_names: ClassVar[tuple[str, ...]] = ("GemmaForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("gemma",)
    activation = "gelu"
    silent_base = 10000.0
    norm_shift = 1.0
    activation_names: ClassVar[tuple[str, ...]] = ("hidden_act",)  # transformers passes over `hidden_activation`

    def renamed(self, name: str) -> str | None:
        """Where the config does not say, the head is the embedding."""
        is_tied = self.config.bool("tie_word_embeddings", default=True)
        return None if is_tied and name.endswith("lm_head.weight") else super().renamed(name)

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        return [(word, weight.plus(self.norm_shift) if word.endswith("norm.weight") and self.norm_shift else weight)]

    def tokenizer_keys(self) -> Keys:
        yield "eot_token_id", 107  # <end_of_turn>
        yield "add_space_prefix", False


class Gemma2(Gemma):
    arch = "gemma2"
    hf_names: ClassVar[tuple[str, ...]] = ("Gemma2ForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("gemma2",)
    layer: ClassVar[Names] = NORMS_AROUND
    activation_names: ClassVar[tuple[str, ...]] = ACTIVATION

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        for key in ("attn_logit_softcapping", "final_logit_softcapping"):
            yield key, c.float(key, default=0.0)
        yield "attention.sliding_window", c.int("sliding_window")
        if self.window_pattern() not in ([], [i % 2 == 0 for i in range(self.n_layer)]):
            yield "attention.sliding_window_pattern", self.window_pattern()
        yield from self.scale_key(c.float("query_pre_attn_scalar", default=float(c.head_dim)) ** -0.5)

    def tokenizer_keys(self) -> Keys:
        yield "add_space_prefix", False


class VaultGemma(Gemma2):
    """Without norms behind the parts, which llama.cpp's Gemma 2 needs."""

    hf_names: ClassVar[tuple[str, ...]] = ("VaultGemmaForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("vaultgemma",)


class Gemma3(Gemma):
    arch = "gemma3"
    hf_names: ClassVar[tuple[str, ...]] = ("Gemma3ForCausalLM", "Gemma3ForConditionalGeneration")
    model_types: ClassVar[tuple[str, ...]] = ("gemma3", "gemma3_text")
    layer: ClassVar[Names] = NORMS_AROUND
    activation_names: ClassVar[tuple[str, ...]] = ACTIVATION
    silent_base = 0.0
    defaults: Mapping[str, object] = {
        "max_position_embeddings": 131072, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
        "rms_norm_eps": 1e-6, "sliding_window": 4096, "vocab_size": 262208,
    }  # fmt: skip

    def __init__(self, config: Config, checkpoint: Checkpoint) -> None:
        """config.json of some sizes says only what differs from the defaults of transformers."""
        missing = {name: value for name, value in self.defaults.items() if not config.has(name)}
        super().__init__(config.overlaid(**missing), checkpoint)

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        if c.bool("use_bidirectional_attention", default=False) and c.architecture.endswith("ForCausalLM"):
            raise ModelError(f"{c.path}: a head for the next token on attention to both sides cannot be converted")
        yield "rope.freq_base", c.rope.float("rope_theta", default=1_000_000.0)
        if c.float("final_logit_softcapping", default=0.0):
            yield "final_logit_softcapping", c.float("final_logit_softcapping")
        if c.int("sliding_window_pattern", default=0) != 1:
            yield "attention.sliding_window", c.int("sliding_window")
            if self.window_pattern() not in ([], [(i + 1) % 6 != 0 for i in range(self.n_layer)]):
                yield "attention.sliding_window_pattern", self.window_pattern()
        yield from self.scale_key(c.float("query_pre_attn_scalar", default=float(c.head_dim)) ** -0.5)

    def tokenizer_keys(self) -> Keys:
        yield "add_space_prefix", False


class Gemma3Vectors(Gemma3):
    """Gemma 3 without a head, causal; sentence-transformers' dense layers follow the pooling."""

    hf_names: ClassVar[tuple[str, ...]] = ("Gemma3TextModel",)
    model_types: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def chosen(cls, config: Config) -> type[Family]:
        return EmbeddingGemma if config.bool("use_bidirectional_attention", default=False) else cls

    def hparams(self) -> Keys:
        folder = self.config.path.parent
        yield from super().hparams()
        yield from dense_keys(folder)
        pooled = pooling_type(folder)
        if pooled is not None:
            yield "pooling_type", pooled

    def extra(self) -> Named:
        yield from super().extra()
        yield from dense_weights(self.config.path.parent)


class EmbeddingGemma(Gemma3Vectors):
    """Without causality."""

    arch = "gemma-embedding"
    hf_names: ClassVar[tuple[str, ...]] = ()

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "attention.sliding_window", self.config.int("sliding_window")
