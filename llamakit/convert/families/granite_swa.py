"""Granite with windows and sinks, dense or with experts."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.checkpoint import Checkpoint
from llamakit.convert.config import Config
from llamakit.convert.families.llama import Granite
from llamakit.convert.family import Keys, Named
from llamakit.convert.names import ATTENTION, LAYER, Names
from llamakit.convert.weight import Weight
from llamakit.errors import ModelError


class GraniteSwa(Granite):
    """Gates and ups stay in one matrix."""

    arch = "granite_swa"
    hf_names: ClassVar[tuple[str, ...]] = ("GraniteSWAForCausalLM", "GraniteMoeSWAForCausalLM")
    model_types: ClassVar[tuple[str, ...]] = ("granite_swa", "granitemoe_swa")
    layer: ClassVar[Names] = {
        **LAYER,
        **ATTENTION,
        "self_attn.sinks": "attn_sinks.weight",
        "block_sparse_moe.router": "ffn_gate_inp",
        "block_sparse_moe.router.layer": "ffn_gate_inp",
        "block_sparse_moe.experts.gate_up_proj": "ffn_gate_up_exps.weight",
        "block_sparse_moe.experts.down_proj": "ffn_down_exps.weight",
        "block_sparse_moe.input_linear": "ffn_gate_up_exps",
        "block_sparse_moe.output_linear": "ffn_down_exps",
        "shared_mlp.input_linear": "ffn_up_shexp",
        "shared_mlp.output_linear": "ffn_down_shexp",
    }

    def __init__(self, config: Config, checkpoint: Checkpoint) -> None:
        """The bases of layers, of which 0 does not turn, become one and a list of the layers that turn."""
        bases = config.floats("layer_rope_theta", default=[])
        if len({base for base in bases if base}) > 1:
            raise ModelError(f"{config.path}: layer_rope_theta has several bases, which cannot be converted")
        if any(bases):
            given = config.section("rope_parameters").values
            config = config.overlaid(rope_parameters={**given, "rope_theta": max(bases)})
        if bases and not all(bases):
            config = config.overlaid(no_rope_layers=[int(base != 0) for base in bases])
        super().__init__(config, checkpoint)

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        yield "attention.sliding_window", c.int("sliding_window", default=128)
        pattern = self.window_pattern() or [i % 4 != 0 for i in range(self.n_layer)]
        yield "attention.sliding_window_pattern", pattern
        if c.has("no_rope_layers"):
            yield "attention.rope_pattern", [kind != 0 for kind in c.ints("no_rope_layers")]
        if c.int("shared_intermediate_size", default=0):
            yield "expert_shared_feed_forward_length", c.int("shared_intermediate_size")

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        return [(word, weight)] if word == "ffn_gate_up_exps.weight" else super().change(word, weight, i)
