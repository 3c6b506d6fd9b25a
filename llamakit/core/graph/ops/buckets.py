"""Distances of positions in classes, for which biases are learned."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Buckets:
    """T5's distances: exact up to half the buckets, then by logarithm up to `most` (arXiv:1910.10683)."""

    n: int
    most: int
    is_two_sided: bool  # half the buckets are for keys ahead; else these are in bucket 0

    def of(self, ahead: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The buckets of keys so far ahead of their queries."""
        n = self.n // 2 if self.is_two_sided else self.n
        distance = np.abs(ahead) if self.is_two_sided else np.maximum(-ahead, 0)
        exact = max(n // 2, 1)
        far = np.maximum(distance, exact).astype(np.float32) / np.float32(exact)
        scale = np.float32(math.log(max(self.most / exact, 1 + 1e-6)))
        large = exact + (np.log(far) / scale * np.float32(n - exact)).astype(np.int64)
        bucket = np.where(distance < exact, distance, np.minimum(large, n - 1))
        return bucket + (n * (ahead > 0) if self.is_two_sided else 0)
