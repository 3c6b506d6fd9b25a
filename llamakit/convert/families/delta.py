"""Qwen 3 Next and 3.5: gated delta nets, every few layers gated attention."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import ClassVar

from llamakit.convert.families.nextn import APART, NEXTN, ForetellingApart
from llamakit.convert.families.others import no_other_function
from llamakit.convert.families.qwen import Qwen2Moe
from llamakit.convert.family import Keys, Named
from llamakit.convert.names import EXPERTS, LAYER, Names
from llamakit.convert.rotation import n_rotated
from llamakit.convert.weight import Array, Weight, joined, split_rows

DELTA_NET = {
    "linear_attn.conv1d": "ssm_conv1d",
    "linear_attn.A_log": "ssm_a",
    "linear_attn.dt_bias": "ssm_dt.bias",
    "linear_attn.norm": "ssm_norm",
    "linear_attn.out_proj": "ssm_out",
    "linear_attn.in_proj_qkvz": "ssm_in",
    "linear_attn.in_proj_ba": "ssm_ba",
    "linear_attn.in_proj_qkv": "attn_qkv",
    "linear_attn.in_proj_z": "attn_gate",
    "linear_attn.in_proj_a": "ssm_alpha",
    "linear_attn.in_proj_b": "ssm_beta",
}

_FORETELLING_WHOLE = re.compile(r"(?:model\.)?mtp\.(\w+)\.(\w+)")
FORETELLING = {
    "fc": "eh_proj",
    "pre_fc_norm_embedding": "enorm",
    "pre_fc_norm_hidden": "hnorm",
    "norm": "shared_head.norm",
}


UNIT_EPS = 1e-6  # of the length of queries and keys, whatever that of the norms


class DeltaNet(ForetellingApart, Qwen2Moe):
    """What both have."""

    arch = ""
    is_normed = True
    hf_names: ClassVar[tuple[str, ...]] = ()
    model_types: ClassVar[tuple[str, ...]] = ()
    layer: ClassVar[Names] = {
        **LAYER,
        **EXPERTS,
        **DELTA_NET,
        **NEXTN,
        "post_attention_layernorm": "post_attention_norm",
    }

    def renamed(self, name: str) -> str | None:
        n = self.config.n_layer
        match = APART.fullmatch(name)
        part = _FORETELLING_WHOLE.fullmatch(name)
        if match:
            name = f"layers.{n + int(match[1])}.{match[2]}"
        elif part and part[1] in FORETELLING:
            name = f"layers.{n}.{FORETELLING[part[1]]}.{part[2]}"
        return super().renamed(name)

    def activation_key(self) -> Keys:
        yield from no_other_function(self.config)

    @property
    def n_key(self) -> int:
        return self.config.int("linear_num_key_heads")

    @property
    def n_value(self) -> int:
        return self.config.int("linear_num_value_heads")

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        yield "ssm.conv_kernel", c.int("linear_conv_kernel_dim")
        yield "ssm.state_size", c.int("linear_key_head_dim")
        yield "ssm.group_count", self.n_key
        yield "ssm.time_step_rank", self.n_value
        yield "ssm.inner_size", c.int("linear_value_head_dim") * self.n_value
        if c.layer_types:
            kinds = [kind == "linear_attention" for kind in c.layer_types]
            yield "attention.recurrent_layers", kinds + [False] * self.n_predict_layers
        yield from self.foretelling_keys()
        yield "full_attention_interval", c.int("full_attention_interval", default=4)
        yield "rope.dimension_count", n_rotated(c, default=0.25)

    def foreign_keys(self) -> Keys:
        yield from super().foreign_keys()
        if self.config.float("rms_norm_eps", default=UNIT_EPS) != UNIT_EPS:
            yield "llamakit.unit_norm_epsilon", UNIT_EPS

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if word == "ssm_a":
            weight = weight.negative_exp()
        elif word == "ssm_conv1d.weight":
            weight = weight.moved("squeeze", lambda array: array.reshape(array.shape[0], array.shape[-1]))
        elif word.endswith("norm.weight") and word != "ssm_norm.weight":
            weight = weight.plus(1)
        if word == "ssm_in.weight":
            return self._sorted(weight)
        return super().change(word, weight, i)

    def _sorted(self, weight: Weight) -> Named:
        """Rows that lie together by key head (q, k, v, z of each): all of a kind together."""
        c = self.config
        n_k, n_v = c.int("linear_key_head_dim"), self.n_value // self.n_key * c.int("linear_value_head_dim")
        heads = weight.reshaped(self.n_key, 2 * (n_k + n_v), weight.shape[-1])

        def part(first: int, last: int) -> Weight:
            return heads.moved(f"rows {first}:{last} of heads", lambda array: array[:, first:last]).reshaped(
                -1, weight.shape[-1]
            )

        starts = (0, n_k, 2 * n_k, 2 * n_k + n_v, 2 * (n_k + n_v))
        q, k, v, z = (part(first, last) for first, last in pairwise(starts))
        return [("attn_qkv.weight", joined((q, k, v))), ("attn_gate.weight", z)]


class Qwen3Next(DeltaNet):
    arch = "qwen3next"
    hf_names: ClassVar[tuple[str, ...]] = ("Qwen3NextForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("qwen3_next",)


class Qwen35(DeltaNet):
    """Value heads in GGUF's order: the first of every key head, then the second, ..."""

    arch = "qwen35"
    hf_names: ClassVar[tuple[str, ...]] = ("Qwen3_5ForCausalLM", "Qwen3_5ForConditionalGeneration")
    model_types: ClassVar[tuple[str, ...]] = ("qwen3_5", "qwen3_5_text")
    sections = (11, 11, 10, 0)  # of the rotation by time, height and width, where the config has none

    def hparams(self) -> Keys:
        yield from super().hparams()
        sections = self.config.rope.ints("mrope_section", default=list(self.sections))
        yield "rope.dimension_sections", [*sections, 0, 0, 0, 0][:4]

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        dim, n_keys = self.config.int("linear_value_head_dim"), 2 * self.n_key * self.config.int("linear_key_head_dim")
        is_recurrent = i is not None and i < self.n_layer and self._is_recurrent(i)
        if is_recurrent and word in ("attn_qkv.weight", "ssm_conv1d.weight"):
            keys, values = split_rows(weight, n_keys, weight.shape[0] - n_keys)
            weight = joined((keys, self._tiled(values, dim)))
        elif is_recurrent and word == "attn_gate.weight":
            weight = self._tiled(weight, dim)
        elif word in ("ssm_alpha.weight", "ssm_beta.weight", "ssm_a", "ssm_dt.bias"):
            weight = self._tiled(weight, 1)
        elif word == "ssm_out.weight":
            weight = self._tiled(weight.transposed(), dim).transposed()
        return super().change(word, weight, i)

    def _is_recurrent(self, i: int) -> bool:
        kinds = self.config.layer_types
        if i >= self.config.n_layer:
            return False
        return kinds[i] == "linear_attention" if kinds else (i + 1) % 4 != 0

    def _tiled(self, weight: Weight, dim: int) -> Weight:
        n_key, per_key = self.n_key, self.n_value // self.n_key

        def move(rows: Array) -> Array:
            heads = rows.reshape(n_key, per_key, dim, *rows.shape[1:])
            return heads.swapaxes(0, 1).reshape(rows.shape)

        return weight.moved("order value heads", move)


class Qwen35Moe(Qwen35):
    arch = "qwen35moe"
    hf_names: ClassVar[tuple[str, ...]] = ("Qwen3_5MoeForCausalLM", "Qwen3_5MoeForConditionalGeneration")
    model_types: ClassVar[tuple[str, ...]] = ("qwen3_5_moe", "qwen3_5_moe_text")
