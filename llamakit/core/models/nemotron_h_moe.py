"""Nemotron 3 Nano and its kin: Nemotron H with experts."""

from __future__ import annotations

from llamakit.core.models.nemotron_h import NemotronH


class NemotronHMoe(NemotronH):
    arch = "nemotron_h_moe"
    hf_names = ("NemotronHMoeForCausalLM",)
