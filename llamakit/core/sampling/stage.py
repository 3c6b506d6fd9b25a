"""What a stage of the chain is: a kernel on the candidates, perhaps with a memory; and what stages are made of."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from llamakit.core.graph.memory import aligned
from llamakit.core.graph.program import ADDRESS
from llamakit.core.kernels.candidates import BLOCK, Candidates
from llamakit.core.kernels.store import Kernels
from llamakit.core.sampling.generator import Generator
from llamakit.core.sampling.history import History
from llamakit.core.sampling.params import SamplingParams
from llamakit.core.simd.records import Record

if TYPE_CHECKING:
    from llamakit.core.vocab.base import Vocab

FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


@dataclass(frozen=True)
class Setup:
    """What stages are made of."""

    params: SamplingParams
    candidates: Candidates
    history: History
    seed: int = 0
    eog_ids: Collection[int] = frozenset()
    vocab: Vocab | None = None  # for the stages that look at texts


class Stage:
    """A kernel by name and its record. Those that remember something say what to do when a token is accepted."""

    def __init__(self, kernel: str, record: Record) -> None:
        self.kernel, self.record = kernel, record

    def link(self, kernels: Kernels) -> None:
        """Must come before `run`. The record moves behind its kernel's address, where kernels find both."""
        self.function: Callable[[int, int, int], None] = FUNCTION(kernels[self.kernel])
        self.cell = aligned(ADDRESS + self.record.size)
        self.cell[:ADDRESS].view(np.uint64)[0] = kernels[self.kernel]
        moved = self.cell[ADDRESS : ADDRESS + self.record.size].view(self.record.dtype).reshape(())
        moved[...] = self.record.data
        self.record.data = moved
        self.address: int = moved.ctypes.data

    def run(self) -> None:
        self.function(self.address, 0, 1)

    def accept(self, token: int) -> None:
        """The sequence goes on with this token, which came from the sampler."""

    def reset(self) -> None:
        """Forget all that was accepted."""

    def save(self) -> bytes:
        """What it remembers, in as many bytes at any time."""
        return b""

    def load(self, data: bytes) -> None:
        """Go on as the stage that `save` was asked of. Raises ValueError for what is no state of one."""


class RandomStage(Stage):
    """A stage whose record has random `noise`."""

    def __init__(self, kernel: str, record: Record, generator: Generator) -> None:
        super().__init__(kernel, record)
        self.generator = generator

    def run(self) -> None:
        self.generator.refill()
        super().run()

    def reset(self) -> None:
        self.generator.reset()

    def save(self) -> bytes:
        return self.generator.save()

    def load(self, data: bytes) -> None:
        self.generator.load(data)


@cache
def all_ids(n_vocab: int) -> npt.NDArray[np.int32]:
    ids = np.arange(n_vocab + BLOCK, dtype=np.int32)
    ids.flags.writeable = False  # all samplers share it
    return ids


def new_candidates(n_vocab: int) -> Candidates:
    room = n_vocab + BLOCK

    def empty(dtype: Any) -> npt.NDArray[Any]:
        return np.empty(room, dtype)

    ids = all_ids(n_vocab)
    return Candidates(
        logits=empty(np.float32), ids=ids, n=0, is_whole=1, is_sorted=0, chosen=-1, n_vocab=n_vocab, all_ids=ids,
        kept_ids=empty(np.int32), weights=empty(np.float32), keys=empty(np.int64), spare_keys=empty(np.int64),
    )  # fmt: skip


def current(c: Candidates) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Ids and logits of the candidates that are left: views of both."""
    n = int(c.data["n"])
    ids = c.values["all_ids" if c.data["is_whole"] == 1 else "kept_ids"]
    return ids[:n], c.values["logits"][:n]
