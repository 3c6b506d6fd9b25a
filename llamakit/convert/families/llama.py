"""Llama and what is built like it: Mistral, Mixtral, SmolLM, Granite, Arcee, Apertus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from llamakit.convert.family import ACTIVATION, Family, Keys, Named
from llamakit.convert.names import ATTENTION, LAYER, MIXTRAL_EXPERTS, Names
from llamakit.convert.weight import Weight, as_float32, halves
from llamakit.errors import ModelError

LENGTHS = ("attention.key_length", "attention.value_length")


class Llama(Family):
    arch = "llama"
    hf_names: ClassVar[tuple[str, ...]] = (
        "LlamaForCausalLM", "LLaMAForCausalLM", "MistralForCausalLM", "MixtralForCausalLM", "LlamaModel",
        "VLlama3ForCausalLM", "LlavaForConditionalGeneration", "IQuestCoderForCausalLM", "MinistralForCausalLM",
        "CwmForCausalLM",
    )  # fmt: skip
    model_types: ClassVar[tuple[str, ...]] = ("llama", "mistral", "mixtral", "ministral", "cwm")
    has_windows = True
    layer: ClassVar[Names] = {**LAYER, **MIXTRAL_EXPERTS}
    turns_neighbours = True

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "vocab_size", self.config.int("vocab_size")
        yield "rope.dimension_count", self.config.head_dim


class Arcee(Llama):
    arch = "arcee"
    hf_names: ClassVar[tuple[str, ...]] = ("ArceeForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("arcee",)
    activation = "relu2"


class Helium(Llama):
    """Turns neighbours already."""

    hf_names: ClassVar[tuple[str, ...]] = ("HeliumForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("helium",)
    turns_neighbours = False


class SmolLM3(Llama):
    arch = "smollm3"
    hf_names: ClassVar[tuple[str, ...]] = ("SmolLM3ForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("smollm3",)

    def hparams(self) -> Keys:
        yield from super().hparams()
        period = self.config.int("no_rope_layer_interval", default=4)
        every = [(i + 1) % period != 0 for i in range(self.n_layer)]
        turns = [n != 0 for n in self.config.ints("no_rope_layers", default=[])] or every
        if turns != [(i + 1) % 4 != 0 for i in range(self.n_layer)]:
            yield "attention.rope_pattern", turns


class Apertus(Llama):
    """With an activation whose numbers, learned, are keys."""

    arch = "apertus"
    hf_names: ClassVar[tuple[str, ...]] = ("ApertusForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("apertus",)
    activation = "xielu"
    layer: ClassVar[Names] = {
        **LAYER,
        "attention_layernorm": "attn_norm",
        "feedforward_layernorm": "ffn_norm",
        **{f"mlp.act_fn.{name}": "" for name in ("alpha_n", "alpha_p", "beta", "eps")},
    }
    turns_neighbours = False

    def activation_key(self) -> Keys:
        name = self.config.str(*ACTIVATION, default=self.activation)
        if name != self.activation:
            raise ModelError(f"{self.config.path}: {name!r:.40} in place of xIELU cannot be converted for Apertus")
        return iter(())

    def foreign_keys(self) -> Keys:
        yield from super().foreign_keys()
        for name in ("alpha_n", "alpha_p", "beta", "eps"):
            yield f"xielu.{name}", list(self._numbers(name))

    def _numbers(self, name: str) -> Iterator[float]:
        for i in range(self.n_layer):
            weight = self.checkpoint.weight(f"model.layers.{i}.mlp.act_fn.{name}")
            yield float(np.asarray(as_float32(weight.load())).reshape(-1)[0])


class Granite(Llama):
    arch = "granite"
    hf_names: ClassVar[tuple[str, ...]] = ("GraniteForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("granite",)

    def renamed(self, name: str) -> str | None:
        """Granite Speech has what hears beside it."""
        hears = self.config.has("encoder_config") and name.startswith(("encoder.", "projector."))
        return None if hears else super().renamed(name)

    def hparams(self) -> Keys:
        usual = self.config.n_embd // self.config.n_head
        yield from ((k, v) for k, v in super().hparams() if k not in LENGTHS or v != usual)
        for theirs, ours in {
            "attention_multiplier": "attention.scale",
            "embedding_multiplier": "embedding_scale",
            "residual_multiplier": "residual_scale",
            "logits_scaling": "logit_scale",
        }.items():
            if self.config.has(theirs):
                yield ours, self.config.float(theirs)


class HyperClovaX(Granite):
    """With norms behind each part, which llama.cpp's Granite does not have, unless the config says there are none."""

    hf_names: ClassVar[tuple[str, ...]] = ("HyperCLOVAXForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("hyperclovax",)
    layer: ClassVar[Names] = {**Granite.layer, "post_norm1": "post_attention_norm", "post_norm2": "post_ffw_norm"}

    def hparams(self) -> Keys:
        """Logits are multiplied where Granite's are divided."""
        yield from super().hparams()
        yield "logit_scale", 1 / self.config.float("logits_scaling", default=1.0)


class GraniteMoe(Granite):
    arch = "granitemoe"
    hf_names: ClassVar[tuple[str, ...]] = ("GraniteMoeForCausalLM", "GraniteMoeSharedForCausalLM")
    model_types: ClassVar[tuple[str, ...]] = ("granitemoe", "granitemoeshared")
    layer: ClassVar[Names] = {
        **ATTENTION,
        "post_attention_layernorm": "ffn_norm",
        "block_sparse_moe.router.layer": "ffn_gate_inp",
        "block_sparse_moe.input_linear": "ffn_gate_up_exps",
        "block_sparse_moe.output_linear": "ffn_down_exps",
        "shared_mlp.input_linear": "ffn_gate_up_shexp",
        "shared_mlp.output_linear": "ffn_down_shexp",
    }

    def hparams(self) -> Keys:
        yield from super().hparams()
        if self.config.has("shared_intermediate_size"):
            yield "expert_shared_feed_forward_length", self.config.int("shared_intermediate_size")

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        """Where there are no experts, the shared one is the whole feed-forward."""
        shared = "_shexp" if self.config.int("num_local_experts", default=0) else ""
        if word == "ffn_gate_up_shexp.weight":
            names = (f"ffn_gate{shared}.weight", f"ffn_up{shared}.weight")
            return zip(names, halves(weight), strict=True)
        if word == "ffn_down_shexp.weight":
            return [(f"ffn_down{shared}.weight", weight)]
        return super().change(word, weight, i)
