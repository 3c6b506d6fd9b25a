#!/usr/bin/env python
"""Processor time of one sampled token for several settings and vocabulary sizes, in microseconds (median)."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from rich.console import Console
from rich.table import Table

from llamakit.core.sampling import SamplingParams
from llamakit.core.sampling.chain import Sampler

SIZES = (32000, 49152, 151936, 262144)
N_ROUNDS = 200
N_PROMPT = 8000
DRY = SamplingParams(dry_multiplier=0.8, dry_sequence_breakers=())
SETTINGS = {
    "default": SamplingParams(),
    "default, penalties": SamplingParams(repeat_penalty=1.1, presence_penalty=0.1),
    "default, DRY": DRY,
    "default, DRY over all": replace(DRY, dry_penalty_last_n=-1),
    "default, XTC": SamplingParams(xtc_probability=0.5),
    "default, top-n-sigma": SamplingParams(top_n_sigma=1.0),
    "default, typical": SamplingParams(typical_p=0.7),
    "default, dynatemp": SamplingParams(dynatemp_range=0.5),
    "default, adaptive-p": SamplingParams(samplers=(*SamplingParams().samplers, "adaptive_p"), adaptive_target=0.4),
    "greedy": SamplingParams(temperature=0),
    "mirostat": SamplingParams(mirostat=1),
    "mirostat 2": SamplingParams(mirostat=2),
    "top-k 1000": SamplingParams(top_k=1000),
    "no top-k": SamplingParams(top_k=0),
    "min-p only": SamplingParams(top_k=0, top_p=1.0),
    "typical only": SamplingParams(samplers=("typ_p", "temperature"), typical_p=0.7),
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
    sampler.accept_prompt(np.random.default_rng(0).integers(0, 500, N_PROMPT).tolist())
    times = []
    for _ in range(N_ROUNDS):
        start = time.thread_time()
        sampler.accept(sampler.sample(logits))
        times.append(time.thread_time() - start)
    return float(np.median(times)) * 1e6


def main() -> None:
    table = Table("us per token", *(f"{n} tokens" for n in SIZES))
    for name, params in SETTINGS.items():
        table.add_row(name, *(f"{microseconds(params, make_logits(n)):.0f}" for n in SIZES))
    Console().print(table)


if __name__ == "__main__":
    main()
