"""Cells that move: the kernel calls after `KVCache.remove` and `KVCache.group`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from llamakit.core.kernels.rope import Move
from llamakit.core.kv.cache import Ints, KVCache, Shift

Floats = npt.NDArray[np.float32]


def turns_back(angles: Floats, distances: Ints) -> Floats:
    """The turns that take a key so many positions back.   angles: (n_ctx, n_rot / 2, 2) -> (n_distances, n_rot / 2, 2)

    cos and sin may carry a magnitude, which the key already has: that of position 0, where cos is 1.
    """
    back: Floats = angles[distances] / angles[0, :, :1] * np.array([1, -1], np.float32)
    return back


def move_layer(cache: KVCache, layer: int, shift: Shift, angles: Floats | None, is_neox: bool) -> tuple[str, Move]:
    """Kernel name and record that move one layer's cells; `angles` is the layer's table, None where it has no rope."""
    shape, (distances, turns) = cache.layers[layer], np.unique(shift.distances, return_inverse=True)
    table = None if angles is None else turns_back(angles, distances)
    record = Move(
        keys=cache.keys[layer], values=cache.values[layer], n_head_kv=shape.n_head_kv, head_dim=shape.head_dim,
        head_dim_v=shape.head_dim_v, key_bytes=cache.type_k.key_bytes(shape.head_dim),
        value_bytes=cache.type_v.value_bytes(shape.head_dim_v), sources=shift.sources, targets=shift.targets,
        n_cells=len(shift.sources), turns=turns.astype(np.int32), angles=table,
        n_rot=0 if table is None else table[0].size, is_neox=int(is_neox),
    )  # fmt: skip
    return f"rope.move[{cache.type_k.name},{cache.type_v.name}]", record
