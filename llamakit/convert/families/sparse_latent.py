"""DeepSeek 2's build with an index of which keys are looked at: DeepSeek V3.2, GLM 5; and GLM 4.7 Flash without."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.families.deepseek import DeepSeek2
from llamakit.convert.families.nextn import NEXTN, Foretelling
from llamakit.convert.families.settings import copied, n_dense
from llamakit.convert.family import GATINGS, SCORE_FUNCTIONS, Keys
from llamakit.convert.names import Names

INDEXER: Names = {
    "self_attn.indexer.k_norm": "indexer.k_norm",
    "self_attn.indexer.weights_proj": "indexer.proj",
    "self_attn.indexer.wk": "indexer.attn_k",
    "self_attn.indexer.wq_b": "indexer.attn_q_b",
}


class ForetellingDeepSeek(Foretelling, DeepSeek2):
    """DeepSeek 2 with layers that foretell; where nothing names the score function, it is a sigmoid."""

    arch = ""
    hf_names: ClassVar[tuple[str, ...]] = ()
    model_types: ClassVar[tuple[str, ...]] = ()
    layer: ClassVar[Names] = {**DeepSeek2.layer, **NEXTN}

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "leading_dense_block_count", n_dense(self.config, default=0)
        if not self.config.has(*SCORE_FUNCTIONS):
            yield "expert_gating_func", GATINGS["sigmoid"]
        yield from self.foretelling_keys()


class GlmMoeLite(ForetellingDeepSeek):
    arch = "deepseek2"
    hf_names: ClassVar[tuple[str, ...]] = ("Glm4MoeLiteForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("glm4_moe_lite",)


class DeepSeek32(ForetellingDeepSeek):
    arch = "deepseek32"
    hf_names: ClassVar[tuple[str, ...]] = ("DeepseekV32ForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("deepseek_v32",)
    layer: ClassVar[Names] = {**ForetellingDeepSeek.layer, **INDEXER}

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
        yield "attention.indexer.types", self.has_own_index()

    def has_own_index(self) -> list[bool]:
        """Which layers choose keys; the others take those of the one before."""
        c = self.config
        if c.has("indexer_types"):
            return [kind == "full" for kind in c.strs("indexer_types")]
        if c.has("index_topk_pattern"):
            given = c.values["index_topk_pattern"]
            return [kind in ("F", "full") for kind in given]
        period, offset = max(c.int("index_topk_freq", default=1), 1), c.int("index_skip_topk_offset", default=2)
        return [max(i - offset + 1, 0) % period == 0 for i in range(c.n_layer)]
