"""Heads that are turned."""

from __future__ import annotations

from llamakit.core.graph.ops.node import LikeX, Node, node
from llamakit.core.graph.ops.rotation import Rotation


@node
class Rope(LikeX):
    """Each head's first dimensions turned by the angles of its token's position."""

    x: Node
    head_dim: int
    rotation: Rotation
