"""What a user may say about sampling."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from llamakit.core.sampling.order import DEFAULT_ORDER, STAGE_NAMES
from llamakit.errors import UsageError

RANDOM_SEED = 0xFFFFFFFF  # as llama.cpp spells "choose one for me"; so does -1
MOST_TOKENS = 1 << 24  # beyond any vocabulary or context
LARGEST = 3.4e38  # the stages compute in float32
FASTEST = 1_000_000
ALL = -1  # for a number of last tokens: all of them

NUMBERS = (
    "temperature", "dynatemp_range", "dynatemp_exponent", "top_p", "min_p", "typical_p", "tfs_z", "top_n_sigma",
    "xtc_probability", "xtc_threshold", "repeat_penalty", "presence_penalty", "frequency_penalty", "dry_multiplier",
    "dry_base", "mirostat_tau", "mirostat_eta", "adaptive_target", "adaptive_decay", "watermark_gamma",
    "watermark_delta",
)  # fmt: skip
WHOLE_NUMBERS = {
    "top_k": -MOST_TOKENS, "min_keep": 0, "repeat_last_n": ALL, "dry_allowed_length": 0, "dry_penalty_last_n": ALL,
}  # fmt: skip


@dataclass(frozen=True)
class SamplingParams:
    """Options of the sampler chain; the defaults are llama.cpp's.

    Raises UsageError naming the field when a value makes no sense.
    """

    samplers: tuple[str, ...] = DEFAULT_ORDER  # which of STAGE_NAMES run, in this order; then a token is drawn
    seed: int | None = None  # 0 .. 2^32 - 2; None, -1 and 2^32 - 1: a random one
    temperature: float = 0.8  # <= 0: greedy
    dynatemp_range: float = 0.0  # the temperature moves so far both ways with the entropy; <= 0: not
    dynatemp_exponent: float = 1.0
    top_k: int = 40  # <= 0: off
    top_p: float = 0.95  # >= 1: off
    min_p: float = 0.05  # <= 0: off
    typical_p: float = 1.0  # >= 1: off
    tfs_z: float = 1.0  # >= 1: off
    top_n_sigma: float = -1.0  # <= 0: off
    xtc_probability: float = 0.0  # <= 0: off
    xtc_threshold: float = 0.1  # > 0.5: off
    min_keep: int = 0  # these stages leave at least so many candidates
    repeat_penalty: float = 1.0  # 1: off
    repeat_last_n: int = 64  # how many of the last tokens the penalties look at; 0: off, -1: all
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    frequency_is_share: bool = False  # that penalty is for a token's share of the tokens so far, not for their number
    penalize_nl: bool = True  # the penalties are for newlines too
    dry_multiplier: float = 0.0  # 0: off
    dry_base: float = 1.75  # < 1: off
    dry_allowed_length: int = 2  # longest repetition without a penalty
    dry_penalty_last_n: int = 64  # how many of the last tokens it looks at; 0: off, -1: all
    dry_sequence_breakers: tuple[str, ...] = ("\n", ":", '"', "*")  # no repetition spans them
    mirostat: int = 0  # 1 or 2: that version, and temperature, in place of all samplers
    mirostat_tau: float = 5.0  # surprise to aim at, in bits
    mirostat_eta: float = 0.1  # learning rate
    adaptive_target: float = -1.0  # probability that adaptive_p aims at; < 0: off
    adaptive_decay: float = 0.9  # 0 .. 0.99: how long it remembers
    watermark_gamma: float = 0.5  # share of the tokens that are green after each token
    watermark_delta: float = 0.0  # added to the logits of these; 0: off
    ignore_eos: bool = False
    keeps_others: bool = False  # at temperature 0 the others stay candidates, for scores after the penalties
    logit_bias: Mapping[int, float] = field(default_factory=dict)  # added to the logits of tokens; -inf bans one

    def __post_init__(self) -> None:
        if self.seed is not None:
            self.check("seed", is_whole(self.seed) and -1 <= self.seed <= RANDOM_SEED, "from -1 to 4294967295")
        for name in NUMBERS:
            self.check(name, is_number(getattr(self, name)), "a finite number")
        for name, least in WHOLE_NUMBERS.items():
            value = getattr(self, name)
            self.check(name, is_whole(value) and least <= value <= MOST_TOKENS, f"from {least} to {MOST_TOKENS}")
        self.check("samplers", set(self.samplers) <= set(STAGE_NAMES), f"some of {', '.join(STAGE_NAMES)}")
        self.check("repeat_penalty", self.repeat_penalty > 0, "finite and above 0")
        for name in ("min_p", "adaptive_target"):
            self.check(name, getattr(self, name) <= 1, "at most 1")
        for name in ("top_p", "typical_p", "tfs_z", "dynatemp_exponent", "xtc_threshold"):
            self.check(name, getattr(self, name) >= 0, "at least 0")
        for name in ("mirostat_tau", "mirostat_eta"):  # what is learned must stay a number
            self.check(name, abs(getattr(self, name)) <= FASTEST, f"from -{FASTEST} to {FASTEST}")
        self.check("mirostat", self.mirostat in (0, 1, 2), "0, 1 or 2")
        self.check("watermark_gamma", 0 < self.watermark_gamma < 1, "between 0 and 1")
        for token, bias in self.logit_bias.items():
            if not is_whole(token) or token < 0 or not (is_number(bias) or bias == -math.inf):
                raise UsageError(f"logit_bias: token {token} with bias {bias}; needs an id >= 0 and a number or -inf")

    def check(self, name: str, is_good: bool, expected: str) -> None:
        if not is_good:
            raise UsageError(f"{name} is {getattr(self, name)}; it must be {expected}")

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of the stages between the logit biases and the choice of a token."""
        return ("temperature",) if self.mirostat else self.samplers

    @property
    def has_penalties(self) -> bool:
        changes = self.repeat_penalty != 1 or self.presence_penalty != 0 or self.frequency_penalty != 0
        return "penalties" in self.stages and changes and self.repeat_last_n != 0

    @property
    def has_watermark(self) -> bool:
        return self.watermark_delta != 0

    @property
    def has_dry(self) -> bool:
        return "dry" in self.stages and self.dry_multiplier != 0 and self.dry_base >= 1 and self.dry_penalty_last_n != 0

    @property
    def is_greedy(self) -> bool:
        """Does the temperature leave a single candidate?"""
        return "temperature" in self.stages and self.temperature <= 0 and self.dynatemp_range <= 0


def is_number(value: float) -> bool:
    """Is it one that stays finite as a float32?"""
    return isinstance(value, int | float | np.integer | np.floating) and bool(abs(value) <= LARGEST)


def is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
