"""The stages of the chain: each a kernel on the candidates, and None where its option leaves everything as it is."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from llamakit.core.kernels import sampling as kernels
from llamakit.core.kernels import sampling_select as select
from llamakit.core.kernels.candidates import BLOCK, Candidates
from llamakit.core.kernels.store import Kernels
from llamakit.core.sampling.history import History
from llamakit.core.sampling.params import SamplingParams
from llamakit.core.simd.records import Record

SMALLEST = 1.2e-38  # about the least float32 with full precision
FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


@dataclass(frozen=True)
class Stage:
    """A kernel by name, and its record."""

    kernel: str
    record: Record

    def link(self, kernels: Kernels) -> LinkedStage:
        return LinkedStage(FUNCTION(kernels[self.kernel]), self.record.data.ctypes.data, self.record)


@dataclass(frozen=True)
class LinkedStage:
    """A call of the kernel by one thread. Keeps the record alive, whose address it holds."""

    function: Callable[[int, int, int], None]
    address: int
    record: Record

    def run(self) -> None:
        self.function(self.address, 0, 1)


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


def begin(c: Candidates) -> Stage:
    return Stage("sampling.begin", kernels.Begin(candidates=c, logits=None))


def allow(c: Candidates, mask: npt.NDArray[np.uint32]) -> Stage:
    shifts = np.arange(31, 15, -1, dtype=np.int32)
    return Stage("sampling.allow", kernels.Allow(candidates=c, words=mask.view(np.int32), shifts=shifts))


def logit_bias(c: Candidates, p: SamplingParams, eog_ids: Collection[int]) -> Stage | None:
    biases = {**p.logit_bias, **(dict.fromkeys(eog_ids, -math.inf) if p.ignore_eos else {})}
    if not biases:
        return None
    tokens, values = np.array([*biases], np.int32), np.array([*biases.values()], np.float32)
    return Stage("sampling.bias", kernels.Bias(candidates=c, tokens=tokens, values=values, n=len(biases)))


def penalties(c: Candidates, p: SamplingParams, history: History) -> Stage | None:
    if not p.has_penalties:
        return None
    record = kernels.Penalties(
        candidates=c,
        recent=history.recent,
        n_recent=history.n,
        counts=history.counts,
        before=np.empty(len(history.recent), np.float32),
        repeat=p.repeat_penalty,
        frequency=p.frequency_penalty,
        presence=p.presence_penalty,
    )
    return Stage("sampling.penalties", record)


def top_k(c: Candidates, k: int) -> Stage | None:
    return Stage("sampling_select.top_k", select.TopK(candidates=c, k=k)) if k > 0 else None


def top_p(c: Candidates, p: float, min_keep: int) -> Stage | None:
    return Stage("sampling_select.top_p", select.TopP(candidates=c, p=p, min_keep=min_keep)) if p < 1 else None


def min_p(c: Candidates, p: float, min_keep: int) -> Stage | None:
    if p <= 0:
        return None
    return Stage("sampling_select.min_p", select.MinP(candidates=c, log_p=math.log(p), min_keep=min_keep))


def temperature(c: Candidates, value: float) -> Stage | None:
    value = max(value, SMALLEST)  # no zero as a float32: the largest logit's 0 / value stays a number
    return Stage("sampling.temperature", kernels.Temperature(candidates=c, value=value)) if value != 1 else None


def greedy(c: Candidates) -> Stage:
    return Stage("sampling.greedy", kernels.Choose(candidates=c))


def draw(c: Candidates, noise: npt.NDArray[np.int64]) -> Stage:
    return Stage("sampling.draw", kernels.Draw(candidates=c, noise=noise))
