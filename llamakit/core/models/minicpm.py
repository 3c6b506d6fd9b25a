"""MiniCPM 1 and 2: the scales of Granite, with defaults for old files."""

from __future__ import annotations

from llamakit.core.models.granite import Granite


class MiniCPM(Granite):
    arch = "minicpm"
    hf_names = ("MiniCPMForCausalLM",)

    def read_settings(self) -> None:
        self.embedding_scale = self.meta.float("embedding_scale", 0.0) or 12.0
        self.residual_scale = self.meta.float("residual_scale", 0.0) or 1.4 / self.hp.n_layer**0.5
        self.logit_scale = 1 / (self.meta.float("logit_scale", 0.0) or self.hp.n_embd / 256)
        self.is_turned = True
