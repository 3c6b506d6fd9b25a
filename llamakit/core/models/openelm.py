"""OpenELM: another number of heads, and another width of feed-forward, in every layer."""

from __future__ import annotations

from llamakit.core.models.qwen3 import Qwen3


class OpenELM(Qwen3):
    arch = "openelm"
    hf_names = ("OpenELMForCausalLM",)
    has_ffn_scales = False

    def read_settings(self) -> None:
        self.w.pass_over("blk.*.attn_qkv.scale")
