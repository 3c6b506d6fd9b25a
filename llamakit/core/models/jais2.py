"""Jais 2: what Nemotron is, with biases."""

from __future__ import annotations

from llamakit.core.models.nemotron import Nemotron


class Jais2(Nemotron):
    arch = "jais2"
    hf_names = ("Jais2ForCausalLM",)
