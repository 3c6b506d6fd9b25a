#!/usr/bin/env python
"""Time of one sampled token for several settings and vocabulary sizes, in microseconds (median)."""

from __future__ import annotations

import time

import numpy as np
from rich.console import Console
from rich.table import Table

from llamakit.core.sampling import Sampler, SamplingParams

SIZES = (32000, 49152, 151936, 262144)
N_ROUNDS = 200
SETTINGS = {
    "default": SamplingParams(),
    "default, penalties": SamplingParams(repeat_penalty=1.1, presence_penalty=0.1),
    "greedy": SamplingParams(temperature=0),
    "top-k 1000": SamplingParams(top_k=1000),
    "no top-k": SamplingParams(top_k=0),
    "min-p only": SamplingParams(top_k=0, top_p=1.0),
    "temperature only": SamplingParams(top_k=0, top_p=1.0, min_p=0.0),
}


def make_logits(n_vocab: int) -> np.ndarray:
    """As a language model's: a bell, and a few tokens far above it."""
    rng = np.random.default_rng(n_vocab)
    logits = rng.normal(size=n_vocab) * 2
    logits[rng.integers(0, n_vocab, 200)] += rng.exponential(4.0, 200)
    return logits.astype(np.float32)


def microseconds(params: SamplingParams, logits: np.ndarray) -> float:
    sampler = Sampler(params, len(logits))
    sampler.accept_prompt(range(100))
    times = []
    for _ in range(N_ROUNDS):
        start = time.perf_counter()
        sampler.accept(sampler.sample(logits))
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1e6


def main() -> None:
    table = Table("us per token", *(f"{n} tokens" for n in SIZES))
    for name, params in SETTINGS.items():
        table.add_row(name, *(f"{microseconds(params, make_logits(n)):.0f}" for n in SIZES))
    Console().print(table)


if __name__ == "__main__":
    main()
