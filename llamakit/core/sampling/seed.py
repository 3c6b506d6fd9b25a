"""The random numbers of the sampler: those of C++'s std::mt19937, so a seed means the same in llama.cpp."""

from __future__ import annotations

import os
from random import Random

from llamakit.core.sampling.params import RANDOM_SEED

N_WORDS = 624


def choose_seed(wanted: int | None) -> int:
    """The wanted seed, or one from the operating system."""
    if wanted is None or wanted in (-1, RANDOM_SEED):
        return int.from_bytes(os.urandom(4), "little") % RANDOM_SEED
    return wanted


def mt19937(seed: int) -> Random:
    """Python's generator in the state in which std::mt19937(seed) begins: getrandbits(32) are its outputs."""
    words = [seed]
    for i in range(1, N_WORDS):
        words.append((1812433253 * (words[-1] ^ words[-1] >> 30) + i) & 0xFFFFFFFF)
    generator = Random()
    generator.setstate((3, (*words, N_WORDS), None))
    return generator
