"""MiniMax M2 and M3: mixtures of experts with whole rows of queries and keys normed."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.families.settings import copied, swiglu_keys
from llamakit.convert.family import GATINGS, SCORE_FUNCTIONS, Family, Keys, Named
from llamakit.convert.names import LAYER, MIXTRAL_EXPERTS, Names
from llamakit.convert.rotation import n_rotated
from llamakit.convert.weight import Weight


class MiniMaxM2(Family):
    arch = "minimax-m2"
    hf_names: ClassVar[tuple[str, ...]] = ("MiniMaxM2ForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("minimax_m2",)
    layer: ClassVar[Names] = {
        **LAYER,
        **MIXTRAL_EXPERTS,
        "block_sparse_moe.e_score_correction_bias": "exp_probs_b.bias",
        "block_sparse_moe.gate.e_score_correction_bias": "exp_probs_b.bias",
    }

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "expert_feed_forward_length", self.config.int("intermediate_size")
        yield "rope.dimension_count", self.config.int("rotary_dim", default=n_rotated(self.config))
        if not self.config.has(*SCORE_FUNCTIONS):
            yield "expert_gating_func", GATINGS["sigmoid"]


class MiniMaxM3(MiniMaxM2):
    """With shared experts and an index of which blocks of keys are looked at; norms are stored without their one."""

    arch = "minimax-m3"
    hf_names: ClassVar[tuple[str, ...]] = (
        "MiniMaxM3SparseForCausalLM", "MiniMaxM3SparseForConditionalGeneration", "MiniMaxM3VLForConditionalGeneration",
    )  # fmt: skip
    model_types: ClassVar[tuple[str, ...]] = ("minimax_m3", "minimax_m3_vl")
    layer: ClassVar[Names] = {
        **MiniMaxM2.layer,
        **{f"block_sparse_moe.shared_experts.{word}_proj": f"ffn_{word}_shexp" for word in ("gate", "up", "down")},
        **{f"self_attn.index_{kind}": f"indexer.{kind}" for kind in ("q_proj", "k_proj", "q_norm", "k_norm")},
    }

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        yield "expert_shared_count", c.int("n_shared_experts")
        yield "expert_weights_scale", c.float("routed_scaling_factor")
        yield "expert_weights_norm", True
        yield from copied(
            c.section("sparse_attention_config"),
            {
                "attention.indexer.head_count": "sparse_num_index_heads",
                "attention.indexer.key_length": "sparse_index_dim",
                "attention.indexer.top_k": "sparse_topk_blocks",
                "attention.indexer.block_size": "sparse_block_size",
                "attention.indexer.local_blocks": "sparse_local_block",
            },
        )
        kinds = c.ints("moe_layer_freq")
        yield "leading_dense_block_count", next((i for i, kind in enumerate(kinds) if kind), len(kinds))

    def foreign_keys(self) -> Keys:
        yield from super().foreign_keys()
        yield from swiglu_keys(self.config)

    def activation_key(self) -> Keys:
        """GPT-OSS's, under the name `swigluoai`; transformers passes over that."""
        return iter(())

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        return super().change(word, weight.plus(1) if word.endswith("norm.weight") else weight, i)
