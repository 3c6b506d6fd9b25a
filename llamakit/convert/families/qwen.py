"""Qwen 2 and 3, dense and mixture of experts."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from llamakit.convert.family import Family, Keys, Named
from llamakit.convert.names import EXPERTS, LAYER, WHOLE, Names
from llamakit.convert.sentence_transformers import RANK, pooling_type
from llamakit.convert.vocabulary.files import TokenizerFiles
from llamakit.convert.weight import Weight
from llamakit.errors import ModelError


class Qwen2(Family):
    """Also with a text's vector, or a classifier's numbers, taken from the last token."""

    arch = "qwen2"
    hf_names: ClassVar[tuple[str, ...]] = (
        "Qwen2ForCausalLM", "Qwen2Model", "Qwen2ForSequenceClassification", "KORMoForCausalLM", "DotsOCRForCausalLM",
        "Qwen2AudioForConditionalGeneration", "AudioFlamingo3ForConditionalGeneration",
    )  # fmt: skip
    model_types: ClassVar[tuple[str, ...]] = ("qwen2",)
    has_windows = has_late_windows = True
    whole: ClassVar[Names] = {**WHOLE, "score": "cls.output"}

    def hparams(self) -> Keys:
        yield from super().hparams()
        if self.config.architecture.endswith("ForSequenceClassification"):
            yield "pooling_type", RANK
        pooled = pooling_type(self.config.path.parent)
        if pooled is not None:
            yield "pooling_type", pooled


RERANK_TEMPLATE = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
    "<Instruct>: Given a web search query, retrieve relevant passages that answer the query\n<Query>: {query}\n"
    "<Document>: {document}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
)
"""The prompt that the rerankers were trained on, as their model cards give it."""


class Qwen3(Qwen2):
    """A reranker is told by its name; it answers yes or no, and only the rows of the head for these are kept."""

    arch = "qwen3"
    hf_names: ClassVar[tuple[str, ...]] = (
        "Qwen3ForCausalLM", "Qwen3Model", "Qwen3ForSequenceClassification", "StepVLForConditionalGeneration",
    )  # fmt: skip
    model_types: ClassVar[tuple[str, ...]] = ("qwen3",)

    @cached_property
    def is_reranker(self) -> bool:
        folder = self.config.path.parent
        names = (folder.name, self.config.str("_name_or_path", default=""))
        card = folder / "README.md"
        text = card.read_text(encoding="utf-8", errors="replace").lower() if card.is_file() else ""
        return any(
            f"qwen3-{kind}reranker" in name.lower() or f"# qwen3-{kind}reranker" in text
            for kind in ("", "vl-")
            for name in names
        )

    def hparams(self) -> Keys:
        yield from super().hparams()
        if self.is_reranker:
            yield "pooling_type", RANK
            yield "classifier.output_labels", ["yes", "no"]

    def foreign_keys(self) -> Keys:
        yield from super().foreign_keys()
        if self.is_reranker:
            yield "tokenizer.chat_templates", ["rerank"]
            yield "tokenizer.chat_template.rerank", RERANK_TEMPLATE

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        is_tied = self.config.bool("tie_word_embeddings", default=False)
        if self.is_reranker and word == ("token_embd.weight" if is_tied else "output.weight"):
            rows = [self._token("yes"), self._token("no")]
            yield "cls.output.weight", weight.moved("rows of yes and no", lambda array: array[rows])
            if not is_tied:
                return
        yield from super().change(word, weight, i)

    def _token(self, text: str) -> int:
        number = TokenizerFiles(self.config.path.parent).model.get("vocab", {}).get(text)
        if type(number) is not int:
            raise ModelError(f"{self.config.path.parent}: a reranker whose vocabulary has no {text!r}")
        return number


class Qwen2Moe(Family):
    arch = "qwen2moe"
    hf_names: ClassVar[tuple[str, ...]] = ("Qwen2MoeForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("qwen2_moe",)
    has_windows = has_late_windows = True
    layer: ClassVar[Names] = {**LAYER, **EXPERTS}
    is_normed = False  # whether the architecture makes the weights of the chosen experts sum to one

    def hparams(self) -> Keys:
        yield from super().hparams()
        if self.config.has("moe_intermediate_size"):
            yield "expert_feed_forward_length", self.config.int("moe_intermediate_size")
        if self.config.has("shared_expert_intermediate_size"):
            yield "expert_shared_feed_forward_length", self.config.int("shared_expert_intermediate_size")
        if self.config.bool("norm_topk_prob", default=False) and not self.is_normed:
            yield "expert_weights_norm", True

    def foreign_keys(self) -> Keys:
        yield from super().foreign_keys()
        if self.is_normed and not self.config.bool("norm_topk_prob", default=True):
            yield "llamakit.expert_weights_norm", False


class Qwen3Moe(Qwen2Moe):
    arch = "qwen3moe"
    is_normed = True
    hf_names: ClassVar[tuple[str, ...]] = ("Qwen3MoeForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("qwen3_moe",)
    has_late_windows = False


class SeedOss(Family):
    arch = "seed_oss"
    hf_names: ClassVar[tuple[str, ...]] = ("SeedOssForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("seed_oss",)
    layer: ClassVar[Names] = {**LAYER, "post_attention_layernorm": "post_attention_norm"}
