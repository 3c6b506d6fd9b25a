"""Models that fill gaps in place of writing on: Dream, LLaDA, RND1."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.families.llama import Llama
from llamakit.convert.families.qwen import Qwen2, Qwen3Moe
from llamakit.convert.family import Family, Keys
from llamakit.convert.names import EXPERTS, LAYER, Names


class Filling(Family):
    """Attention to both sides; a token of its own stands for a gap."""

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "attention.causal", False

    def tokenizer_keys(self) -> Keys:
        if self.config.has("mask_token_id"):
            yield "mask_token_id", self.config.int("mask_token_id")


class Dream(Filling, Qwen2):
    arch = "dream"
    hf_names: ClassVar[tuple[str, ...]] = ("DreamModel",)
    model_types: ClassVar[tuple[str, ...]] = ("Dream",)


class Rnd1(Filling, Qwen3Moe):
    arch = "rnd1"
    hf_names: ClassVar[tuple[str, ...]] = ("RND1", "RND1LM")
    model_types: ClassVar[tuple[str, ...]] = ("rnd1",)


class LLaDA(Llama):
    arch = "llada"
    hf_names: ClassVar[tuple[str, ...]] = ("LLaDAModelLM",)
    model_types: ClassVar[tuple[str, ...]] = ("llada",)
    layer: ClassVar[Names] = {
        "attn_norm": "attn_norm",
        "q_proj": "attn_q",
        "k_proj": "attn_k",
        "v_proj": "attn_v",
        "attn_out": "attn_output",
        "ff_norm": "ffn_norm",
        "ff_proj": "ffn_gate",
        "up_proj": "ffn_up",
        "ff_out": "ffn_down",
    }
    whole: ClassVar[Names] = {"wte": "token_embd", "ln_f": "output_norm", "ff_out": "output"}

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "context_length", self.config.int("max_sequence_length", default=4096)
        yield "embedding_length", self.config.int("d_model")
        yield "feed_forward_length", self.config.int("mlp_hidden_size")
        yield "attention.causal", False

    def foreign_keys(self) -> Keys:
        yield from super().foreign_keys()
        yield "diffusion.shift_logits", False

    def tokenizer_keys(self) -> Keys:
        yield "add_bos_token", True


class LLaDAMoe(Family):
    arch = "llada-moe"
    hf_names: ClassVar[tuple[str, ...]] = ("LLaDAMoEModel", "LLaDAMoEModelLM")
    model_types: ClassVar[tuple[str, ...]] = ("llada_moe",)
    layer: ClassVar[Names] = {**LAYER, **EXPERTS}
    mask_token = 156895  # not in the config

    def hparams(self) -> Keys:
        yield from super().hparams()
        if self.config.has("expert_intermediate_size"):
            yield "expert_feed_forward_length", self.config.int("expert_intermediate_size")
        yield "attention.causal", False

    def foreign_keys(self) -> Keys:
        yield from super().foreign_keys()
        yield "diffusion.shift_logits", False

    def tokenizer_keys(self) -> Keys:
        yield "mask_token_id", self.mask_token
