"""SmolLM 3: Llama of which every fourth layer does not turn its heads."""

from __future__ import annotations

from llamakit.core.graph.rotation import Rotation
from llamakit.core.models.transformer import Transformer


class SmolLM3(Transformer):
    arch = "smollm3"
    hf_names = ("SmolLM3ForCausalLM",)

    def rotation_of(self, i: int) -> Rotation | None:
        return self.rotation if (i + 1) % 4 else None
