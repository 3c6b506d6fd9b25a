"""Encoders with other positions than BERT's, rotation or distances: Nomic, Jina 2, NeoBERT, EuroBERT."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.families.encoders import Bert, Encoder
from llamakit.convert.families.roberta import SERIES
from llamakit.convert.family import Keys, Named
from llamakit.convert.names import WHOLE, Names
from llamakit.convert.sentence_transformers import CLS
from llamakit.convert.weight import Weight
from llamakit.errors import ModelError


class NomicBert(Bert):
    """Of one name: dense, and with experts in every other layer."""

    arch = "nomic-bert"
    hf_names: ClassVar[tuple[str, ...]] = ("NomicBertModel",)
    model_types: ClassVar[tuple[str, ...]] = ("nomic_bert",)
    layer: ClassVar[Names] = {
        **SERIES,
        "mlp.router.layer": "ffn_gate_inp",
        "mlp.experts.mlp.w1": "ffn_up_exps.weight",
        "mlp.experts.mlp.w2": "ffn_down_exps.weight",
        "mlp.experts.bias": "",
    }
    whole: ClassVar[Names] = {**Bert.whole, "emb_ln": "token_embd_norm"}
    omitted: ClassVar[frozenset[str]] = frozenset({"attention.key_length", "attention.value_length"})
    trained_contexts: ClassVar[dict[int, int]] = {8192: 2048, 2048: 512}  # what the config says, what was trained

    @property
    def period(self) -> int:
        """Every how many layers have experts; 0 for none."""
        return self.config.int("moe_every_n_layers", default=0)

    @property
    def gguf_arch(self) -> str:
        return "nomic-bert-moe" if self.period else self.arch

    def renamed(self, name: str) -> str | None:
        renamed = super().renamed(name)
        return renamed and renamed.replace("encoder.layers.", "layers.")

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        if c.has("n_positions"):
            n_ctx = c.int("n_positions")
            yield "context_length", self.trained_contexts.get(n_ctx, n_ctx)
        for name, wanted in {"prenorm": False, "rotary_emb_interleaved": False, "rotary_emb_fraction": 1.0}.items():
            if c.values.get(name, wanted) != wanted:
                raise ModelError(f"{c.path}: {name} is {c.values[name]!r:.20}; only {wanted} is known")
        if self.period:
            yield "moe_every_n_layers", self.period
            yield "expert_used_count", c.int("moe_top_k")

    def activation_key(self) -> Keys:
        """Each of the two kinds has its own."""
        return iter(())

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if word.endswith("_exps.weight"):
            n_expert = self.config.int("num_local_experts", "num_experts")
            weight = weight.reshaped(n_expert, -1, self.config.n_embd)
            weight = weight.transposed() if word.startswith("ffn_down") else weight
        return super().change(word, weight, i)


class JinaBert2(Bert):
    arch = "jina-bert-v2"
    hf_names: ClassVar[tuple[str, ...]] = ("JinaBertModel", "JinaBertForMaskedLM")
    layer: ClassVar[Names] = {
        **Bert.layer,
        "attention.self.layer_norm_q": "attn_q_norm",
        "attention.self.layer_norm_k": "attn_k_norm",
        "layer_norm_1": "attn_norm_2",
        "mlp.gated_layers": "ffn_up",
        "mlp.up_gated_layer": "ffn_up",
        "mlp.wo": "ffn_down",
        "mlp.down_layer": "ffn_down",
        "mlp.layernorm": "layer_output_norm",
        "layer_norm_2": "layer_output_norm",
    }


class NeoBert(Bert):
    arch = "neo-bert"
    activation = "swiglu"
    hf_names: ClassVar[tuple[str, ...]] = ("NeoBERT", "NeoBERTLMHead", "NeoBERTForSequenceClassification")
    layer: ClassVar[Names] = {
        "attention_norm": "attn_norm",
        "qkv": "attn_qkv",
        "wo": "attn_output",
        "ffn_norm": "ffn_norm",
        "ffn.w12": "ffn_up",
        "ffn.w3": "ffn_down",
    }
    whole: ClassVar[Names] = {
        "encoder": "token_embd",
        "layer_norm": "enc.output_norm",
        "dense": "cls",
        "classifier": "cls.output",
    }
    not_used: ClassVar[tuple[str, ...]] = ("decoder.", "freqs_cis")

    def renamed(self, name: str) -> str | None:
        renamed = super().renamed(name)
        return renamed and renamed.removeprefix("model.").replace("transformer_encoder.", "layers.")

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "context_length", self.config.int("max_length", "max_position_embeddings", default=4096)
        yield "feed_forward_length", int(2 * self.config.int("intermediate_size") / 3)
        yield "rope.freq_base", 10000.0
        yield "rope.scaling.type", "none"
        yield "attention.layer_norm_rms_epsilon", self.config.float("norm_eps", default=1e-6)
        yield "pooling_type", CLS


class EuroBert(Encoder):
    arch = "eurobert"
    activation = "silu"
    hf_names: ClassVar[tuple[str, ...]] = ("EuroBertModel", "EuroBertForMaskedLM", "JinaEmbeddingsV5Model")
    model_types: ClassVar[tuple[str, ...]] = ("eurobert",)
    whole: ClassVar[Names] = {**WHOLE, "lm_head": ""}  # of the training

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "rope.scaling.type", "none"

    def tokenizer_keys(self) -> Keys:
        yield "add_bos_token", False
