"""The tokens of one step drawn on all threads at once, where samplers allow it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from llamakit.core.engine.scheduler.reading import Continuation, Reader
from llamakit.core.graph.program import Step, link
from llamakit.core.kernels.store import KernelStore
from llamakit.core.sampling.together import KERNEL, MOST, Together

if TYPE_CHECKING:
    from llamakit.core.engine.context import Context


class Drawing:
    """Draws for readers before they read; those it leaves out draw for themselves."""

    def __init__(self, context: Context) -> None:
        self.context, self.together = context, Together()
        self.program = link([Step(KERNEL, self.together.record)], KernelStore().load([KERNEL]))

    def draw(self, readers: Iterable[Reader]) -> None:
        ready = [reader for reader in readers if isinstance(reader, Continuation) and reader.is_plain][:MOST]
        if len(ready) > 1:
            samplers = [reader.request.sampler for reader in ready]
            self.together.draw(samplers, [reader.rows[0] for reader in ready], self.run)
            for reader in ready:
                reader.is_drawn = True

    def run(self) -> None:
        self.context.executor.run(self.program, self.context.n_threads_batch)
