"""Granite 3 with experts."""

from __future__ import annotations

from llamakit.core.models.granite import Granite
from llamakit.core.models.rope_settings import layers_that_turn


class GraniteMoe(Granite):
    arch = "granitemoe"
    hf_names = ("GraniteMoeForCausalLM", "GraniteMoeSharedForCausalLM")

    def read_settings(self) -> None:
        super().read_settings()
        self.is_turned = all(layers_that_turn(self.meta, [True] * len(self.hp.heads)))
