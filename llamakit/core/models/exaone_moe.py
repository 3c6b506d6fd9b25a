"""EXAONE with experts: heads normed, three layers with a window for one without; only those turn their heads."""

from __future__ import annotations

from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.expert_transformer import ExpertTransformer
from llamakit.core.models.sliding_window import SlidingWindow
from llamakit.core.models.transformer import HeadNorms


class ExaoneMoe(HeadNorms, ExpertTransformer, SlidingWindow):
    arch = "exaone-moe"
    hf_names = ("ExaoneMoeForCausalLM", "ExaoneMoEForCausalLM")
    is_neox = True
    window_period = 4

    def rotation_of(self, i: int) -> Rotation | None:
        return self.rotation if self.has_window[i] else None
