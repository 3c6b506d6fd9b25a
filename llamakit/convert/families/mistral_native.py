"""Mistral's own format (--mistral-format): params.json, consolidated*.safetensors, tekken.json or tokenizer.model.v*.

params.json is read as the config.json that it would be; heads turn by neighbours already. Keys are those of llama.cpp's
converter of 2026; mixtures of experts without latent attention, which it does not know, become Llama's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from llamakit.convert.checkpoint import read_json
from llamakit.convert.config import Config
from llamakit.convert.families.deepseek import DeepSeek2
from llamakit.convert.families.llama import Llama
from llamakit.convert.family import Family, Keys
from llamakit.convert.names import Names
from llamakit.errors import ModelError

FORMAT = "MistralFormat"  # stands for the class of transformers that such a folder does not name
_NAMES = {
    "dim": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "n_kv_heads": "num_key_value_heads",
    "hidden_dim": "intermediate_size",
    "norm_eps": "rms_norm_eps",
    "tied_embeddings": "tie_word_embeddings",
}
_MOE_NAMES = {
    "first_k_dense_replace": "first_k_dense_replace",
    "num_experts_per_tok": "num_experts_per_tok",
    "num_experts": "n_routed_experts",
    "expert_hidden_dim": "moe_intermediate_size",
    "routed_scale": "routed_scaling_factor",
    "num_shared_experts": "n_shared_experts",
    "num_expert_groups": "n_group",
    "num_expert_groups_per_tok": "topk_group",
}
_N_CTX = 32768  # of the first models, which do not say it
_N_CTX_MOE = 128_000
_FP8 = "fp8_e4m3"


def read_params(folder: Path) -> Config:
    """params.json with the names of config.json. Raises ModelError where it is none, or quantized in an unknown way."""
    path = folder / "params.json"
    params = read_json(path)
    values: dict[str, Any] = {**params, "architectures": [FORMAT]}
    values |= {theirs: params[ours] for ours, theirs in _NAMES.items() if ours in params}
    moe = Config(path, params).section("moe").values
    values |= {theirs: moe[ours] for ours, theirs in _MOE_NAMES.items() if ours in moe}
    if moe:
        values |= {"norm_topk_prob": True, "scoring_func": "softmax"}
    n_ctx = params.get("max_position_embeddings") or params.get("max_seq_len")
    values["max_position_embeddings"] = n_ctx or (_N_CTX_MOE if moe else _N_CTX)
    quantization = Config(path, params).section("quantization")
    if quantization.values:
        kind = quantization.str("qformat_weight")
        if kind != _FP8:
            raise ModelError(f"{path}: weights are quantized as {kind!r:.40}; of this format {_FP8} is known")
        values["quantization_config"] = {"quant_method": "fp8"}
    return Config(path, values)


class MistralNative(Llama):
    arch = "llama"
    hf_names: ClassVar[tuple[str, ...]] = (FORMAT,)
    model_types: ClassVar[tuple[str, ...]] = ()
    layer: ClassVar[Names] = {
        "attention_norm": "attn_norm",
        "attention.wq": "attn_q",
        "attention.wk": "attn_k",
        "attention.wv": "attn_v",
        "attention.wo": "attn_output",
        "ffn_norm": "ffn_norm",
        "feed_forward.w1": "ffn_gate",
        "feed_forward.w2": "ffn_down",
        "feed_forward.w3": "ffn_up",
        "feed_forward.gate": "ffn_gate_inp",
        "feed_forward.experts.*.w1": "ffn_gate_exps",
        "feed_forward.experts.*.w2": "ffn_down_exps",
        "feed_forward.experts.*.w3": "ffn_up_exps",
    }
    whole: ClassVar[Names] = {"tok_embeddings": "token_embd", "norm": "output_norm", "output": "output"}
    turns_neighbours = False

    @classmethod
    def chosen(cls, config: Config) -> type[Family]:
        if config.has("kv_lora_rank"):
            return MistralLatent
        return MistralLonger if config.has("llama_4_scaling") else cls

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield from longer_context(self.config)

    def renamed(self, name: str) -> str | None:
        return None if is_of_images(name) else super().renamed(name)


class MistralLonger(MistralNative):
    """Queries grow with the position, beyond the context of the training."""

    arch = "mistral3"
    hf_names: ClassVar[tuple[str, ...]] = ()


class MistralLatent(DeepSeek2):
    """Mistral Large 3: latent attention and experts, as DeepSeek has them."""

    arch = "deepseek2"
    hf_names: ClassVar[tuple[str, ...]] = ()
    model_types: ClassVar[tuple[str, ...]] = ()
    layer: ClassVar[Names] = {
        **MistralNative.layer,
        "attention.wq_a": "attn_q_a",
        "attention.q_a_norm": "attn_q_a_norm",
        "attention.wq_b": "attn_q_b",
        "attention.wkv_a_with_mqa": "attn_kv_a_mqa",
        "attention.kv_a_norm": "attn_kv_a_norm",
        "attention.wkv_b": "attn_kv_b",
        "gate": "ffn_gate_inp",
        **{
            f"{theirs}.{word}": f"{ours}_{suffix}"
            for theirs, suffix in (("experts.*", "exps"), ("shared_experts", "shexp"))
            for word, ours in (("w1", "ffn_gate"), ("w2", "ffn_down"), ("w3", "ffn_up"))
        },
    }
    whole: ClassVar[Names] = MistralNative.whole

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield from longer_context(self.config)
        yarn = self.config.section("yarn")
        if yarn.values:
            yield "attention.temperature_length", yarn.int("original_max_position_embeddings")
            yield "rope.scaling.yarn_log_multiplier", 0.1

    def renamed(self, name: str) -> str | None:
        return None if is_of_images(name) else super().renamed(name)


def is_of_images(name: str) -> bool:
    return name.startswith(("vision_", "patch_merger.", "pre_mm_projector_norm."))


def longer_context(config: Config) -> Keys:
    """YaRN and growing queries, in the words of params.json."""
    yarn, scaling = config.section("yarn"), config.section("llama_4_scaling")
    if yarn.values:
        yield "rope.scaling.type", "yarn"
        yield "rope.scaling.factor", yarn.float("factor")
        yield "rope.scaling.yarn_beta_fast", yarn.float("beta")
        yield "rope.scaling.yarn_beta_slow", yarn.float("alpha")
        yield "rope.scaling.yarn_log_multiplier", 0.0 if yarn.bool("apply_scale") else 1.0
        yield "rope.scaling.original_context_length", yarn.int("original_max_position_embeddings")
    if scaling.values:
        yield "attention.temperature_scale", scaling.float("beta")
