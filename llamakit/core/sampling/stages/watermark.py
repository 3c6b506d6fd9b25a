"""A watermark: after each token some tokens are green, and a little likelier; who knows the list can count them.

Kirchenbauer et al., arXiv:2301.10226, as text-generation-inference has it: the list is drawn by a generator that the
token before seeds. The generator is NumPy's, so the lists are not those that PyTorch would draw.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from llamakit.core.kernels import sampling as kernels
from llamakit.core.sampling.stage import Setup, Stage

HASH_KEY = 15_485_863  # the millionth prime


def watermark(s: Setup) -> Stage | None:
    return Watermark(s) if s.params.has_watermark else None


class Watermark(Stage):
    """A bias of the green tokens."""

    def __init__(self, s: Setup) -> None:
        self.n_vocab, self.gamma, self.history = int(s.candidates.data["n_vocab"]), s.params.watermark_gamma, s.history
        n_green = int(self.gamma * self.n_vocab)
        self.tokens = np.zeros(n_green, np.int32)
        values = np.full(n_green, s.params.watermark_delta, np.float32)
        record = kernels.Bias(candidates=s.candidates, tokens=self.tokens, values=values, n=n_green)
        super().__init__("sampling.bias", record)

    def run(self) -> None:
        """Nothing is green before the first token."""
        before = self.history.last()
        if len(before):
            self.tokens[:] = green_tokens(int(before[-1]), self.n_vocab, self.gamma)
            super().run()


def green_tokens(token: int, n_vocab: int, gamma: float) -> npt.NDArray[np.int64]:
    """The tokens that are green after a token.   (int(gamma * n_vocab),)"""
    order = np.random.Generator(np.random.PCG64(HASH_KEY * token)).permutation(n_vocab)
    return order[: int(gamma * n_vocab)]
