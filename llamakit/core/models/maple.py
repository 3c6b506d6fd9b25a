"""Maple: Qwen 3 with experts whose gates and ups have limits; only layers with a window turn their heads."""

from __future__ import annotations

from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.qwen3moe import Qwen3Moe
from llamakit.core.models.sliding_window import SlidingWindow


class Maple(Qwen3Moe, SlidingWindow):
    arch = "maple"
    hf_names = ("MapleForCausalLM",)
    window_period = 1
    has_expert_scales = False
    clamped = "swiglu_clamp"

    def rotation_of(self, i: int) -> Rotation | None:
        return self.local_rotation if self.has_window[i] else None
