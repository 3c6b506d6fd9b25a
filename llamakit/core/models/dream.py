"""Dream, a diffusion model on Qwen 2: every token sees all of its batch."""

from __future__ import annotations

from llamakit.core.models.qwen2 import Qwen2


class Dream(Qwen2):
    arch = "dream"
    hf_names = ("DreamModel",)
    is_causal = False

    def read_settings(self) -> None:
        self.w.pass_over("output.bias")
