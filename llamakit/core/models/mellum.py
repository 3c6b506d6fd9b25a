"""Mellum with experts: Qwen 3, three layers with a window, which nothing stretches, for one without."""

from __future__ import annotations

from llamakit.core.models.qwen3moe import Qwen3Moe
from llamakit.core.models.sliding_window import SlidingWindow


class Mellum(Qwen3Moe, SlidingWindow):
    arch = "mellum"
    hf_names = ("MellumForCausalLM",)
    window_period = 4
    has_scaled_windows = False
