"""RoBERTa and what was made of it: XLM-RoBERTa, CamemBERT, Jina 3; and DistilBERT."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.config import Config
from llamakit.convert.families.encoders import Bert
from llamakit.convert.family import Family, Keys, Named
from llamakit.convert.names import Names
from llamakit.convert.weight import Weight

SERIES: Names = {
    "mixer.Wqkv": "attn_qkv",
    "mixer.out_proj": "attn_output",
    "attn.Wqkv": "attn_qkv",
    "attn.out_proj": "attn_output",
    "norm1": "attn_output_norm",
    "norm2": "layer_output_norm",
    "mlp.fc1": "ffn_up",
    "mlp.fc11": "ffn_up",
    "mlp.fc12": "ffn_gate",
    "mlp.fc2": "ffn_down",
}


class Roberta(Bert):
    """Positions are counted from behind the padding token's id: the rows before are never used."""

    hf_names: ClassVar[tuple[str, ...]] = (
        "RobertaModel", "RobertaForMaskedLM", "RobertaForSequenceClassification", "CamembertModel",
        "CamembertForMaskedLM", "CamembertForSequenceClassification", "XLMRobertaModel", "XLMRobertaForMaskedLM",
        "XLMRobertaForSequenceClassification",
    )  # fmt: skip
    model_types: ClassVar[tuple[str, ...]] = ("roberta", "camembert", "xlm-roberta")

    @classmethod
    def chosen(cls, config: Config) -> type[Family]:
        """Jina 3 goes by the name of XLM-RoBERTa."""
        return JinaBert3 if config.has("lora_adaptations") else cls

    @property
    def n_unused_positions(self) -> int:
        return 1 + self.config.int("pad_token_id", default=1)

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "context_length", self.config.int("max_position_embeddings") - self.n_unused_positions

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if word == "position_embd.weight":
            weight = weight.rows(self.n_unused_positions, weight.shape[0])
        return super().change(word, weight, i)


class JinaBert3(Roberta):
    """The adapters of its tasks are left out."""

    arch = "jina-bert-v3"
    hf_names: ClassVar[tuple[str, ...]] = ("JinaEmbeddingsV3Model",)
    model_types: ClassVar[tuple[str, ...]] = ("jina_embeddings_v3",)
    layer: ClassVar[Names] = SERIES
    whole: ClassVar[Names] = {**Bert.whole, "emb_ln": "token_embd_norm"}

    def renamed(self, name: str) -> str | None:
        name = name.replace(".parametrizations.", ".").removesuffix(".original")
        renamed = super().renamed(name)
        if renamed is None or renamed.endswith((".lora_A", ".lora_B")):
            return None
        return renamed.removeprefix("roberta.").replace("encoder.layers.", "layers.")


class DistilBert(Bert):
    hf_names: ClassVar[tuple[str, ...]] = (
        "DistilBertModel", "DistilBertForMaskedLM", "DistilBertForSequenceClassification",
    )  # fmt: skip
    model_types: ClassVar[tuple[str, ...]] = ("distilbert",)
    layer: ClassVar[Names] = {
        "attention.q_lin": "attn_q",
        "attention.k_lin": "attn_k",
        "attention.v_lin": "attn_v",
        "attention.out_lin": "attn_output",
        "sa_layer_norm": "attn_output_norm",
        "ffn.lin1": "ffn_up",
        "ffn.lin2": "ffn_down",
        "output_layer_norm": "layer_output_norm",
    }

    def foreign_keys(self) -> Keys:
        yield from super().foreign_keys()
        if self.is_classifier:
            yield "llamakit.classifier.activation", "relu"

    def renamed(self, name: str) -> str | None:
        renamed = super().renamed(name)
        return renamed and renamed.removeprefix("distilbert.").replace("transformer.layer.", "layers.")

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "attention.layer_norm_epsilon", 1e-12
