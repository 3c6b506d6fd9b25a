"""Gemma 3, text: heads are normed, five layers with a sliding window for one without, no cap on scores."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.models.gemma2 import Gemma2
from llamakit.core.models.transformer import HeadNorms


class Gemma3(HeadNorms, Gemma2):
    arch = "gemma3"
    hf_names: ClassVar[tuple[str, ...]] = ("Gemma3ForCausalLM", "Gemma3ForConditionalGeneration")
    window_period = 6
    default_window = 0
    has_scaled_windows = False

    def read_settings(self) -> None:
        super().read_settings()
        self.scale, self.softcap = self.hp.scale, 0.0
        self.last_softcap = self.meta.float("final_logit_softcapping", 0.0, min=0)
