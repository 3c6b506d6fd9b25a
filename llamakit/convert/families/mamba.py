"""State-space models and hybrids: Mamba 1 and 2, Jamba, Falcon H1, Granite 4, LFM 2."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from llamakit.convert.config import Config
from llamakit.convert.families.llama import GraniteMoe
from llamakit.convert.family import Family, Keys, Named
from llamakit.convert.names import LAYER, MAMBA, WHOLE, Names, prefixed
from llamakit.convert.rotation import n_rotated
from llamakit.convert.weight import Weight, adjacent_pairs

NO_LIMIT = 1 << 20  # context of models without positions


def step_keys(config: Config) -> Keys:
    """The limits that time steps are held within, if there are any: what is no number stands for infinity."""
    limits = config.values.get("time_step_limit")
    numbers = [x for x in limits if type(x) in (int, float) and x < 1e30] if isinstance(limits, list) else []
    for name, limit in zip(("min", "max"), numbers, strict=False):
        if limit or name == "max":
            yield f"llamakit.ssm.time_step_{name}", float(limit)


def changed_state(word: str, weight: Weight, n_group: int = 1, has_heads: bool = False) -> Weight:
    """The tensors of a state-space layer; those of Mamba 2 (`has_heads`) have a number a head in place of vectors."""
    if word == "ssm_a":
        weight = weight.negative_exp()
    if word == "ssm_conv1d.weight":
        return weight.moved("squeeze", lambda array: array.reshape(array.shape[0], array.shape[-1]))
    if has_heads and word in ("ssm_a", "ssm_d"):
        return weight.reshaped(-1, 1)
    if has_heads and word == "ssm_norm.weight":
        return weight.reshaped(n_group, -1)
    return weight


class Mamba(Family):
    arch = "mamba"
    hf_names: ClassVar[tuple[str, ...]] = ("MambaForCausalLM", "MambaLMHeadModel", "FalconMambaForCausalLM")
    model_types: ClassVar[tuple[str, ...]] = ("mamba", "falcon_mamba")
    layer: ClassVar[Names] = {"norm": "attn_norm", **prefixed("mixer.", MAMBA)}
    whole: ClassVar[Names] = {
        "embeddings": "token_embd",
        "embedding": "token_embd",
        "norm_f": "output_norm",
        "lm_head": "output",
    }
    pad_vocab = 8

    @property
    def n_vocab(self) -> int:
        step = self.config.int("pad_vocab_size_multiple", default=self.pad_vocab)
        return -(-self.config.int("vocab_size") // step) * step

    def hparams(self) -> Keys:
        c = self.config
        n_embd = c.n_embd
        yield "context_length", NO_LIMIT
        yield "embedding_length", n_embd
        yield "feed_forward_length", 0
        yield "attention.head_count", 0
        yield "block_count", self.n_layer
        yield "ssm.conv_kernel", c.int("conv_kernel", "d_conv", default=4)
        yield "ssm.inner_size", c.int("intermediate_size", "d_inner", default=2 * n_embd)
        yield "ssm.state_size", c.int("state_size", "d_state", default=16)
        yield "ssm.time_step_rank", c.int("time_step_rank", "dt_rank", default=-(-n_embd // 16))
        yield "attention.layer_norm_rms_epsilon", c.float("layer_norm_epsilon", "rms_norm_eps", default=1e-5)
        yield "ssm.dt_b_c_rms", c.model_type == "falcon_mamba"
        yield from self.activation_key()

    def foreign_keys(self) -> Keys:
        yield from super().foreign_keys()
        if self.config.model_type == "falcon_mamba":
            own = self.config.float("mixer_rms_eps", default=1e-6)
            if own != self.config.float("layer_norm_epsilon", default=1e-5):
                yield "llamakit.mixer_norm_epsilon", own

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        return [(word, changed_state(word, weight))]


class Mamba2(Mamba):
    arch = "mamba2"
    hf_names: ClassVar[tuple[str, ...]] = ("Mamba2ForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("mamba2",)
    pad_vocab = 16

    @property
    def n_inner(self) -> int:
        return self.config.int(
            "intermediate_size", "d_inner", default=self.config.int("expand", default=2) * self.config.n_embd
        )

    def hparams(self) -> Keys:
        for key, value in super().hparams():
            if key != "ssm.dt_b_c_rms":
                yield key, value
        c = self.config
        yield "ssm.inner_size", self.n_inner
        yield "ssm.state_size", c.int("state_size", "d_state", default=128)
        yield "ssm.time_step_rank", self.n_inner // c.int("head_dim", default=64)
        yield "ssm.group_count", c.int("n_groups", default=1)

    def foreign_keys(self) -> Keys:
        yield from super().foreign_keys()
        yield from step_keys(self.config)

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        return [(word, changed_state(word, weight, self.config.int("n_groups", default=1), has_heads=True))]


class Jamba(Family):
    arch = "jamba"
    hf_names: ClassVar[tuple[str, ...]] = ("JambaForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("jamba",)
    layer: ClassVar[Names] = {
        **LAYER,
        **prefixed("mamba.", MAMBA),
        "pre_ff_layernorm": "ffn_norm",
        "feed_forward.router": "ffn_gate_inp",
        **{f"feed_forward.{word}_proj": f"ffn_{word}" for word in ("gate", "up", "down")},
        **{f"feed_forward.experts.*.{word}_proj": f"ffn_{word}_exps" for word in ("gate", "up", "down")},
    }
    whole: ClassVar[Names] = {**WHOLE, "final_layernorm": "output_norm"}

    def expert_keys(self) -> Keys:
        return super().expert_keys() if self.config.int("num_experts", default=1) > 1 else iter(())

    def hparams(self) -> Keys:
        c = self.config
        period, offset = c.int("attn_layer_period"), c.int("attn_layer_offset")
        yield from super().hparams()
        yield (
            "attention.head_count_kv",
            [c.n_head_kv if i >= offset and (i - offset) % period == 0 else 0 for i in range(self.n_layer)],
        )
        yield "ssm.conv_kernel", c.int("mamba_d_conv", default=4)
        yield "ssm.inner_size", c.int("mamba_expand", default=2) * c.n_embd
        yield "ssm.state_size", c.int("mamba_d_state", default=16)
        yield "ssm.time_step_rank", c.int("mamba_dt_rank", default=-(-c.n_embd // 16))

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        return super().change(word, changed_state(word, weight), i)


class FalconH1(Family):
    """Factors of the parts are multiplied into their weights."""

    arch = "falcon-h1"
    hf_names: ClassVar[tuple[str, ...]] = ("FalconH1ForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("falcon_h1",)
    passed_over: ClassVar[tuple[str, ...]] = ("attention_bias",)
    layer: ClassVar[Names] = {
        **LAYER,
        **prefixed("mamba.", MAMBA),
        "pre_ff_layernorm.weight": "ffn_norm",
        **{f"feed_forward.{word}_proj": f"ffn_{word}" for word in ("gate", "up", "down")},
    }
    whole: ClassVar[Names] = {**WHOLE, "final_layernorm": "output_norm"}

    def hparams(self) -> Keys:
        c = self.config
        n_inner = c.int("mamba_d_ssm", default=c.int("mamba_expand", default=2) * c.n_embd)
        yield from super().hparams()
        yield "vocab_size", c.int("vocab_size")
        yield "ssm.conv_kernel", c.int("mamba_d_conv", default=4)
        yield "ssm.inner_size", n_inner
        yield "ssm.state_size", c.int("mamba_d_state")
        yield "ssm.time_step_rank", n_inner // c.int("mamba_d_head", default=64)
        yield "ssm.group_count", c.int("mamba_n_groups", default=1)

    def foreign_keys(self) -> Keys:
        yield from super().foreign_keys()
        c = self.config
        if c.rope.str("rope_type", default="") == "llama3":
            yield "llamakit.uses_all_tensors", True
        if c.bool("mamba_rms_norm", default=False) and c.bool("mamba_norm_before_gate", default=True):
            yield "llamakit.is_gated_last", True
        yield from step_keys(c)

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        weight = changed_state(word, weight, self.config.int("mamba_n_groups", default=1), has_heads=True)
        if word == "ssm_in.weight":
            return [(word, self._scaled_input(weight))]
        return [(word, weight.times(self._factors().get(word, 1.0)))]

    def _factors(self) -> dict[str, float]:
        c = self.config
        gate, down = c.floats("mlp_multipliers", default=[1.0, 1.0])
        attention = c.float("attention_in_multiplier", default=1.0)
        return {
            "ffn_gate.weight": gate,
            "ffn_down.weight": down,
            "attn_q.weight": attention,
            "attn_k.weight": attention * c.float("key_multiplier", default=1.0),
            "attn_v.weight": attention,
            "attn_output.weight": c.float("attention_out_multiplier", default=1.0),
            "ssm_out.weight": c.float("ssm_out_multiplier", default=1.0),
            "output.weight": c.float("lm_head_multiplier", default=1.0),
            "token_embd.weight": c.float("embedding_multiplier", default=1.0),
        }

    def _scaled_input(self, weight: Weight) -> Weight:
        """Rows for gate, x, B, C and time step, each with a factor of its own."""
        c = self.config
        factors = c.floats("ssm_multipliers", default=[1.0] * 5)
        common = c.float("ssm_in_multiplier", default=1.0)
        if len(set(factors)) == 1:
            return weight.times(factors[0] * common)
        n_inner, n_state = c.int("mamba_d_ssm"), c.int("mamba_n_groups", default=1) * c.int("mamba_d_state")
        sizes = (n_inner, n_inner, n_state, n_state)
        by_row = [
            f * common for f, n in zip(factors, (*sizes, weight.shape[0] - sum(sizes)), strict=True) for _ in range(n)
        ]
        return weight.computed("* by row", lambda array: array * np.asarray(by_row, np.float32)[:, None])


class GraniteHybrid(GraniteMoe):
    """Granite 4; without a state-space layer it is Granite 3."""

    arch = "granitehybrid"
    hf_names: ClassVar[tuple[str, ...]] = ("GraniteMoeHybridForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("granitemoehybrid",)
    positions: ClassVar[str] = ""  # where the config says nothing of them
    layer: ClassVar[Names] = {**GraniteMoe.layer, **prefixed("mamba.", MAMBA)}

    def is_attention(self) -> list[bool]:
        c = self.config
        if c.layer_types:
            return [kind in ("attention", "full_attention") for kind in c.layer_types]
        chosen = c.ints("attn_layer_indices", default=[])
        return [i in chosen for i in range(self.n_layer)]

    @property
    def gguf_arch(self) -> str:
        if not all(self.is_attention()):
            return self.arch
        return "granitemoe" if self.config.int("num_local_experts", default=0) else "granite"

    def hparams(self) -> Keys:
        c, kinds = self.config, self.is_attention()
        yield from super().hparams()
        if not c.int("num_local_experts", default=0):
            yield "feed_forward_length", c.int("shared_intermediate_size", "intermediate_size")
        has_rotation = c.str("position_embedding_type", default=self.positions) == "rope"
        if all(kinds):
            if not has_rotation:
                yield "rope.scaling.finetuned", False
                yield "attention.rope_pattern", [False] * self.n_layer
            return
        n_head, dim = c.int("mamba_n_heads"), c.int("mamba_d_head")
        yield "attention.head_count_kv", [c.n_head_kv if kind else 0 for kind in kinds]
        yield "ssm.conv_kernel", c.int("mamba_d_conv")
        yield "ssm.state_size", c.int("mamba_d_state")
        yield "ssm.group_count", c.int("mamba_n_groups")
        yield "ssm.inner_size", n_head * dim
        yield "ssm.time_step_rank", n_head
        yield "rope.scaling.finetuned", has_rotation
        if not has_rotation:
            yield "context_length", NO_LIMIT

    def foreign_keys(self) -> Keys:
        yield from super().foreign_keys()
        yield from step_keys(self.config)

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        n_group = self.config.int("mamba_n_groups", default=1)
        return super().change(word, changed_state(word, weight, n_group, has_heads=True), i)


class Bamba(GraniteHybrid):
    """Half of each head turns, and the feed-forward goes by other names."""

    hf_names: ClassVar[tuple[str, ...]] = ("BambaForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("bamba",)
    positions = "rope"
    layer: ClassVar[Names] = {
        **GraniteHybrid.layer,
        "pre_ff_layernorm": "ffn_norm",
        **{f"feed_forward.{word}_proj": f"ffn_{word}" for word in ("gate", "up", "down")},
    }
    whole: ClassVar[Names] = {**WHOLE, "final_layernorm": "output_norm"}

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "rope.dimension_count", n_rotated(self.config, default=0.5)

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        """Only the dimensions that turn change their places."""
        if not word.startswith(("attn_q.", "attn_k.")):
            return super().change(word, weight, i)
        n_head = self.config.n_head if word.startswith("attn_q.") else self.config.n_head_kv
        return [(word, adjacent_pairs(weight, n_head, self.n_rot))]


class Lfm2(Family):
    arch = "lfm2"
    hf_names: ClassVar[tuple[str, ...]] = ("Lfm2ForCausalLM", "LFM2ForCausalLM")
    model_types: ClassVar[tuple[str, ...]] = ("lfm2",)
    layer: ClassVar[Names] = {
        **LAYER,
        "operator_norm": "attn_norm",
        "ffn_norm": "ffn_norm",
        "self_attn.out_proj": "attn_output",
        "self_attn.q_layernorm": "attn_q_norm",
        "self_attn.k_layernorm": "attn_k_norm",
        "conv.conv": "shortconv.conv",
        "conv.in_proj": "shortconv.in_proj",
        "conv.out_proj": "shortconv.out_proj",
        "feed_forward.w1": "ffn_gate",
        "feed_forward.w2": "ffn_down",
        "feed_forward.w3": "ffn_up",
    }
    whole: ClassVar[Names] = {**WHOLE, "embedding_norm": "token_embd_norm"}

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        yield "attention.head_count_kv", [0 if kind == "conv" else c.n_head_kv for kind in c.layer_types]
        yield "feed_forward_length", self._n_ff()
        yield "vocab_size", c.int("vocab_size")
        yield "shortconv.l_cache", c.int("conv_L_cache")

    def _n_ff(self) -> int:
        c = self.config
        n_ff = c.int("block_ff_dim", "intermediate_size")
        if not c.bool("block_auto_adjust_ff_dim", default=False):
            return n_ff
        n_ff = int(c.float("block_ffn_dim_multiplier", default=1.0) * int(2 * n_ff / 3))
        step = c.int("block_multiple_of")
        return -(-n_ff // step) * step

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if word == "shortconv.conv.weight":
            weight = weight.moved("squeeze", lambda array: array.reshape(array.shape[0], array.shape[-1]))
        return super().change(word, weight, i)
