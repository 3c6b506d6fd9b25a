"""Command R7B and A: Command R of which three layers of four have a window; only those turn their heads."""

from __future__ import annotations

from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.command_r import CommandR
from llamakit.core.models.sliding_window import SlidingWindow


class Cohere2(SlidingWindow, CommandR):
    arch = "cohere2"
    hf_names = ("Cohere2ForCausalLM",)
    has_ffn_scales = True
    window_period = 4

    def rotation_of(self, i: int) -> Rotation | None:
        return self.local_rotation if self.has_window[i] else None
