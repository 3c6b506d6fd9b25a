"""Kimi K3, its text: latent experts, gates everywhere, and sums of all layers before weighed by what is learned."""

from __future__ import annotations

import re
from typing import ClassVar

from llamakit.convert.families.kimi import KimiLinear
from llamakit.convert.families.settings import copied
from llamakit.convert.family import Keys, Named
from llamakit.convert.names import Names
from llamakit.convert.weight import Weight, as_float32

_SCORE = re.compile(r"(.*?)(self_attention|mlp|output_attn)_res_(norm|proj)\.weight")
SCORES = {"self_attention": "attn_res_score", "mlp": "ffn_res_score", "output_attn": "output_res_score"}


class KimiK3(KimiLinear):
    """A norm's weight and the projection behind it are only used as their product, which the file has."""

    arch = "kimi-k3"
    hf_names: ClassVar[tuple[str, ...]] = ("KimiK3ForConditionalGeneration",)
    model_types: ClassVar[tuple[str, ...]] = ("kimi_k3",)
    layer: ClassVar[Names] = {
        **KimiLinear.layer,
        **{f"{score}.*": f"{score}.weight" for score in SCORES.values()},
        "self_attn.g_proj": "attn_gate",
        "block_sparse_moe.routed_expert_down_proj": "ffn_routed_down",
        "block_sparse_moe.routed_expert_up_proj": "ffn_routed_up",
        "block_sparse_moe.routed_expert_norm": "ffn_routed_norm",
    }
    whole: ClassVar[Names] = {**KimiLinear.whole, "output_res_score.*": "output_res_score.weight"}

    def renamed(self, name: str) -> str | None:
        renamed = super().renamed(name)
        match = _SCORE.fullmatch(renamed or "")
        return f"{match[1]}{SCORES[match[2]]}.{int(match[3] == 'proj')}" if match else renamed

    def activation_key(self) -> Keys:
        yield from copied(
            self.config,
            {
                "activation.situ_beta": "activation_situ_beta",
                "activation.situ_linear_beta": "activation_situ_linear_beta",
            },
        )

    def hparams(self) -> Keys:
        c = self.config
        yield from super().hparams()
        yield "attention.value_length", c.int("kv_lora_rank")
        yield "expert_weights_norm", c.bool("moe_renormalize")
        yield from copied(c.section("linear_attn_config"), {"kda.gate_lower_bound": "gate_lower_bound"})
        yield from copied(
            c, {"expert_latent_length": "routed_expert_hidden_size", "attn_res.block_size": "attn_res_block_size"}
        )

    def gathered(self, parts: dict[int | None, str]) -> Weight:
        if not all(_SCORE.search(name) for name in parts.values()):
            return super().gathered(parts)
        norm, projection = (self.checkpoint.weight(parts[k]) for k in (0, 1))
        norm = norm.reshaped(norm.n_values)
        return norm.computed("* projection", lambda array: array * as_float32(projection.load()).reshape(-1))

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        is_recurrent = i is not None and not self.is_attending()[i]
        if word == "attn_gate.weight" and is_recurrent:
            word = "ssm_g.weight"
        if word == "ssm_a":
            weight = weight.reshaped(weight.n_values).rows(0, self.config.n_head)
        return super().change(word, weight, i)
