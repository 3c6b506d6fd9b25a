"""BERT, ModernBERT and T5."""

from __future__ import annotations

import re
from typing import ClassVar

from llamakit.convert.family import ACTIVATIONS, Family, Keys
from llamakit.convert.names import Names
from llamakit.convert.sentence_transformers import RANK, classifier_pooling, pooling_type
from llamakit.errors import ModelError


class Encoder(Family):
    """Attention in both directions; how its vectors become one is told by sentence-transformers' files."""

    arch = ""
    activation = "gelu_erf"

    @property
    def is_classifier(self) -> bool:
        return self.config.architecture.endswith("ForSequenceClassification")

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "attention.causal", False
        yield from self.pooling()

    def pooling(self) -> Keys:
        pooled = pooling_type(self.config.path.parent) or (RANK if self.is_classifier else None)
        if pooled is not None:
            yield "pooling_type", pooled
        if self.config.has("classifier_pooling"):
            before = classifier_pooling(self.config.str("classifier_pooling"))
            if before is not None:
                yield "classifier.pooling_type", before
        yield from self.labels()

    def labels(self) -> Keys:
        """What a classifier's numbers mean; two that are called LABEL_0 and LABEL_1 are only the default."""
        named = self.config.section("id2label").values
        if named and not (len(named) == 2 and "LABEL_0" in named.values()):
            yield "classifier.output_labels", [str(named[i]) for i in sorted(named, key=int)]


class Bert(Encoder):
    """With a classifier, the layer before it (`pooler`) goes over too."""

    arch = "bert"
    hf_names: ClassVar[tuple[str, ...]] = ("BertModel", "BertForMaskedLM", "BertForSequenceClassification")
    model_types: ClassVar[tuple[str, ...]] = ("bert",)
    layer: ClassVar[Names] = {
        "attention.self.query": "attn_q",
        "attention.self.key": "attn_k",
        "attention.self.value": "attn_v",
        "attention.output.dense": "attn_output",
        "attention.output.LayerNorm": "attn_output_norm",
        "intermediate.dense": "ffn_up",
        "output.dense": "ffn_down",
        "output.LayerNorm": "layer_output_norm",
    }
    whole: ClassVar[Names] = {
        "embeddings.word_embeddings": "token_embd",
        "embeddings.position_embeddings": "position_embd",
        "embeddings.token_type_embeddings": "token_types",
        "embeddings.LayerNorm": "token_embd_norm",
        "pooler.dense": "cls",
        "pre_classifier": "cls",
        "classifier.dense": "cls",
        "classifier": "cls.output",
        "classifier.out_proj": "cls.output",
    }
    not_used: ClassVar[tuple[str, ...]] = (
        "cls.",
        "lm_head.",
        "vocab_",
        "embeddings.position_ids",
    )  # heads of the training

    def renamed(self, name: str) -> str | None:
        """Old checkpoints call weights and biases of norms gamma and beta."""
        renamed = super().renamed(name)
        if renamed is None or renamed.startswith(self.not_used):
            return None
        if "pooler.dense." in renamed and not self.is_classifier:
            return None
        return re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", renamed))

    def tokenizer_keys(self) -> Keys:
        yield "token_type_count", self.config.int("type_vocab_size", default=1)


class ModernBert(Encoder):
    arch = "modern-bert"
    hf_names: ClassVar[tuple[str, ...]] = (
        "ModernBertModel",
        "ModernBertForMaskedLM",
        "ModernBertForSequenceClassification",
    )
    model_types: ClassVar[tuple[str, ...]] = ("modernbert",)
    layer: ClassVar[Names] = {
        "attn_norm": "attn_norm",
        "attn.Wqkv": "attn_qkv",
        "attn.Wo": "attn_output",
        "mlp_norm": "ffn_norm",
        "mlp.Wi": "ffn_up",
        "mlp.Wo": "ffn_down",
    }
    whole: ClassVar[Names] = {
        "embeddings.tok_embeddings": "token_embd",
        "embeddings.norm": "token_embd_norm",
        "final_norm": "output_norm",
        "head.dense": "cls",
        "head.norm": "cls.norm",
        "classifier": "cls.output",
        "decoder": "",
    }

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        if not c.has("layer_norm_eps"):  # as of transformers 5; llama.cpp loads no file without this key
            yield "attention.layer_norm_epsilon", c.float("norm_eps", default=1e-5)
        yield "attention.sliding_window", c.int("local_attention")
        period = c.int("global_attn_every_n_layers", default=3)
        if self.window_pattern() not in ([], [i % period != 0 for i in range(self.n_layer)]):
            yield "attention.sliding_window_pattern", self.window_pattern()
        elif c.has("global_attn_every_n_layers"):
            yield "attention.sliding_window_pattern", period
        if c.rope.str("rope_type", default="default") == "default":
            yield "rope.scaling.type", "none"
        yield "vocab_size", c.int("vocab_size")
        yield "hidden_activation", c.str("hidden_activation", default="gelu")

    def foreign_keys(self) -> Keys:
        yield from super().foreign_keys()
        name = ACTIVATIONS.get(self.config.str("classifier_activation", default="gelu"))
        if self.is_classifier and name and name != "gelu_erf":
            yield "llamakit.classifier.activation", name

    def tokenizer_keys(self) -> Keys:
        for flag in ("bos", "eos", "sep"):
            yield f"add_{flag}_token", True


T5_DISTANCE = 128
_T5_BLOCK = re.compile(r"(encoder|decoder)\.block\.(\d+)\.layer\.(\d)\.(.+)")


class T5(Family):
    arch = "t5"
    hf_names: ClassVar[tuple[str, ...]] = (
        "T5ForConditionalGeneration",
        "MT5ForConditionalGeneration",
        "UMT5ForConditionalGeneration",
        "T5WithLMHeadModel",
        "UMT5Model",
    )
    model_types: ClassVar[tuple[str, ...]] = ("t5", "mt5", "umt5")
    layer: ClassVar[Names] = {
        **{
            f"{part}.{theirs}": f"{side}.{ours}"
            for part, side in (("encoder", "enc"), ("decoder", "dec"))
            for theirs, ours in {
                "SelfAttention.q": "attn_q",
                "SelfAttention.k": "attn_k",
                "SelfAttention.v": "attn_v",
                "SelfAttention.o": "attn_o",
                "SelfAttention.relative_attention_bias": "attn_rel_b",
                "EncDecAttention.q": "cross_attn_q",
                "EncDecAttention.k": "cross_attn_k",
                "EncDecAttention.v": "cross_attn_v",
                "EncDecAttention.o": "cross_attn_o",
                "EncDecAttention.relative_attention_bias": "cross_attn_rel_b",
                "DenseReluDense.wi": "ffn_up",
                "DenseReluDense.wi_0": "ffn_gate",
                "DenseReluDense.wi_1": "ffn_up",
                "DenseReluDense.wo": "ffn_down",
            }.items()
        },
        "encoder.0.layer_norm": "enc.attn_norm",
        "encoder.1.layer_norm": "enc.ffn_norm",
        "decoder.0.layer_norm": "dec.attn_norm",
        "decoder.1.layer_norm": "dec.cross_attn_norm",
        "decoder.2.layer_norm": "dec.ffn_norm",
    }
    whole: ClassVar[Names] = {
        "shared": "token_embd",
        "encoder.embed_tokens": "",
        "decoder.embed_tokens": "",
        "encoder.final_layer_norm": "enc.output_norm",
        "decoder.final_layer_norm": "dec.output_norm",
        "lm_head": "output",
    }

    def renamed(self, name: str) -> str | None:
        """Layers have parts with numbers: only that of a norm matters."""
        renamed = super().renamed(name)
        match = _T5_BLOCK.fullmatch(renamed or "")
        if match is None:
            return renamed
        number = f".{match[3]}" if match[4].startswith("layer_norm") else ""
        return f"layers.{match[2]}.{match[1]}{number}.{match[4]}"

    def full_name(self, word: str, i: int | None) -> str:
        if i is None:
            return word
        side, _, rest = word.partition(".")
        return f"{side}.blk.{i}.{rest}"

    def hparams(self) -> Keys:
        c = self.config
        yield "context_length", c.int("n_positions", default=512)
        yield "embedding_length", c.int("d_model")
        yield "feed_forward_length", c.int("d_ff")
        yield "block_count", c.n_layer
        yield "attention.head_count", c.n_head
        yield "attention.key_length", c.int("d_kv")
        yield "attention.value_length", c.int("d_kv")
        yield "attention.layer_norm_epsilon", c.float("layer_norm_epsilon")
        yield "attention.relative_buckets_count", c.int("relative_attention_num_buckets")
        yield "attention.layer_norm_rms_epsilon", c.float("layer_norm_epsilon")
        most = c.int("relative_attention_max_distance", default=T5_DISTANCE)
        if most != T5_DISTANCE:  # llama.cpp knows no other
            yield "attention.relative_max_distance", most
        name = ACTIVATIONS.get(c.str("dense_act_fn", default="gelu_new" if self.is_gated else "relu"))
        if name is None:
            raise ModelError(f"{c.path}: the feed-forward applies {c.str('dense_act_fn')!r:.40}")
        if name != ("gelu" if self.is_gated else "relu"):
            yield "hidden_activation", name
        yield from self.decoder_keys()

    def decoder_keys(self) -> Keys:
        c = self.config
        if c.has("num_decoder_layers"):
            yield "decoder_block_count", c.int("num_decoder_layers")
        yield "decoder_start_token_id", c.int("decoder_start_token_id")
        is_tied = c.bool("tie_word_embeddings", default=True)
        if is_tied if c.model_type == "umt5" else c.bool("scale_decoder_outputs", default=is_tied):
            yield "logit_scale", c.int("d_model") ** -0.5

    @property
    def is_gated(self) -> bool:
        return self.config.str("feed_forward_proj", default="relu").startswith("gated")

    @property
    def n_layer(self) -> int:
        """Of encoder and decoder, whichever has more."""
        return max(self.config.n_layer, self.config.int("num_decoder_layers", default=0))


class T5Encoder(T5):
    arch = "t5encoder"
    hf_names: ClassVar[tuple[str, ...]] = ("T5EncoderModel", "UMT5EncoderModel", "MT5EncoderModel")
    model_types: ClassVar[tuple[str, ...]] = ()

    def decoder_keys(self) -> Keys:
        return iter(())
