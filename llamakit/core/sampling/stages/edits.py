"""Stages that change logits before any candidate is dropped: constraints, logit biases, repetition penalties."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from llamakit.core.kernels import sampling as kernels
from llamakit.core.kernels.candidates import Candidates
from llamakit.core.sampling.stage import Setup, Stage
from llamakit.core.simd.records import Record


def begin(c: Candidates) -> Stage:
    """Every token is a candidate, with the logits whose address is put into the record."""
    return Stage("sampling.begin", kernels.Begin(candidates=c, logits=None))


def allow(c: Candidates, mask: npt.NDArray[np.uint32]) -> Stage:
    """Only tokens whose bit is set in the mask.   mask: (ceil(n_vocab / 32),)"""
    shifts = np.arange(31, 15, -1, dtype=np.int32)
    return Stage("sampling.allow", kernels.Allow(candidates=c, words=mask.view(np.int32), shifts=shifts))


def logit_bias(s: Setup) -> Stage | None:
    biases = {**s.params.logit_bias, **(dict.fromkeys(s.eog_ids, -math.inf) if s.params.ignore_eos else {})}
    if not biases:
        return None
    tokens, values = np.array([*biases], np.int32), np.array([*biases.values()], np.float32)
    return Stage("sampling.bias", kernels.Bias(candidates=s.candidates, tokens=tokens, values=values, n=len(biases)))


def penalties(s: Setup) -> Stage | None:
    p = s.params
    if not p.has_penalties:
        return None
    newline = s.vocab.encode("\n", add_special=False)[-1:] if s.vocab is not None and not p.penalize_nl else []
    record = kernels.Penalties(
        candidates=s.candidates, recent=s.history.recent, window=p.repeat_last_n, counts=s.history.counts,
        exempt=newline[0] if newline else -1, repeat=p.repeat_penalty, frequency=p.frequency_penalty,
        presence=p.presence_penalty,
    )  # fmt: skip
    return ShareOfTokens(record, s) if p.frequency_is_share else Stage("sampling.penalties", record)


class ShareOfTokens(Stage):
    """Penalties, that of the frequency shared out among the tokens so far."""

    def __init__(self, record: Record, s: Setup) -> None:
        super().__init__("sampling.penalties", record)
        self.history, self.frequency = s.history, s.params.frequency_penalty

    def run(self) -> None:
        self.record.data["frequency"] = self.frequency / max(1, len(self.history.last()))
        super().run()
