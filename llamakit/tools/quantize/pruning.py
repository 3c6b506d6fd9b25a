"""Leaving layers out of a model: those behind move up."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from llamakit.errors import UsageError

_LAYER = re.compile(r"blk\.(\d+)\.")


def pruned_names(names: Iterable[str], layers: Collection[int]) -> dict[str, str]:
    """New names by old ones, without the tensors of `layers`.

    Raises UsageError for a layer that the model has not, or when none would be left.
    """
    matches = {name: _LAYER.search(name) for name in names}
    present = {int(match[1]) for match in matches.values() if match}
    if absent := sorted(set(layers) - present):
        raise UsageError(f"--prune-layers: the model has no layer {absent[0]}; it has {len(present)}, from 0 on")
    if layers and present <= set(layers):
        raise UsageError("--prune-layers: no layer would be left")
    renamed: dict[str, str] = {}
    for name, match in matches.items():
        if match is None:
            renamed[name] = name
        elif (layer := int(match[1])) not in layers:
            number = layer - sum(left_out < layer for left_out in layers)
            renamed[name] = f"{name[: match.start(1)]}{number}{name[match.end(1) :]}"
    return renamed
