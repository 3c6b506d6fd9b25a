"""Ling 3: delta nets, and latent attention in the last layer of each group."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.checkpoint import Checkpoint
from llamakit.convert.config import Config
from llamakit.convert.families.bailing import BailingMoe
from llamakit.convert.families.kimi import KimiLinear
from llamakit.convert.families.nextn import NEXTN
from llamakit.convert.families.settings import copied, n_dense
from llamakit.convert.family import Keys, Named
from llamakit.convert.names import EXPERTS, LAYER, Names
from llamakit.convert.weight import Weight
from llamakit.errors import ModelError


class Ling3(KimiLinear):
    arch = "bailingmoe3"
    hf_names: ClassVar[tuple[str, ...]] = ("BailingMoeV3ForCausalLM", "BailingMoeV3VLForConditionalGeneration")
    model_types: ClassVar[tuple[str, ...]] = ("bailing_moe_v3",)
    layer: ClassVar[Names] = {
        **LAYER,
        **EXPERTS,
        **NEXTN,
        **{
            name.replace("self_attn.", "attention."): ours
            for name, ours in KimiLinear.layer.items()
            if name.startswith("self_attn.")
        },
        "attention.dense": "attn_output",
        "attention.f_proj": "ssm_f_a",
        "attention.g_proj": "attn_gate",
        "mlp.gate.expert_bias": "exp_probs_b.bias",
        "final_layernorm": "layer_output_norm",
    }
    whole: ClassVar[Names] = BailingMoe.whole

    def __init__(self, config: Config, checkpoint: Checkpoint) -> None:
        """Raises ModelError for variants that GGUF's readers do not know."""
        wanted = {"no_kda_lora": True, "kda_safe_gate": True, "gated_attention_proj_granularity_type": "head_wise"}
        for name, value in wanted.items():
            if config.values.get(name) != value:
                raise ModelError(f"{config.path}: {name} is {config.values.get(name)!r:.30}; only {value!r} is known")
        super().__init__(config, checkpoint)

    @property
    def n_layer(self) -> int:
        return self.config.n_layer + self.config.int("num_nextn_predict_layers", default=0)

    def is_attending(self) -> list[bool]:
        n, size = self.config.n_layer, self.config.int("layer_group_size")
        return [i >= n // size * size or (i + 1) % size == 0 for i in range(self.n_layer)]

    def n_shared(self) -> int:
        return self.config.int("num_shared_experts", default=1)

    def limits(self, name: str) -> list[float]:
        """Of gates and ups by layer; 0 for none."""
        given = [float(limit or 0.0) for limit in self.config.values[name]][: self.n_layer]
        return given + [0.0] * (self.n_layer - len(given))

    def hparams(self) -> Keys:
        c = self.config
        for key, value in super().hparams():
            if key != "expert_gating_func":
                yield key, value
        yield from self.expert_keys()
        yield "ssm.conv_kernel", c.int("short_conv_kernel_size")
        yield "kda.head_dim", c.int("head_dim")
        yield "kda.safe_gate", True
        yield "kda.gate_lower_bound", c.float("kda_lower_bound")
        yield "expert_shared_feed_forward_length", c.int("moe_shared_expert_intermediate_size")
        yield "leading_dense_block_count", n_dense(c)
        yield "expert_weights_norm", c.bool("norm_topk_prob")
        for ours, theirs in (
            ("swiglu_clamp_exp", "expert_swiglu_limit_list"),
            ("swiglu_clamp_shexp", "share_expert_swiglu_limit_list"),
        ):
            if c.has(theirs):
                yield ours, self.limits(theirs)
        if self.n_layer > c.n_layer:
            yield from copied(c, {"nextn_predict_layers": "num_nextn_predict_layers"})

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if word == "attn_gate.weight" and i is not None and not self.is_attending()[i]:
            word = "ssm_g_a.weight"
        if word == "ssm_a":  # the reader of this architecture takes the exponential itself, not its negative
            return [(word, weight.negative_exp().times(-1).reshaped(-1, 1))]
        return super().change(word, weight, i)
