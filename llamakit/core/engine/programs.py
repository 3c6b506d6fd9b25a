"""The programs of one context: for one token or for many, linked when first needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llamakit.core.graph.lower.lowering import Lowered, Memory, lower
from llamakit.core.graph.ops import Node
from llamakit.core.graph.plan import Capacity
from llamakit.core.graph.program import Program, link
from llamakit.core.kernels import few_rows
from llamakit.core.kernels.store import KernelStore

FEW = 24  # tokens, at most, of a program for few of them
OUTPUTS = 64  # rows of logits computed together: more would need hundreds of megabytes with large vocabularies


@dataclass(frozen=True)
class Runnable:
    """A linked program: body and head as one where the outputs fit one slice, else apart."""

    capacity: Capacity
    whole: Program
    body: Program
    head: Program
    logits: npt.NDArray[np.float32]


class Programs:
    """Programs by capacity. `report(kernel)` is called for each kernel that had to be compiled."""

    def __init__(self, graph: Node, memory: Memory, n_ubatch: int, store: KernelStore) -> None:
        self.graph, self.memory, self.n_ubatch, self.store = graph, memory, n_ubatch, store
        self.width = graph.width  # of a row of results
        self._lowered: dict[Capacity, Lowered] = {}
        self._linked: dict[Capacity, Runnable] = {}

    def of(self, graph: Node) -> Programs:
        """Those of another graph, in the same memory."""
        return Programs(graph, self.memory, self.n_ubatch, self.store)

    def capacity(self, n_tokens: int, n_outputs: int, has_few: bool = False) -> Capacity:
        """The smallest program that takes such a run; with `has_few`, there is one for few tokens besides."""
        if has_few and 1 < n_tokens <= FEW <= self.n_ubatch and few_rows.pays():
            return Capacity(FEW, 1 if n_outputs <= 1 else FEW, is_few=True)
        return Capacity(1 if n_tokens == 1 else self.n_ubatch, 1 if n_outputs <= 1 else min(OUTPUTS, self.n_ubatch))

    def usual(self) -> list[Capacity]:
        """What every generation needs: the prompt with its last token's logits, and single tokens."""
        return [self.capacity(1, 1), *([self.capacity(2, 1)] if self.n_ubatch > 1 else [])]

    def lower(self, capacity: Capacity) -> Lowered:
        """Records of a program; packs the weights that it is the first to need."""
        if capacity not in self._lowered:
            self._lowered[capacity] = lower(self.graph, self.memory, capacity)
        return self._lowered[capacity]

    def kernel_names(self, capacities: list[Capacity]) -> list[str]:
        lowered = [self.lower(c) for c in capacities]
        return sorted({step.kernel for low in lowered for step in (*low.body, *low.head) if not step.address})

    def prepare(self, capacities: list[Capacity], report: Callable[[str], None]) -> None:
        """Load the kernels of several programs together, so that missing ones are compiled in parallel."""
        kernels = self.store.load(self.kernel_names(capacities), report=report)
        for c in capacities:
            low = self.lower(c)
            whole, body, head = (link(steps, kernels) for steps in ([*low.body, *low.head], low.body, low.head))
            self._linked[c] = Runnable(c, whole, body, head, low.logits)

    def find(self, n_tokens: int, n_outputs: int, has_few: bool = False) -> Runnable:
        capacity = self.capacity(n_tokens, n_outputs, has_few)
        if capacity not in self._linked:
            self.prepare([capacity], lambda name: None)
        return self._linked[capacity]
