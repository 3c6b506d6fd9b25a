"""Leaving layers out of a model: the others close ranks."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from llamakit.errors import UsageError

_LAYER = re.compile(r"blk\.(\d+)\.")


def pruned_names(names: Iterable[str], layers: Collection[int]) -> dict[str, str]:
    """New names by old ones, without the tensors of `layers`; the layers that stay are numbered from 0 on.

    Raises UsageError for a layer that the model has not.
    """
    matches = {name: _LAYER.search(name) for name in names}
    present = sorted({int(match[1]) for match in matches.values() if match})
    absent = sorted(set(layers).difference(present))
    if absent:
        raise UsageError(f"--prune-layers: the model has no layer {absent[0]}; its layers are 0 to {len(present) - 1}")
    numbers = {layer: number for number, layer in enumerate(layer for layer in present if layer not in layers)}
    if not numbers and layers:
        raise UsageError("--prune-layers: no layer would be left")
    renamed: dict[str, str] = {}
    for name, match in matches.items():
        if match is None:
            renamed[name] = name
        elif int(match[1]) in numbers:
            renamed[name] = f"{name[: match.start(1)]}{numbers[int(match[1])]}{name[match.end(1) :]}"
    return renamed


def n_layers(names: Iterable[str]) -> int:
    """How many layers tensors of these names belong to."""
    return len({match[1] for match in map(_LAYER.search, names) if match})
