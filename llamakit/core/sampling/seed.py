"""The number that a sampler's random numbers begin with."""

from __future__ import annotations

import os

from llamakit.core.sampling.params import RANDOM_SEED


def choose_seed(wanted: int | None) -> int:
    """The wanted seed, or one from the operating system."""
    if wanted is None or wanted in (-1, RANDOM_SEED):
        return int.from_bytes(os.urandom(4), "little") % RANDOM_SEED
    return wanted
