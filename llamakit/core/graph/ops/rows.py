"""Rows cut, joined, repeated and picked."""

from __future__ import annotations

from llamakit.core.graph.ops.node import LikeX, Node, node


@node
class Slice(Node):
    """Numbers first .. first + n - 1 of each of `groups` equal parts of a row, side by side."""

    x: Node
    first: int
    n: int
    groups: int = 1

    @property
    def width(self) -> int:
        return self.n * self.groups


@node
class Concat(Node):
    """Rows side by side; with groups, the first group of each part, then the second of each, and so on."""

    parts: tuple[Node, ...]
    groups: int = 1

    @property
    def width(self) -> int:
        return sum(p.width for p in self.parts)


@node
class Repeat(Node):
    """A row `n` times side by side."""

    x: Node
    n: int

    @property
    def width(self) -> int:
        return self.n * self.x.width


@node
class SelectRows(LikeX):
    """The rows whose logits are wanted."""

    x: Node
