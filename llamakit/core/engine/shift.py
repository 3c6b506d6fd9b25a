"""Context shift: what must run after positions of a sequence were removed."""

from __future__ import annotations

from llamakit.core.graph.fused import RopeAttention
from llamakit.core.graph.lower import Memory
from llamakit.core.graph.ops import Node, in_order
from llamakit.core.graph.program import Step
from llamakit.core.kv.cache import KVCache, Shift
from llamakit.core.kv.shift import move_layer
from llamakit.errors import UsageError


def shift_steps(graph: Node, memory: Memory, cache: KVCache, moved: Shift) -> list[Step]:
    """One step a layer; `graph` is the fused one, which says how each layer's keys are turned."""
    steps = []
    for node in in_order(graph):
        if isinstance(node, RopeAttention):
            if not node.can_shift:
                raise UsageError("the keys of this architecture cannot move to other positions: a shift is impossible")
            rotation = node.rotation
            angles = memory.angles(rotation) if rotation else None
            steps.append(Step(*move_layer(cache, node.layer, moved, angles, bool(rotation and rotation.is_neox))))
    return steps
