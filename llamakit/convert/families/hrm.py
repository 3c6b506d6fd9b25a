"""HRM Text: two stacks of layers, of which the low one runs several times for each run of the high one."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.families.settings import copied
from llamakit.convert.family import Family, Keys, Named
from llamakit.convert.names import Names
from llamakit.convert.weight import Weight, halves, split_rows


class HrmText(Family):
    """The file has the layers of the low stack, then those of the high one."""

    arch = "hrm_text"
    hf_names: ClassVar[tuple[str, ...]] = ("HrmTextForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("hrm_text",)
    layer: ClassVar[Names] = {
        "self_attn.gate_proj": "attn_gate",  # biases: transformers joins the matrices only
        **{f"self_attn.{word}_proj": f"attn_{word}" for word in "qkv"},
        **{f"mlp.{word}_proj": f"ffn_{word}" for word in ("gate", "up")},
        "attn.gqkv_proj": "attn_gqkv",
        "attn.o_proj": "attn_output",
        "mlp.gate_up_proj": "ffn_gate_up",
        "mlp.down_proj": "ffn_down",
    }
    whole: ClassVar[Names] = {"embed_tokens": "token_embd", "lm_head": "output", "z_L_init": "hrm.z_l_init"}

    @property
    def n_stack(self) -> int:
        return self.config.int("num_layers_per_stack", "num_hidden_layers")

    @property
    def n_layer(self) -> int:
        return 2 * self.n_stack

    @property
    def n_run(self) -> int:
        """How many layers run for a token: those of the low stack several times for each time of the high one."""
        return self.n_stack * self.config.int("H_cycles") * (self.config.int("L_cycles") + 1)

    def renamed(self, name: str) -> str | None:
        renamed = super().renamed(name.removeprefix("model."))
        if renamed is None or not renamed.startswith(("L_module.", "H_module.")):
            return renamed
        first = 0 if renamed.startswith("L") else self.n_stack
        number, _, rest = renamed.partition("layers.")[2].partition(".")
        return f"layers.{first + int(number)}.{rest}"

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        yield "block_count", self.n_run
        yield "rope.dimension_count", c.head_dim
        yield "hrm.layers_per_stack", self.n_stack
        yield from copied(
            c, {"embedding_scale": "embedding_scale", "hrm.h_cycles": "H_cycles", "hrm.l_cycles": "L_cycles"}
        )
        yield "hrm.prefix_lm", c.bool("prefix_lm", default=False)

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        name, _, kind = word.partition(".")
        if name == "attn_gqkv":
            parts = split_rows(weight, *[weight.shape[0] // 4] * 4)
            return zip((f"attn_{part}.{kind}" for part in ("gate", "q", "k", "v")), parts, strict=True)
        if name == "ffn_gate_up":
            return zip((f"ffn_gate.{kind}", f"ffn_up.{kind}"), halves(weight), strict=True)
        return super().change(word, weight, i)
