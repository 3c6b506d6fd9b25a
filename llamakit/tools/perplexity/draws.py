"""The tasks that llama-perplexity draws when it is not to take all: always those of std::mt19937(1)."""

from __future__ import annotations

from random import Random

import numpy as np

from llamakit.core.sampling.generator import mt19937

SEED = 1
BITS = 32


def draw(n: int, wanted: int) -> list[int]:
    """`wanted` of n numbers, as its multiple choice and Winogrande tasks: the last one takes a drawn one's place."""
    generator, left, drawn = mt19937(SEED), list(range(n)), []
    for _ in range(min(n, wanted)):
        # A float32 product, as there: 2^-32 times a number that was rounded to 24 bits.
        i = int(np.float32(generator.getrandbits(BITS)) * np.float32(2.0**-BITS) * np.float32(len(left)))
        i = min(i, len(left) - 1)
        drawn.append(left[i])
        left[i] = left[-1]
        left.pop()
    return drawn


def draw_in_order(n: int, wanted: int) -> list[int]:
    """`wanted` of n numbers, as its HellaSwag tasks: those behind a drawn one move up."""
    generator, left = mt19937(SEED), list(range(n))
    return [left.pop(below(len(left), generator)) for _ in range(min(n, wanted))]


def below(n: int, generator: Random) -> int:
    """std::uniform_int_distribution(0, n - 1) of libstdc++: Lemire, "Fast random integer generation in an interval"."""
    product = generator.getrandbits(BITS) * n
    while product % 2**BITS < 2**BITS % n:
        product = generator.getrandbits(BITS) * n
    return product >> BITS
