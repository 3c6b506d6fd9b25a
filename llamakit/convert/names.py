"""What tensors are called: Hugging Face's words on the left, GGUF's on the right.

A name is cut at the layer's number ("model.layers.3.mlp.up_proj.weight" is "mlp.up_proj" of layer 3); ".weight" and
".bias" go over by themselves, other endings are spelt out. A star stands for numbers of tensors that become one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

Names: TypeAlias = Mapping[str, str]

ATTENTION: Names = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
}
FEED_FORWARD: Names = {
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
EXPERTS: Names = {
    "mlp.gate": "ffn_gate_inp",
    "mlp.gate.e_score_correction_bias": "exp_probs_b.bias",
    "mlp.experts.*.gate_proj": "ffn_gate_exps",
    "mlp.experts.*.up_proj": "ffn_up_exps",
    "mlp.experts.*.down_proj": "ffn_down_exps",
    "mlp.experts.gate_up_proj": "ffn_gate_up_exps.weight",
    "mlp.experts.down_proj": "ffn_down_exps.weight",
    **{
        f"mlp.{shared}.{word}_proj": f"ffn_{word}_shexp"
        for shared in ("shared_expert", "shared_experts")
        for word in ("gate", "up", "down")
    },
    "mlp.shared_expert_gate": "ffn_gate_inp_shexp",
}
LATENT_KEYS: Names = {
    "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa",
    "self_attn.kv_a_layernorm": "attn_kv_a_norm",
    "self_attn.kv_b_proj": "attn_kv_b",
}
LATENT: Names = {
    "self_attn.q_a_proj": "attn_q_a",
    "self_attn.q_a_layernorm": "attn_q_a_norm",
    "self_attn.q_b_proj": "attn_q_b",
    **LATENT_KEYS,
}
MIXTRAL_EXPERTS: Names = {
    "block_sparse_moe.gate": "ffn_gate_inp",
    "block_sparse_moe.experts.*.w1": "ffn_gate_exps",
    "block_sparse_moe.experts.*.w2": "ffn_down_exps",
    "block_sparse_moe.experts.*.w3": "ffn_up_exps",
}
LAYER: Names = {**ATTENTION, **FEED_FORWARD}
WHOLE: Names = {"embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output"}
MAMBA: Names = {
    "in_proj": "ssm_in",
    "conv1d": "ssm_conv1d",
    "x_proj": "ssm_x",
    "dt_proj": "ssm_dt",
    "dt_bias": "ssm_dt.bias",
    "A_log": "ssm_a",
    "D": "ssm_d",
    "norm": "ssm_norm",
    "out_proj": "ssm_out",
    "dt_layernorm": "ssm_dt_norm",
    "b_layernorm": "ssm_b_norm",
    "c_layernorm": "ssm_c_norm",
}

_PREFIX = re.compile(r"(?:model|language_model|text_model|transformer|gpt_neox|backbone|bert|roberta|distilbert)\.")
_LAYER = re.compile(r"(?:layers|h|blocks|encoder\.layer|transformer\.layer)\.(\d+)\.(.+)")
_NUMBER = re.compile(r"\.(\d+)(?=\.|$)")
_SUFFIXES = (".weight", ".bias")


def prefixed(prefix: str, names: Names) -> dict[str, str]:
    """The same names below a module, such as `mixer.`"""
    return {f"{prefix}{theirs}": ours for theirs, ours in names.items()}


@dataclass(frozen=True, slots=True)
class Place:
    """A checkpoint's name, taken apart: the layer (None outside), the words, the number at the star (None without)."""

    layer: int | None
    words: str
    number: int | None = None


def places(name: str) -> list[Place]:
    """The ways to read a name: as it is, and with a number in it read as a star."""
    while match := _PREFIX.match(name):
        name = name[match.end() :]
    match = _LAYER.fullmatch(name)
    layer, words = (int(match[1]), match[2]) if match else (None, name)
    found = [Place(layer, words)]
    if number := _NUMBER.search(words):
        found.append(Place(layer, f"{words[: number.start()]}.*{words[number.end() :]}", int(number[1])))
    return found


def find(names: Names, words: str) -> str | None:
    """GGUF's word for some words, endings and all; "" for what is left out, None for what is not known."""
    if words in names:
        return names[words]
    for suffix in _SUFFIXES:
        stem = words.removesuffix(suffix)
        if stem != words and stem in names:
            return names[stem] and names[stem] + suffix
    return None
