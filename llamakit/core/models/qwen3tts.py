"""Qwen 3 TTS, the part that writes codes: Qwen 3 VL."""

from __future__ import annotations

from llamakit.core.models.qwen3vl import Qwen3VL


class Qwen3TTS(Qwen3VL):
    arch = "qwen3tts"
    hf_names = ("Qwen3TTSForConditionalGeneration",)
