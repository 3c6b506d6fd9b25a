"""DeepSeek 2's build with an index of which keys are looked at: DeepSeek V3.2, GLM 5; and GLM 4.7 Flash without."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from llamakit.convert.families.deepseek import DeepSeek2
from llamakit.convert.families.nextn import NEXTN
from llamakit.convert.families.settings import copied, n_dense
from llamakit.convert.family import GATINGS, SCORE_FUNCTIONS, Keys
from llamakit.convert.names import Names

INDEXER: Names = {
    "self_attn.indexer.k_norm": "indexer.k_norm",
    "self_attn.indexer.weights_proj": "indexer.proj",
    "self_attn.indexer.wk": "indexer.attn_k",
    "self_attn.indexer.wq_b": "indexer.attn_q_b",
}


class Foretelling(DeepSeek2):
    """With layers behind the last that foretell further tokens, as far as the checkpoint has them."""

    arch = ""
    hf_names: ClassVar[tuple[str, ...]] = ()
    model_types: ClassVar[tuple[str, ...]] = ()
    layer: ClassVar[Names] = {**DeepSeek2.layer, **NEXTN}

    @cached_property
    def n_predict_layers(self) -> int:
        n = self.config.int("num_nextn_predict_layers", default=0)
        return n if any(f"layers.{self.config.n_layer}.eh_proj" in name for name in self.checkpoint) else 0

    @property
    def n_layer(self) -> int:
        return self.config.n_layer + self.n_predict_layers

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "leading_dense_block_count", n_dense(self.config, default=0)
        if not self.config.has(*SCORE_FUNCTIONS):
            yield "expert_gating_func", GATINGS["sigmoid"]
        if self.n_predict_layers:
            yield "nextn_predict_layers", self.n_predict_layers


class GlmMoeLite(Foretelling):
    arch = "deepseek2"
    hf_names: ClassVar[tuple[str, ...]] = ("Glm4MoeLiteForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("glm4_moe_lite",)


class DeepSeek32(Foretelling):
    arch = "deepseek32"
    hf_names: ClassVar[tuple[str, ...]] = ("DeepseekV32ForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("deepseek_v32",)
    layer: ClassVar[Names] = {**Foretelling.layer, **INDEXER}

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield from copied(
            self.config,
            {
                "attention.indexer.head_count": "index_n_heads",
                "attention.indexer.key_length": "index_head_dim",
                "attention.indexer.top_k": "index_topk",
            },
        )


class GlmDsa(DeepSeek32):
    arch = "glm-dsa"
    hf_names: ClassVar[tuple[str, ...]] = ("GlmMoeDsaForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("glm_moe_dsa",)

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        part = c.rope.float("partial_rotary_factor", default=1.0)
        yield "rope.dimension_count", int(c.int("qk_rope_head_dim") * part)
        if c.has("indexer_types"):
            yield "attention.indexer.types", [kind == "full" for kind in c.strs("indexer_types")]
