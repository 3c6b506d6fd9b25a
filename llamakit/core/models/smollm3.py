"""SmolLM 3: Llama of which every fourth layer, or those that the metadata names, does not turn its heads."""

from __future__ import annotations

from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.rope_settings import layers_that_turn
from llamakit.core.models.transformer import Transformer


class SmolLM3(Transformer):
    arch = "smollm3"
    hf_names = ("SmolLM3ForCausalLM",)

    def read_settings(self) -> None:
        super().read_settings()
        self.turns = layers_that_turn(self.meta, [(i + 1) % 4 != 0 for i in range(len(self.hp.heads))])

    def rotation_of(self, i: int) -> Rotation | None:
        return self.rotation if self.turns[i] else None
