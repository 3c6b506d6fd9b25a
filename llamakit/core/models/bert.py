"""BERT, RoBERTa and their like: learned positions, norms behind each part."""

from __future__ import annotations

from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.encoder import PostNormEncoder


class Bert(PostNormEncoder):
    arch = "bert"
    hf_names = (
        "BertModel", "BertForMaskedLM", "BertForSequenceClassification", "CamembertModel", "DistilBertModel",
        "RobertaModel", "RobertaForSequenceClassification", "XLMRobertaModel", "XLMRobertaForSequenceClassification",
    )  # fmt: skip
    has_positions = True

    def rotation_of(self, i: int) -> Rotation | None:
        return None
