"""What a context computes: a model's graph, with what was put behind some of its values, and then fused."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llamakit.core.graph.fuse import fuse
from llamakit.core.graph.ops import Embed, Node, Positions, Weight, in_order
from llamakit.core.graph.ops.node import Add
from llamakit.core.graph.tap import Tap, put_behind, tap_inputs
from llamakit.errors import UsageError

if TYPE_CHECKING:
    from llamakit.core.models.base import Decoder

log = logging.getLogger(__name__)


@dataclass
class Formula:
    """A graph, and by the ids of its nodes the directions added to them (see `steering.py`) and the names they are
    watched under; `wants` says of which weights the inputs are watched."""

    root: Node
    layer_outputs: Sequence[Node]
    wants: Callable[[str], bool] | None = None
    directions: Mapping[int, Weight] = field(default_factory=dict)
    taps: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    def fused(self) -> Node:
        """A tap sees what a direction was added to."""

        def changed(node: Node, moved: Node) -> Node:
            if (direction := self.directions.get(id(node))) is not None:
                moved = Add(moved, direction)
            return Tap(moved, self.taps[id(node)]) if id(node) in self.taps else moved

        graph = put_behind(self.root, changed) if self.directions or self.taps else self.root
        return fuse(graph if self.wants is None else tap_inputs(graph, self.wants))


def warn_of_length(decoder: Decoder, n_ctx: int) -> None:
    """Say so where a context has room for longer texts than the formula is the model's own for."""
    if 0 < decoder.n_exact < n_ctx:
        log.warning(
            "%s: attends to all keys where the model chooses some: results are its own for texts of up to %d tokens; "
            "the context has room for %d",
            decoder.meta.path, decoder.n_exact, n_ctx,
        )  # fmt: skip


def check_positions(graph: Node, n_ctx: int) -> None:
    """Raises UsageError where positions are learned, and not as many as the context has."""
    for node in in_order(graph):
        if isinstance(node, Embed) and isinstance(node.tokens, Positions) and node.table.n_rows < n_ctx:
            raise UsageError(
                f"the model knows {node.table.n_rows} positions, the context can have no more (-c {n_ctx})"
            )
