"""What a user may say about sampling."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from llamakit.errors import UsageError

RANDOM_SEED = 0xFFFFFFFF  # as llama.cpp spells "choose one for me"; so does -1
MOST_TOKENS = 1 << 24  # beyond any vocabulary or context
LARGEST = 3.4e38  # the stages compute in float32


@dataclass(frozen=True)
class SamplingParams:
    """Options of the sampler chain; the defaults are llama.cpp's.

    Raises UsageError naming the field when a value makes no sense.
    """

    seed: int | None = None  # 0 .. 2^32 - 2; None, -1 and 2^32 - 1: a random one
    temperature: float = 0.8  # <= 0: greedy
    top_k: int = 40  # <= 0: off
    top_p: float = 0.95  # >= 1: off
    min_p: float = 0.05  # <= 0: off
    min_keep: int = 0  # top-p and min-p leave at least so many candidates
    repeat_penalty: float = 1.0  # 1: off
    repeat_last_n: int = 64  # how many of the last tokens the penalties look at; 0: off
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    ignore_eos: bool = False
    logit_bias: Mapping[int, float] = field(default_factory=dict)  # added to the logits of tokens; -inf bans one

    def __post_init__(self) -> None:
        if self.seed is not None:
            self.check("seed", -1 <= self.seed <= RANDOM_SEED, "from -1 to 4294967295")
        for name in ("temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty"):
            self.check(name, is_number(getattr(self, name)), "a finite number")
        self.check("repeat_penalty", is_number(self.repeat_penalty) and self.repeat_penalty > 0, "finite and above 0")
        self.check("min_p", self.min_p <= 1, "at most 1")
        self.check("top_p", self.top_p >= 0, "at least 0")
        self.check("top_k", self.top_k <= MOST_TOKENS, f"at most {MOST_TOKENS}")
        for name in ("min_keep", "repeat_last_n"):
            self.check(name, 0 <= getattr(self, name) <= MOST_TOKENS, f"from 0 to {MOST_TOKENS}")
        for token, bias in self.logit_bias.items():
            if token < 0 or not (is_number(bias) or bias == -math.inf):
                raise UsageError(f"logit_bias: token {token} with bias {bias}; needs an id >= 0 and a number or -inf")

    def check(self, name: str, is_good: bool, expected: str) -> None:
        if not is_good:
            raise UsageError(f"{name} is {getattr(self, name)}; it must be {expected}")

    @property
    def has_penalties(self) -> bool:
        changes = self.repeat_penalty != 1 or self.presence_penalty != 0 or self.frequency_penalty != 0
        return changes and self.repeat_last_n > 0


def is_number(value: float) -> bool:
    return math.isfinite(value) and abs(value) <= LARGEST
