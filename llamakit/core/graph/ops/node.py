"""Nodes of a graph, an operation and its result at once, and those that `+` and `*` make."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**options: bool) -> Any:
        """Tells type checkers that a decorator makes dataclasses; nothing at run time."""
        return lambda decorator: decorator


@dataclass(frozen=True, eq=False)
class Node:
    """One value of the graph."""

    @property
    def width(self) -> int:
        """Numbers in a row."""
        raise NotImplementedError

    def __add__(self, other: Node) -> Add:
        return Add(self, other)

    def __mul__(self, other: Node | float) -> Mul | Scale:
        return Mul(self, other) if isinstance(other, Node) else Scale(self, other)

    FIELDS: ClassVar[tuple[str, ...]] = ()

    def inputs(self) -> list[Node]:
        """The nodes that this one is computed from."""
        found: list[Node] = []
        for name in self.FIELDS:
            value = getattr(self, name)
            if isinstance(value, Node):
                found.append(value)
            elif isinstance(value, tuple):
                found += [v for v in value if isinstance(v, Node)]
        return found


N = TypeVar("N", bound=type[Node])


@dataclass_transform(frozen_default=True, eq_default=False)
def node(cls: N) -> N:
    """Immutable, compared by identity: two equal formulas are two values."""
    made: Any = dataclass(frozen=True, eq=False)(cls)
    cls.FIELDS = tuple(field.name for field in fields(made))
    return cls


class LikeX(Node):
    """A node as wide as its input x."""

    x: Node

    @cached_property
    def width(self) -> int:
        return self.x.width


@node
class Add(Node):
    """a + b; b may be one row for all tokens."""

    a: Node
    b: Node

    @cached_property
    def width(self) -> int:
        return self.a.width


@node
class Mul(Node):
    """a * b; b may be one row for all tokens, or narrower: then each of its numbers goes with a group of a's."""

    a: Node
    b: Node

    @cached_property
    def width(self) -> int:
        return self.a.width


@node
class Scale(LikeX):
    """x * factor"""

    x: Node
    factor: float


def in_order(root: Node) -> list[Node]:
    """Every node once, inputs before users."""
    order: dict[int, Node] = {}
    stack = [(root, False)]
    while stack:
        current, is_ready = stack.pop()
        if is_ready:
            order.setdefault(id(current), current)
        elif id(current) not in order:
            stack.append((current, True))
            stack += [(n, False) for n in reversed(current.inputs()) if id(n) not in order]
    return list(order.values())
