"""Stages that drop candidates, by rank, probability or spread."""

from __future__ import annotations

import math

from llamakit.core.kernels import sampling_select as select
from llamakit.core.kernels import sampling_spread as spread
from llamakit.core.sampling.generator import Generator
from llamakit.core.sampling.stage import RandomStage, Setup, Stage


def top_k(s: Setup) -> Stage | None:
    k = s.params.top_k
    return Stage("sampling_select.top_k", select.TopK(candidates=s.candidates, k=k)) if k > 0 else None


def top_p(s: Setup) -> Stage | None:
    p = s.params.top_p
    if p >= 1:
        return None
    return Stage("sampling_select.top_p", select.TopP(candidates=s.candidates, p=p, min_keep=s.params.min_keep))


def min_p(s: Setup) -> Stage | None:
    p = s.params.min_p
    if p <= 0:
        return None
    record = select.MinP(candidates=s.candidates, log_p=math.log(p), min_keep=s.params.min_keep)
    return Stage("sampling_select.min_p", record)


def typical_p(s: Setup) -> Stage | None:
    p = s.params.typical_p
    if p >= 1:
        return None
    record = spread.Typical(candidates=s.candidates, p=p, min_keep=s.params.min_keep)
    return Stage("sampling_spread.typical_p", record)


def tfs_z(s: Setup) -> Stage | None:
    z = s.params.tfs_z
    if z >= 1:
        return None
    return Stage("sampling_spread.tfs_z", spread.TailFree(candidates=s.candidates, z=z, min_keep=s.params.min_keep))


def top_n_sigma(s: Setup) -> Stage | None:
    n = s.params.top_n_sigma
    if n <= 0:
        return None
    return Stage("sampling_spread.top_n_sigma", spread.TopNSigma(candidates=s.candidates, n_sigma=n))


def xtc(s: Setup) -> Stage | None:
    p = s.params
    if p.xtc_probability <= 0 or p.xtc_threshold > 0.5:
        return None
    generator = Generator(s.seed, n_words=1)
    record = spread.Xtc(
        candidates=s.candidates, probability=p.xtc_probability, threshold=p.xtc_threshold, min_keep=p.min_keep,
        noise=generator.noise,
    )  # fmt: skip
    return RandomStage("sampling_spread.xtc", record, generator)
