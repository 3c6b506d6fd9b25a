"""Which layers attend to a window only, or do what a list in the metadata says."""

from __future__ import annotations

from llamakit.core.gguf.metadata import Metadata


def layers_with_window(
    meta: Metadata, n_layer: int, period: int = 0, is_dense_first: bool = False, default: int = 0
) -> list[bool]:
    """One truth value a layer: said layer by layer, or all but the last (or first) of every `period` layers
    (0: all).

    Key: `attention.sliding_window_pattern`, a number (the period) or a list. Without a window, none has one.
    """
    if not meta.int("attention.sliding_window", default, min=0):
        return [False] * n_layer
    key = "attention.sliding_window_pattern"
    if listed := listed_layers(meta, key, n_layer):
        return listed
    period = meta.int(key, period, min=0)
    dense = 0 if is_dense_first else period - 1
    return [period == 0 or i % period != dense for i in range(n_layer)]


def listed_layers(meta: Metadata, key: str, n_layer: int) -> list[bool]:
    """Truth values, or 0 and 1, one for each layer; empty where the key is no list."""
    value = meta.mapping.get(meta.full_key(key))
    if not isinstance(value, list):
        return []
    if all(isinstance(item, bool) for item in value):
        return meta.bools(key, n_layer)
    return [n != 0 for n in meta.ints(key, n_layer, min=0, max=1)]
