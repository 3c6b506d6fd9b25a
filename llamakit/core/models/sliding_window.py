"""Architectures some of whose layers attend to a window only."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.blocks.layer_lists import layers_with_window
from llamakit.core.models.rope_settings import factors_of_windows, read_rotation, scaling_of_windows
from llamakit.core.models.transformer import Transformer


class SlidingWindow(Transformer):
    """Layers with a window of `attention.sliding_window` positions, and a rotation of their own."""

    window_period: ClassVar[int]
    default_window: ClassVar[int] = 0
    is_dense_first: ClassVar[bool] = False
    has_scaled_windows: ClassVar[bool] = True  # the context's scaling applies to layers with a window too

    def read_settings(self) -> None:
        super().read_settings()
        self.window = self.meta.int("attention.sliding_window", self.default_window, min=0)
        n_block = len(self.hp.heads)
        self.has_window = layers_with_window(
            self.meta, n_block, self.window_period, self.is_dense_first, self.default_window
        )

    def begin(self, n_ctx: int) -> None:
        super().begin(n_ctx)
        self.local_rotation = self.local_rotation_for(n_ctx)

    def local_rotation_for(self, n_ctx: int) -> Rotation:
        """A scaling of their own goes with frequency factors of their own, or none."""
        own, shared = scaling_of_windows(self.meta), self.has_scaled_windows
        return read_rotation(
            self.meta,
            self.meta.int("rope.dimension_count_swa", self.hp.n_rot, min=2, max=self.hp.head_dim),
            is_neox=self.is_neox,
            base_key="rope.freq_base_swa",
            default_base=self.rotation.base if shared else 10000.0,
            factors=factors_of_windows(own, n_ctx) if own else self.rope_factors(n_ctx) if shared else None,
            is_scaled=shared or own is not None,
            own_scaling=own,
        )

    def rotation_of(self, i: int) -> Rotation | None:
        return self.local_rotation if self.has_window[i] else self.rotation
