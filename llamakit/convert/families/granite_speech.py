"""The text part of Granite Speech: Granite 3 or 4."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.config import Config
from llamakit.convert.families.llama import Granite
from llamakit.convert.families.mamba import GraniteHybrid
from llamakit.convert.family import Family


class GraniteSpeech(Granite):
    """A name; what hears is left out, and the adapter for it (adapter_model.safetensors) is not merged."""

    hf_names: ClassVar[tuple[str, ...]] = (
        "GraniteSpeechForConditionalGeneration", "GraniteSpeechPlusForConditionalGeneration",
    )  # fmt: skip
    model_types: ClassVar[tuple[str, ...]] = ("granite_speech", "granite_speech_plus")

    @classmethod
    def chosen(cls, config: Config) -> type[Family]:
        return GraniteHybrid if config.model_type in GraniteHybrid.model_types else Granite
