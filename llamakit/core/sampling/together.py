"""Many samplers at once, on all threads: drawing from large vocabularies would hold up a step otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from llamakit.core.kernels.sampling_chains import Chain, Chains
from llamakit.core.sampling.chain import Sampler

Floats = npt.NDArray[np.float32]
KERNEL = "sampling_chains.run"
MOST = 256  # samplers at once


class Together:
    """Draws with up to MOST samplers that have no Python between their stages (`Sampler.is_plain`)."""

    def __init__(self) -> None:
        self.chains, self.n = np.zeros((MOST, len(Chain.FIELDS)), np.uint64), np.zeros(1, np.int64)
        self.record = Chains(chains=self.chains, n=self.n)

    def draw(self, samplers: Sequence[Sampler], rows: Sequence[Floats], run: Callable[[], None]) -> None:
        """Let each have drawn from its logits, as `Sampler.take` then tells. `run` runs the record on all threads."""
        for sampler, logits in zip(samplers, rows, strict=True):
            sampler.prepare(logits.ctypes.data)
        self.n[0] = n = len(samplers)
        self.chains[:n] = [sampler.links for sampler in samplers]
        run()
