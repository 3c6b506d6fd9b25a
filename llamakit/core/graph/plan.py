"""Where results live: one arena, buffers given by liveness, on cache lines."""

from __future__ import annotations

from dataclasses import dataclass, field

from llamakit.core.graph.fused import AddNorm, Matmul, Stack
from llamakit.core.graph.memory import LINE
from llamakit.core.graph.ops import (
    Activation,
    Clamp,
    Node,
    Positions,
    Scale,
    SelectRows,
    Shift,
    Softcap,
    Tokens,
    Weight,
    in_order,
)
from llamakit.core.graph.ops.attention import KeepSource
from llamakit.core.graph.tap import Tap

LANES = 16


def pitch(node: Node) -> int:
    """Floats from one row of a node's buffer to the next: whole vectors, so that kernels need no tails.

    Parts of a stack that are no whole groups of 16 rows are stored one after the other, each with a tail that the next
    overwrites; the last tail needs room.
    """
    if isinstance(node, Matmul) and node.residual is not None:
        return pitch(node.residual)
    parts = node.weight.parts if isinstance(node, Matmul) else ()
    has_tails = len(parts) > 1 and any(p.n_rows % LANES for p in parts)
    return -(-node.width // LANES) * LANES + (LANES if has_tails else 0)


@dataclass(frozen=True)
class Capacity:
    """The most rows of one run: tokens that are computed, and those whose logits are wanted."""

    n_tokens: int
    n_outputs: int
    is_few: bool = False  # several, but so few that unpacking weights for all of them first does not pay


@dataclass
class Plan:
    """The nodes that need a kernel, in order, and where the rows of each lie in the arena."""

    order: list[Node]
    offsets: dict[int, int] = field(default_factory=dict)  # id of a node -> bytes
    is_output: dict[int, bool] = field(default_factory=dict)  # id of a node -> has rows of outputs, not of tokens
    copies: set[int] = field(default_factory=set)  # nodes that must not take over an input's buffer
    n_bytes: int = 0


def plan_buffers(root: Node, capacity: Capacity) -> Plan:
    """Every buffer a place that no other value needs while it is live."""
    order = [n for n in in_order(root) if not isinstance(n, (Weight, Stack, Tokens, Positions))]
    plan = Plan(order)
    end = len(order)
    last_read = {id(i): step for step, node in enumerate(order) for i in node.inputs()}
    homes: dict[int, Node] = {}  # id of a node -> the node whose buffer holds it
    for step, node in enumerate(order):
        plan.is_output[id(node)] = isinstance(node, SelectRows) or any(plan.is_output.get(id(i)) for i in node.inputs())
        if isinstance(node, SelectRows):  # outputs may be taken in several slices
            last_read[id(node.x)] = end
        before = overwritten(node)
        if before is not None and is_needed(before, node, step, last_read, homes):
            plan.copies.add(id(node))
        homes[id(node)] = homes.get(id(before), node) if id(node) not in plan.copies else node
    last_use: dict[int, int] = {}
    for node in order:
        place = id(homes[id(node)])
        last_use[place] = max(last_use.get(place, 0), last_read.get(id(node), end))
    live: list[tuple[int, int, int]] = []  # (offset, end, last use)
    for step, node in enumerate(order):
        home = homes[id(node)]
        if home is not node:
            plan.offsets[id(node)] = plan.offsets[id(home)]
            continue
        live = [b for b in live if b[2] >= step]
        n_rows = capacity.n_outputs if plan.is_output[id(node)] else capacity.n_tokens
        size = -(-4 * pitch(node) * n_rows // LINE) * LINE
        offset = first_gap(live, size)
        plan.offsets[id(node)] = offset
        live = sorted([*live, (offset, offset + size, last_use[id(node)])])
        plan.n_bytes = max(plan.n_bytes, offset + size)
    return plan


def overwritten(node: Node) -> Node | None:
    """The input whose buffer a node may take over: residuals are added in place, taps change nothing."""
    match node:
        case Matmul(residual=Node() as before) | AddNorm(residual=before) | Tap(before) | KeepSource(before):
            return before
        case Softcap(before) | Activation(before) | Clamp(before) | Scale(before) | Shift(before):
            return before
    return None


def is_needed(before: Node, node: Node, step: int, last_read: dict[int, int], homes: dict[int, Node]) -> bool:
    """Whether a value is still read when or after the node that would overwrite it has begun to write."""
    is_also_x = isinstance(node, Matmul) and homes[id(node.x)] is homes[id(before)]
    return is_also_x or last_read[id(before)] > step


def first_gap(live: list[tuple[int, int, int]], size: int) -> int:
    """The lowest offset where `size` bytes are free; `live` is sorted."""
    start = 0
    for offset, end, _ in live:
        if offset - start >= size:
            break
        start = max(start, end)
    return start
