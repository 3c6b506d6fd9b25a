"""Taps: values of a graph that someone watches while programs run.

A tap passes its rows on unchanged. What stands before and behind it is not fused across it, so the rows exist in the
arena at that moment, and the observer's own steps read them there. A graph without taps knows nothing of this.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from llamakit.core.graph.fuse import with_inputs
from llamakit.core.graph.ops import LikeX, Linear, Node, in_order, node
from llamakit.core.graph.program import Step
from llamakit.core.kernels.batch import Batch


@node
class Tap(LikeX):
    """x, watched under some names."""

    x: Node
    names: tuple[str, ...]


@dataclass(frozen=True)
class Rows:
    """Watched rows in memory, `pitch` floats apart.

    Of experts: product r takes row r // share to the matrix choice[r] of n_matrices. `choice` is None for plain rows.
    """

    address: int
    width: int
    pitch: int
    n_rows: Any  # where the number of rows (with a choice: of products) is found when a program runs
    batch: Batch
    choice: Any = None
    share: int = 1
    n_matrices: int = 1


class Observer(Protocol):
    """Watches values by name: for inputs of products, the name of the weight they are multiplied with."""

    def wants(self, name: str) -> bool: ...

    def steps(self, names: tuple[str, ...], rows: Rows) -> list[Step]:
        """What to run when the rows are there; called once for each program."""
        ...

    def check(self) -> None:
        """Called after each run. Raises what went wrong in it."""


def tap_inputs(root: Node, wants: Callable[[str], bool]) -> Node:
    """The graph with a tap on each input of a product with a wanted weight; products of one input share it.

    Experts have no tap: which rows reach which of them is known only to their own steps, which ask the observer.
    """
    names: dict[int, tuple[str, ...]] = {}
    for each in in_order(root):
        if isinstance(each, Linear) and wants(each.weight.name):
            seen = names.get(id(each.x), ())
            if each.weight.name not in seen:  # parts of one tensor
                names[id(each.x)] = (*seen, each.weight.name)
    return put_behind(root, lambda node, moved: Tap(moved, names[id(node)]) if id(node) in names else moved)


def put_behind(root: Node, changed: Callable[[Node, Node], Node]) -> Node:
    """The graph whose users of each value get `changed(node, moved)`: `moved` is the node with its new inputs."""
    new: dict[int, Node] = {}
    for each in in_order(root):
        moved = changed(each, with_inputs(each, new))
        if moved is not each:
            new[id(each)] = moved
    return new.get(id(root), root)
