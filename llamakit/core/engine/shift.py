"""Context shift: what must run after positions of a sequence were removed."""

from __future__ import annotations

from llamakit.core.graph.fused import RopeAttention
from llamakit.core.graph.lower.lowering import Memory
from llamakit.core.graph.ops import Node, in_order
from llamakit.core.graph.program import Step
from llamakit.core.kv.cache import KVCache, Shift
from llamakit.core.kv.shift import move_layer


def can_shift(graph: Node, cache: KVCache) -> bool:
    """Whether keys can move to other positions: no layer remembers, and no key was mixed after its rotation."""
    return not cache.states and all(n.can_shift for n in in_order(graph) if isinstance(n, RopeAttention))


def shift_steps(graph: Node, memory: Memory, cache: KVCache, moved: Shift) -> list[Step]:
    """One step a layer; `graph` is the fused one, which says how each layer's keys are turned."""
    steps = []
    for node in in_order(graph):
        if isinstance(node, RopeAttention) and node.has_own_keys:
            rotation = node.rotation
            angles = memory.angles(rotation) if rotation else None
            steps.append(Step(*move_layer(cache, node.layer, moved, angles, bool(rotation and rotation.is_neox))))
    return steps
