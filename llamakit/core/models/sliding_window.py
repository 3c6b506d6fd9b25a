"""Architectures some of whose layers attend to a window only."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.gguf.metadata import Metadata
from llamakit.core.graph.rotation import Rotation
from llamakit.core.models.rope_settings import read_rotation
from llamakit.core.models.transformer import Transformer


def layers_with_window(
    meta: Metadata, n_layer: int, period: int, is_dense_first: bool = False, default: int = 0
) -> list[bool]:
    """One truth value a layer: said layer by layer, or all but the last (or first) of every `period` layers.

    Key: `attention.sliding_window_pattern`, a number (the period) or a list. Without a window, none has one.
    """
    if not meta.int("attention.sliding_window", default, min=0):
        return [False] * n_layer
    key = "attention.sliding_window_pattern"
    value = meta.mapping.get(meta.full_key(key))
    if isinstance(value, list):
        if all(isinstance(item, bool) for item in value):
            return meta.bools(key, n_layer)
        return [bool(n) for n in meta.ints(key, n_layer, min=0, max=1)]
    period = meta.int(key, period, min=0)
    dense = 0 if is_dense_first else period - 1
    return [period == 0 or i % period != dense for i in range(n_layer)]


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
        return read_rotation(
            self.meta,
            self.hp.n_rot,
            is_neox=self.is_neox,
            base_key="rope.freq_base_swa",
            default_base=self.rotation.base if self.has_scaled_windows else 10000.0,
            is_scaled=self.has_scaled_windows,
        )

    def window_of(self, i: int) -> int:
        return self.window if self.has_window[i] else 0

    def rotation_of(self, i: int) -> Rotation | None:
        return self.local_rotation if self.has_window[i] else self.rotation
