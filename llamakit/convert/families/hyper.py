"""Latent attention with hyper-connections, several streams between the layers: Hy 4 and GLM 5 Next."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.checkpoint import Checkpoint
from llamakit.convert.config import Config
from llamakit.convert.families.kimi import KimiLinear
from llamakit.convert.families.settings import copied, n_dense
from llamakit.convert.families.sparse_latent import INDEXER, ForetellingDeepSeek
from llamakit.convert.family import GATINGS, Keys, Named
from llamakit.convert.names import EXPERTS, Names
from llamakit.convert.weight import Weight

INDEXED = {
    "attention.indexer.head_count": "index_n_heads",
    "attention.indexer.key_length": "index_head_dim",
    "attention.indexer.top_k": "index_topk",
}


class Hy4(ForetellingDeepSeek):
    """The layers that foretell are left out."""

    arch = "hy_v4"
    hf_names: ClassVar[tuple[str, ...]] = ("HYV4ForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("hy_v4",)
    layer: ClassVar[Names] = {
        **ForetellingDeepSeek.layer,
        **INDEXER,
        "self_attn.linear_gate": "attn_gate",
        "self_attn.learnable_sink_param": "attn_sinks.weight",
        "mlp.linear_gate": "ffn_gate",
        "mlp.shared_experts.linear_gate": "ffn_gate_shexp",
        **{
            f"{path}.hc_{number}": f"hc_{ours}_{number}.weight"
            for theirs, ours in (("attn", "attn"), ("mlp", "ffn"))
            for path in (f"hc_{theirs}_layer.hc_pre", f"hc_pre.hc_{theirs}_layer")
            for number in ("fn", "base", "scale")
        },
    }
    whole: ClassVar[Names] = {
        **ForetellingDeepSeek.whole,
        **{
            f"{path}hc_head.hc_head_{number}": f"output_hc_{number}.weight"
            for path in ("", "hc_pre.")
            for number in ("fn", "base", "scale")
        },
    }

    def __init__(self, config: Config, checkpoint: Checkpoint) -> None:
        """Halves of the turned part turn together, other than in DeepSeek's checkpoints."""
        is_paired = config.bool("rope_interleave", default=False)
        super().__init__(config.overlaid(rope_interleave=is_paired), checkpoint)

    def renamed(self, name: str) -> str | None:
        return None if name.startswith("model.mtp_layers.") else super().renamed(name)

    def expert_keys(self) -> Keys:
        """A single group is none."""
        for key, value in super().expert_keys():
            if not key.startswith("expert_group_"):
                yield key, value

    def turned_heads(self) -> dict[str, int]:
        keys = dict.fromkeys(("attn_k.weight", "k_norm.weight", "k_norm.bias"), 1)
        index = {"attn_q_b.weight": self.config.int("index_n_heads", default=1), **keys}
        return {**super().turned_heads(), **{f"indexer.{name}": n for name, n in index.items()}}

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        if c.float("swiglu_limit", default=0.0):
            yield "swiglu_clamp_exp", [c.float("swiglu_limit")] * self.n_layer
        yield from copied(
            c,
            {
                "hyper_connection.count": "hc_mult",
                "hyper_connection.epsilon": "hc_eps",
                "hyper_connection.magnitude": "hc_magnitude",
            },
        )
        kinds = c.strs("indexer_types", default=[])
        if kinds:
            yield from copied(c, INDEXED)
            yield "attention.indexer.types", [kind == "full" for kind in kinds[: self.n_layer]]


class Glm5Next(KimiLinear):
    arch = "glm5-next"
    hf_names: ClassVar[tuple[str, ...]] = ("Glm5NextForConditionalGeneration",)
    model_types: ClassVar[tuple[str, ...]] = ("glm5_next",)
    layer: ClassVar[Names] = {
        **KimiLinear.layer,
        **EXPERTS,
        **INDEXER,
        "self_attn.indexer.index_kpool_compress_gate": "indexer_compressor_gate.weight",
        "self_attn.indexer.index_kpool_compress_ape": "indexer_compressor_ape.weight",
        **{
            f"hc_{part}_{number}": f"hc_{part}_{number}.weight"
            for part in ("attn", "ffn")
            for number in ("fn", "base", "scale")
        },
    }

    def is_attending(self) -> list[bool]:
        return [kind != "linear_attention" for kind in self.config.layer_types]

    def hparams(self) -> Keys:
        c, linear = self.config, self.config.section("linear_attn_config")
        yield from super().hparams()
        yield "attention.value_length", c.int("kv_lora_rank")
        yield "attention.layer_norm_epsilon", 1e-6
        yield from copied(linear, {"kda.gate_lower_bound": "gate_lower_bound"})
        yield from copied(
            c,
            {
                **INDEXED,
                "kda.gate_lower_bound": "linear_lower_bound",
                "attention.indexer.kpool": "index_kpool",
                "hyper_connection.count": "hc_mult",
                "hyper_connection.sinkhorn_iterations": "hc_sinkhorn_iters",
                "hyper_connection.epsilon": "hc_eps",
            },
        )
        yield "attention.indexer.kpool_select_tail", c.bool("index_kpool_always_select_tail", default=True)
        if c.has("indexer_types"):
            yield "attention.indexer.types", [kind == "full" for kind in c.strs("indexer_types")]
        yield "leading_dense_block_count", n_dense(c)
        yield "expert_gating_func", GATINGS["sigmoid"]
        yield "expert_weights_norm", c.bool("norm_topk_prob")
        if c.has("swiglu_limit"):
            for key in ("swiglu_clamp_exp", "swiglu_clamp_shexp"):
                yield key, [c.float("swiglu_limit")] * self.n_layer

    def n_shared(self) -> int:
        return self.config.int("n_shared_experts")

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if word == "ssm_a":
            weight = weight.reshaped(weight.n_values).rows(0, self.config.n_head)
        return super().change(word, weight, i)
