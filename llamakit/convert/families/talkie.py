"""Talkie: learned factors of heads, parts and the embedding, which goes into every layer."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from llamakit.convert.family import Family, Keys, Named
from llamakit.convert.names import Names
from llamakit.convert.weight import Array, Weight, as_float32


class Talkie(Family):
    """Heads turn the other way round: the second halves of queries and keys change their sign."""

    arch = "talkie"
    hf_names: ClassVar[tuple[str, ...]] = ("TalkieForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("talkie",)
    layer: ClassVar[Names] = {
        "attn.attn_query": "attn_q",
        "attn.attn_key": "attn_k",
        "attn.attn_value": "attn_v",
        "attn.attn_resid": "attn_output",
        "attn.head_gain.head_g": "attn_q_norm.weight",
        "mlp.mlp_linear": "ffn_up",
        "mlp.mlp_gate": "ffn_gate",
        "mlp.mlp_resid": "ffn_down",
        "attn_gain.a_g": "attn_output.scale",
        "mlp_gain.a_g": "ffn_down.scale",
        "embed_skip.a_g": "layer_output_scale.weight",
    }
    whole: ClassVar[Names] = {
        "embed": "token_embd",
        "embed.weight": "token_embd.weight",
        "lm_head": "output.weight",
        "lm_head.weight": "output.weight",
        "lm_head_gain.w_g": "",
    }

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "attention.layer_norm_rms_epsilon", float(np.finfo(np.float32).eps)
        gain = next((name for name in self.checkpoint if name.endswith("lm_head_gain.w_g")), None)
        if gain is not None:
            yield "logit_scale", float(np.asarray(as_float32(self.checkpoint.weight(gain).load())).reshape(-1)[0])

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if word in ("attn_q.weight", "attn_k.weight"):
            weight = weight.computed("- second halves", self._turned_back)
        elif word == "attn_q_norm.weight":
            weight = weight.reshaped(-1, 1)
        return [(word, weight)]

    def _turned_back(self, rows: Array) -> Array:
        signs = np.ones((self.config.head_dim, 1), np.float32)
        signs[self.config.head_dim // 2 :] = -1
        return (rows.reshape(-1, self.config.head_dim, rows.shape[-1]) * signs).reshape(rows.shape)
