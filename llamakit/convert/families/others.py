"""Decoders that need no file of their own: GPT-OSS, Llama 4, DBRX, BitNet, nanochat."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from llamakit.convert.config import Config
from llamakit.convert.families.settings import swiglu_keys
from llamakit.convert.family import ACTIVATIONS, Family, Keys, Named
from llamakit.convert.names import ATTENTION, LAYER, MIXTRAL_EXPERTS, Names
from llamakit.convert.rotation import scaling_keys
from llamakit.convert.weight import Weight
from llamakit.errors import ModelError

LINEAR_EPS = 1e-6  # of the norm in MiniMax's linear attention, whatever the config says of the others


class GptOss(Family):
    """Gates and ups alternate in one matrix."""

    arch = "gpt-oss"
    hf_names: ClassVar[tuple[str, ...]] = ("GptOssForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("gpt_oss",)
    layer: ClassVar[Names] = {
        **ATTENTION,
        "post_attention_layernorm": "post_attention_norm",
        "self_attn.sinks": "attn_sinks.weight",
        "mlp.router": "ffn_gate_inp",
        "mlp.experts.gate_up_proj": "ffn_gate_up_exps.weight",
        "mlp.experts.gate_up_proj_bias": "ffn_gate_up_exps.bias",
        "mlp.experts.down_proj": "ffn_down_exps.weight",
        "mlp.experts.down_proj_bias": "ffn_down_exps.bias",
    }

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "attention.sliding_window", self.config.int("sliding_window")
        if self.window_pattern() not in ([], [i % 2 == 0 for i in range(self.n_layer)]):
            yield "attention.sliding_window_pattern", self.window_pattern()
        yield "expert_feed_forward_length", self.config.int("intermediate_size")

    def foreign_keys(self) -> Keys:
        yield from super().foreign_keys()
        yield from swiglu_keys(self.config)

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        suffix = word.rpartition(".")[2]
        if word in ("ffn_gate_up_exps.weight", "ffn_down_exps.weight"):
            weight = weight.transposed()
        if not word.startswith("ffn_gate_up_exps."):
            return super().change(word, weight, i)
        return [
            (f"ffn_gate_exps.{suffix}", weight.moved("even rows", lambda array: array[:, ::2])),
            (f"ffn_up_exps.{suffix}", weight.moved("odd rows", lambda array: array[:, 1::2])),
        ]


class Llama4(Family):
    arch = "llama4"
    hf_names: ClassVar[tuple[str, ...]] = ("Llama4ForCausalLM", "Llama4ForConditionalGeneration")
    model_types: ClassVar[tuple[str, ...]] = ("llama4", "llama4_text")
    layer: ClassVar[Names] = {
        **LAYER,
        **{f"feed_forward.{word}_proj": f"ffn_{word}" for word in ("gate", "up", "down")},
        **{f"feed_forward.shared_expert.{word}_proj": f"ffn_{word}_shexp" for word in ("gate", "up", "down")},
        "feed_forward.router": "ffn_gate_inp",
        "feed_forward.experts.gate_up_proj": "ffn_gate_up_exps.weight",
        "feed_forward.experts.down_proj": "ffn_down_exps.weight",
    }

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        yield "feed_forward_length", c.int("intermediate_size_mlp")
        yield "vocab_size", c.int("vocab_size")
        yield "rope.dimension_count", c.head_dim
        yield "interleave_moe_layer_step", c.int("interleave_moe_layer_step")
        yield "expert_feed_forward_length", c.int("intermediate_size")
        yield from self.chunk_keys()
        every_fourth = [(i + 1) % 4 != 0 for i in range(self.n_layer)]
        turns = [n != 0 for n in c.ints("no_rope_layers", default=[])]
        if turns not in ([], every_fourth):
            yield "attention.rope_pattern", turns
        growth = c.float("attn_scale", default=0.1) if c.bool("attn_temperature_tuning", default=True) else 0.0
        length = c.int("floor_scale", default=8192)
        if (growth, length) != (0.1, 8192):
            yield "attention.temperature_scale", growth
            yield "attention.temperature_length", length

    def chunk_keys(self) -> Keys:
        c = self.config
        n = c.int("attention_chunk_size", default=8192)
        is_chunked = [kind == "chunked_attention" for kind in c.layer_types]
        if is_chunked and not any(is_chunked):
            yield "attention.sliding_window", 0
            yield "attention.rope_pattern", [n != 0 for n in c.ints("no_rope_layers", default=[])]
            return
        if n != 8192:
            yield "attention.sliding_window", n
        if is_chunked not in ([], [(i + 1) % 4 != 0 for i in range(self.n_layer)]):
            yield "attention.sliding_window_pattern", is_chunked

    def foreign_keys(self) -> Keys:
        yield from super().foreign_keys()
        is_normed = self.config.bool("use_qk_norm", default=True)
        if is_normed != (self.config.int("num_local_experts", default=0) != 128):
            yield "llamakit.has_head_norms", is_normed

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if word in ("ffn_gate_up_exps.weight", "ffn_down_exps.weight"):
            weight = weight.transposed()
        return super().change(word, weight, i)


class Dbrx(Family):
    arch = "dbrx"
    hf_names: ClassVar[tuple[str, ...]] = ("DbrxForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("dbrx",)
    layer: ClassVar[Names] = {
        "norm_attn_norm.norm_1": "attn_norm",
        "norm_attn_norm.attn.Wqkv": "attn_qkv",
        "norm_attn_norm.attn.out_proj": "attn_output",
        "norm_attn_norm.norm_2": "attn_output_norm",
        "ffn.router.layer": "ffn_gate_inp",
        "ffn.experts.mlp.w1": "ffn_gate_exps.weight",
        "ffn.experts.mlp.v1": "ffn_up_exps.weight",
        "ffn.experts.mlp.w2": "ffn_down_exps.weight",
    }
    whole: ClassVar[Names] = {"wte": "token_embd", "norm_f": "output_norm", "lm_head": "output"}

    def hparams(self) -> Keys:
        c = self.config
        attention, experts = c.section("attn_config"), c.section("ffn_config")
        yield "block_count", self.n_layer
        yield "context_length", c.int("max_seq_len")
        yield "embedding_length", c.n_embd
        yield "feed_forward_length", experts.int("ffn_hidden_size")
        yield "attention.head_count", c.n_head
        yield "attention.head_count_kv", attention.int("kv_n_heads")
        yield "rope.freq_base", attention.float("rope_theta", default=10000.0)
        yield from scaling_keys(c)
        if attention.has("clip_qkv"):
            yield "attention.clamp_kqv", attention.float("clip_qkv")
        yield "expert_count", experts.int("moe_num_experts")
        yield "expert_used_count", experts.int("moe_top_k")
        yield "attention.layer_norm_epsilon", 1e-5
        function = experts.section("ffn_act_fn").str("name", default="silu")
        if function not in ACTIVATIONS:
            raise ModelError(f"{c.path}: experts apply {function!r:.40}; known are {', '.join(ACTIVATIONS)}")
        if ACTIVATIONS[function] != "silu":
            yield "hidden_activation", ACTIVATIONS[function]

    def foreign_keys(self) -> Keys:
        yield from super().foreign_keys()
        experts = self.config.section("ffn_config")
        key = "moe_normalize_expert_weights"
        power = experts.float(key, default=0.0 if key in experts.values else 1.0)  # null is none
        if power not in (0, 1, 2):
            raise ModelError(f"{self.config.path}: {key} is {power}; experts' shares are normed by the power 1 or 2")
        if not power:
            yield "llamakit.expert_weights_norm", False
        elif power != 1:
            yield "llamakit.expert_weights_norm_power", int(power)

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if word.endswith("_exps.weight"):
            experts = self.config.section("ffn_config")
            weight = weight.reshaped(experts.int("moe_num_experts"), experts.int("ffn_hidden_size"), self.config.n_embd)
            weight = weight.transposed() if word.startswith("ffn_down") else weight
        return [(word, weight)]


class BitNet(Family):
    arch = "bitnet"
    hf_names: ClassVar[tuple[str, ...]] = ("BitNetForCausalLM", "BitnetForCausalLM")
    model_types: ClassVar[tuple[str, ...]] = ("bitnet",)
    layer: ClassVar[Names] = {**LAYER, "self_attn.attn_sub_norm": "attn_sub_norm", "mlp.ffn_sub_norm": "ffn_sub_norm"}

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "vocab_size", self.config.int("vocab_size")


class NanoChat(Family):
    """Turned backwards: with the signs of each head's second half turned round, it is the usual rotation."""

    arch = "nanochat"
    hf_names: ClassVar[tuple[str, ...]] = ("NanoChatForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("nanochat",)
    activation = "relu2"
    layer: ClassVar[Names] = {**LAYER, "mlp.fc1": "ffn_up", "mlp.fc2": "ffn_down"}

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "final_logit_softcapping", self.config.float("final_logit_softcapping", default=15.0)

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if word.startswith(("attn_q.", "attn_k.")):
            weight = weight.computed("negate second halves", self._turned_round)
        return super().change(word, weight, i)

    def _turned_round(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        dim = self.config.head_dim
        is_second = np.arange(len(rows)) % dim >= dim // 2
        return np.asarray(np.where(is_second.reshape(-1, *[1] * (rows.ndim - 1)), -rows, rows))


class MiniMax(Family):
    """MiniMax Text 01: linear attention in most layers."""

    has_windows = True

    arch = "minimax-01"
    hf_names: ClassVar[tuple[str, ...]] = ("MiniMaxForCausalLM", "MiniMaxText01ForCausalLM", "MiniMaxM1ForCausalLM")
    model_types: ClassVar[tuple[str, ...]] = ("minimax", "minimax_text_01")
    layer: ClassVar[Names] = {
        **LAYER,
        "self_attn.qkv_proj": "attn_qkv",
        "self_attn.output_gate": "attn_gate",
        "self_attn.out_proj": "attn_output",
        "self_attn.norm": "attn_norm_2",
        **MIXTRAL_EXPERTS,
        **{f"self_attn.{name}": "" for name in ("slope_rate", "query_decay", "key_decay", "diagonal_decay")},
    }

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        yield "residual_scale", self.factor("full_attn_alpha")
        yield "vocab_size", c.int("vocab_size")
        if c.has("rotary_dim") and c.architecture != "MiniMaxForCausalLM":  # in that, all of a head turns
            yield "rope.dimension_count", c.int("rotary_dim")
        kinds = c.layer_types or [
            "full_attention" if kind else "linear_attention" for kind in c.ints("attn_type_list", default=[])
        ]
        if kinds:
            yield "attention.recurrent_layers", [kind == "linear_attention" for kind in kinds]

    def factor(self, name: str) -> float:
        """Of a residual ("alpha") or of what is added to it ("beta"), by the part of a layer."""
        older = {"full_attn": "layernorm_full_attention", "linear_attn": "layernorm_linear_attention"}
        part, _, kind = name.rpartition("_")
        return self.config.float(f"{older.get(part, 'layernorm_' + part)}_{kind}", f"{name}_factor", default=1.0)

    def window_pattern(self) -> list[bool]:
        """All layers that attend have the window."""
        return []

    def activation_key(self) -> Keys:
        yield from no_other_function(self.config)

    def foreign_keys(self) -> Keys:
        yield from super().foreign_keys()
        if self.config.float("rms_norm_eps", default=LINEAR_EPS) != LINEAR_EPS:
            yield "llamakit.mixer_norm_epsilon", LINEAR_EPS
        factors = [self.factor(f"{part}_alpha") for part in ("linear_attn", "full_attn", "mlp")]
        if len(set(factors)) > 1:
            yield "llamakit.residual_scales", factors

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        """Factors of what is added go into the matrices that it comes from."""
        if word == "attn_output.weight" and i is not None:
            part = "linear_attn" if self.config.layer_types[i : i + 1] == ["linear_attention"] else "full_attn"
            weight = weight.times(self.factor(f"{part}_beta"))
        if word == "ffn_down_exps.weight":
            weight = weight.times(self.factor("mlp_beta"))
        return super().change(word, weight, i)


def no_other_function(config: Config) -> Keys:
    """Raises ModelError for another function than SiLU, where more than the feed-forward applies it."""
    name = config.str("hidden_act", default="silu")
    if name not in ("silu", "swish"):
        raise ModelError(f"{config.path}: {name!r:.40} in place of SiLU cannot be converted for this architecture")
    return iter(())
