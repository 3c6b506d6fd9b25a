"""Context shift: positions in the middle are forgotten, those behind them move up, their keys turned to fit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from llamakit.core.graph.fused import RopeAttention
from llamakit.core.graph.ops import Node, in_order
from llamakit.core.graph.program import Step
from llamakit.core.graph.rotation import Rotation
from llamakit.core.kernels.kv_move import Move
from llamakit.core.kv.cache import KVCache, Shift


def shift_steps(graph: Node, cache: KVCache, shift: Shift) -> list[Step]:
    """One step a layer, to be run after `KVCache.remove`; `graph` is the fused one, which says how keys are turned."""
    k, v = cache.type_k, cache.type_v
    steps = []
    for node in in_order(graph):
        if not isinstance(node, RopeAttention):
            continue
        dim, rotation = node.head_dim, node.rotation
        record = Move(
            keys=cache.keys[node.layer], values=cache.values[node.layer], n_head_kv=node.n_head_kv, head_dim=dim,
            head_dim_v=dim, key_bytes=k.key_bytes(dim), value_bytes=v.value_bytes(dim), sources=shift.sources,
            targets=shift.targets, n_cells=len(shift.sources), n_rot=rotation.n_rot if rotation else 0,
            angles=turn_back(rotation, shift.distance) if rotation else None,
            is_neox=int(rotation.is_neox) if rotation else 0,
        )  # fmt: skip
        steps.append(Step(f"kv_move.move[{k.name},{v.name}]", record))
    return steps


def turn_back(rotation: Rotation, distance: int) -> npt.NDArray[np.float32]:
    """(cos, sin) of the turn from any position to the one `distance` before it.   -> (n_rot / 2, 2)

    A YaRN rotation stretches too, which the keys already are: here it must not.
    """
    pairs = rotation.angles(1, first=-distance)[0]
    turn: npt.NDArray[np.float32] = pairs / np.hypot(pairs[:, :1], pairs[:, 1:])
    return turn
