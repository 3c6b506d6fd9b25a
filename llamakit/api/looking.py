"""Looking into a `Llama`: traces of its own sequence, and where its time goes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from llamakit.core.engine import limits
from llamakit.core.engine.profile import OpTime, Profile
from llamakit.core.engine.trace import Hook, Trace
from llamakit.tools.profile import Line, Profiled, save, text

if TYPE_CHECKING:
    from llamakit.api.llama import Llama
    from llamakit.core.engine.context import Context


class LlamaTrace(Trace):
    """A trace that has the context for its thread from `with` to its end.

    It begins with an empty cache, so that it sees all that is used, and leaves one behind if it had hooks. There is one
    at a time: within another, of any thread's, UsageError is raised or the other's end awaited.
    """

    def __init__(self, llama: Llama, *patterns: str, hooks: Mapping[str, Hook] | None = None) -> None:
        self._llama, self._open = llama, ExitStack()
        with llama.alone() as context:
            super().__init__(context, *patterns, hooks=hooks)

    def __enter__(self) -> LlamaTrace:
        context = self._open.enter_context(self._llama.alone())
        try:
            super().__enter__()
        except BaseException:
            self._open.close()
            raise
        context.cache.clear()
        self._llama.begin_watched()
        return self

    def __exit__(self, *error: object) -> None:
        with self._open, self._llama.alone() as context:  # what runs is seen to its end
            super().__exit__(*error)
            if self._hooks:
                context.cache.clear()
            self._llama.end_watched(bool(self._hooks))


class LlamaProfile:
    """Where the time of all that a context computes goes, from now on; any thread may read it.

        llm = Llama("model.gguf", profile=True)
        llm("Once upon a time")
        print(llm.profile)
        llm.profile.save("profile.html")

    What the machine could do is measured once in a process, half a second, before anything else computes.
    """

    def __init__(self, context: Context) -> None:
        self._n_threads = context.n_threads
        self._limits = limits.read_bandwidth(self._n_threads), limits.int8_peak(self._n_threads)
        self._profile = Profile(context)

    @property
    def ops(self) -> list[OpTime]:
        """Of each program that ran, in its order."""
        return self._profile.ops

    @property
    def lines(self) -> list[Line]:
        """Ops of one kind in all layers together, the slowest first."""
        return self._profiled("").lines

    @property
    def seconds(self) -> float:
        """In ops, all together."""
        return self._profile.seconds

    def clear(self) -> None:
        """Begin anew."""
        self._profile.clear()

    def save(self, path: str | Path, title: str = "llamakit") -> None:
        """Write a page with a picture, layer by layer, and the table. Raises GGUFError for what the system refuses."""
        save(path, title, [self._profiled("all that was computed")])

    def __str__(self) -> str:
        """A table: time, calls, bytes and operations a second, and their share of what this machine can do."""
        return text(self._profiled(f"{self.seconds:.3f} s in ops"))

    def __enter__(self) -> LlamaProfile:
        self._profile.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._profile.__exit__(*error)

    def _profiled(self, name: str) -> Profiled:
        return Profiled(name, self._n_threads, self.ops, *self._limits)
