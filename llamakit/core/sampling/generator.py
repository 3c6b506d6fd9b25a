"""The random numbers of the sampler: those of C++'s std::mt19937, so a seed means the same in llama.cpp."""

from __future__ import annotations

from random import Random

import numpy as np

from llamakit.core.kernels.candidates import Noise

N_WORDS = 624
STATE = np.dtype([("outputs", "<u4", (N_WORDS + 1,)), ("noise", "<i8", (3,))])


def mt19937(seed: int) -> Random:
    """Python's generator in the state in which std::mt19937(seed) begins: getrandbits(32) are its outputs."""
    words = [seed]
    for i in range(1, N_WORDS):
        words.append((1812433253 * (words[-1] ^ words[-1] >> 30) + i) & 0xFFFFFFFF)
    generator = Random()
    generator.setstate((3, (*words, N_WORDS), None))
    return generator


class Generator:
    """Random words for a kernel, which says when it has used them: then it gets the next ones.

    `n_words` of 32 bits are used at a time: two make a double, one a float.
    """

    def __init__(self, seed: int, n_words: int) -> None:
        self.seed, self.n_words = seed, n_words
        self.noise = Noise(first=0, second=0, is_used=1)
        self.fields = self.noise.data.reshape(1).view(np.int64)  # first, second, is_used
        self.reset()

    def reset(self) -> None:
        self.outputs = mt19937(self.seed)
        self.fields[2] = 1

    def refill(self) -> None:
        if self.fields[2]:
            for i in range(self.n_words):
                self.fields[i] = self.outputs.getrandbits(32)
            self.fields[2] = 0

    def save(self) -> bytes:
        state = np.zeros((), STATE)
        state["outputs"], state["noise"] = self.outputs.getstate()[1], self.fields
        return state.tobytes()

    def load(self, data: bytes) -> None:
        """Go on as the generator that `save` was asked of. Raises ValueError for what is no state of one."""
        state = np.frombuffer(data, STATE)[0]
        self.outputs.setstate((3, tuple(state["outputs"].tolist()), None))
        self.fields[:] = state["noise"]
