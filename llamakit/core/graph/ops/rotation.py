"""Rotary position embedding: which angle each pair of dimensions is turned by at each position.

Source of the formulas: RoPE (arXiv:2104.09864), YaRN (arXiv:2309.00071) as llama.cpp of 2026 applies it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Yarn:
    """Interpolation by frequency: slow dimensions are scaled, fast ones are not."""

    mix: float  # 0 = none, 1 = full extrapolation of the fast dimensions
    n_ctx_orig: int  # context of the training before
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attn_factor: float = 1.0
    is_rounded: bool = True  # the range of pairs that are mixed begins and ends with whole numbers


@dataclass(frozen=True)
class Rotation:
    """How heads are turned.

    `is_neox` pairs dimension i with i + n_rot / 2, else 2i with 2i + 1. The angle of pair i at position p is
    p * scale * base^(-2i / n_rot) / factors[i]. `shift` is added to positions; `is_back` turns the other way.
    """

    n_rot: int
    base: float
    scale: float = 1.0
    is_neox: bool = False
    factors: tuple[float, ...] | None = None
    yarn: Yarn | None = None
    shift: int = 0
    is_back: bool = False

    def angles(self, n_positions: int, first: int = 0) -> npt.NDArray[np.float32]:
        """(cos, sin) of every position and pair.   -> (n_positions, n_rot / 2, 2)"""
        i = np.arange(self.n_rot // 2)
        frequency = self.base ** (-2.0 * i / self.n_rot)
        if self.factors is not None:
            frequency = frequency / np.asarray(self.factors, np.float64)
        magnitude = 1.0
        scaled = frequency * self.scale
        if self.yarn is not None:
            magnitude = self.yarn.attn_factor
            if self.yarn.mix:
                mix = self.ramp(i) * self.yarn.mix
                scaled = scaled * (1 - mix) + frequency * mix
                magnitude *= 1.0 + 0.1 * math.log(1.0 / self.scale)
        first += self.shift
        angle = np.arange(first, first + n_positions, dtype=np.float64)[:, None] * (-scaled if self.is_back else scaled)
        pairs = np.empty((n_positions, self.n_rot // 2, 2), np.float32)
        pairs[..., 0], pairs[..., 1] = np.cos(angle) * magnitude, np.sin(angle) * magnitude
        return pairs

    def ramp(self, i: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """1 for pairs that turn often within the original context, 0 for those that turn less than once."""
        yarn = self.yarn
        assert yarn is not None

        def dimension(n_turns: float) -> float:
            return self.n_rot * math.log(yarn.n_ctx_orig / (n_turns * 2 * math.pi)) / (2 * math.log(self.base))

        low, high = dimension(yarn.beta_fast), dimension(yarn.beta_slow)
        if yarn.is_rounded:
            low, high = math.floor(low), math.ceil(high)
        low, high = max(0.0, low), min(self.n_rot - 1.0, high)
        share: npt.NDArray[np.float64] = 1 - np.clip((i - low) / max(0.001, high - low), 0, 1)
        return share
