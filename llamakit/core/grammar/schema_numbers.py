"""Numbers of a schema: bounds, multiples, integers; and the automaton of their JSON texts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from functools import lru_cache

from llamakit.core.grammar.dfa import Dfa, explore
from llamakit.core.grammar.regex_dfa import whole

INTEGER = r"-?(?:0|[1-9][0-9]*)(?:\.0)?"  # not .00: a model may go on with zeros for ever
NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
NOT_NEGATIVE = NUMBER.removeprefix("-?") + r"|-0(?:\.0+)?(?:[eE][-+]?[0-9]+)?"
ABOVE_ZERO = r"(?:[1-9][0-9]*(?:\.[0-9]+)?|0\.[0-9]*[1-9][0-9]*)(?:[eE][-+]?[0-9]+)?"
ZERO = r"-?0(?:\.0+)?(?:[eE][-+]?[0-9]+)?"


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers between bounds (None: without); `is_integer`: only those, or only the others (None: both)."""

    low: Fraction | None = None
    high: Fraction | None = None
    excludes_low: bool = False
    excludes_high: bool = False
    is_integer: bool | None = None
    multiples: frozenset[tuple[Fraction, bool]] = frozenset()  # of this, or not of this

    def meet(self, other: Numbers) -> Numbers | None:
        """What is in both; None if that is nothing."""
        if None not in (self.is_integer, other.is_integer) and self.is_integer != other.is_integer:
            return None
        low, high = self, self
        if other.low is not None and (
            self.low is None or (other.low, other.excludes_low) > (self.low, self.excludes_low)
        ):
            low = other
        if other.high is not None and (
            self.high is None or (other.high, not other.excludes_high) < (self.high, not self.excludes_high)
        ):
            high = other
        met = Numbers(
            low.low,
            high.high,
            low.excludes_low,
            high.excludes_high,
            other.is_integer if self.is_integer is None else self.is_integer,
            self.multiples | other.multiples,
        )
        return None if met.is_empty else met

    @property
    def is_empty(self) -> bool:
        if self.low is not None and self.high is not None:
            if self.low > self.high or (self.low == self.high and (self.excludes_low or self.excludes_high)):
                return True
            if self.low == self.high:
                return not self.has_kind(self.low)
            return self.high - self.low < 1000 and number_dfa(self).is_empty
        return False

    def has_kind(self, value: Fraction) -> bool:
        """Whether a number is right but for the bounds."""
        if self.is_integer not in (None, value.denominator == 1):
            return False
        return all(((value / of).denominator == 1) == wanted for of, wanted in self.multiples)

    def negation(self) -> list[Numbers]:
        """All other numbers, in parts."""
        out = []
        if self.low is not None:
            out.append(Numbers(high=self.low, excludes_high=not self.excludes_low))
        if self.high is not None:
            out.append(Numbers(low=self.high, excludes_low=not self.excludes_high))
        if self.is_integer is not None:
            out.append(Numbers(is_integer=not self.is_integer))
        return out + [Numbers(multiples=frozenset([(of, not wanted)])) for of, wanted in self.multiples]

    @property
    def single(self) -> Fraction | None:
        """The one number, if there is but one."""
        return self.low if self.low is not None and self.low == self.high else None


@lru_cache(64)
def number_dfa(numbers: Numbers) -> Dfa:
    """The JSON texts of these numbers.

    Exponents are allowed only where they cannot change the answer: without bounds but zero, and without multiples.
    """
    low, high = numbers.low, numbers.high
    if not numbers.multiples and low in (None, 0) and high in (None, 0):
        if low is None and high is None and numbers.is_integer is not False:
            return whole(INTEGER if numbers.is_integer else NUMBER)
        if numbers.is_integer is None and low == high == 0:
            return whole(ZERO)
        if numbers.is_integer is None and None in (low, high):
            is_open = numbers.excludes_high if low is None else numbers.excludes_low
            if low == 0:
                return whole(ABOVE_ZERO if is_open else NOT_NEGATIVE)
            return whole(f"-(?:{ABOVE_ZERO})" if is_open else f"-(?:{ABOVE_ZERO})|{ZERO}")
    return Digits(numbers).dfa()


NEVER = -1  # what is left of a multiple that it can no longer be
Mark = tuple[int, int]  # digits read; how they compare with a bound's, or what they leave of a multiple


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound on magnitudes, as digits: how what was read so far compares with it is all that matters of it."""

    whole: str
    part: str
    is_open: bool
    side: int  # -1: a number must not be below, 1: not above

    def compare(self, mark: Mark, digit: int) -> Mark:
        """After one more whole digit: how many were read (up to one too many), and how they compare as text."""
        n, sign = mark
        if n < len(self.whole) and sign == 0:
            own = int(self.whole[n])
            sign = (digit > own) - (digit < own)
        return min(n + 1, len(self.whole) + 1), sign

    def whole_sign(self, mark: Mark) -> int:
        """How the whole part compares: a longer one is larger."""
        n, sign = mark
        return sign if n == len(self.whole) else 1 if n > len(self.whole) else -1

    def compare_part(self, mark: Mark, digit: int) -> Mark:
        n, sign = mark
        own = int(self.part[n]) if n < len(self.part) else 0
        return (min(n + 1, len(self.part)), sign if sign else (digit > own) - (digit < own))

    def allows(self, mark: Mark) -> bool:
        """Whether a number may end here; digits that are not there are zeros."""
        n, sign = mark
        if sign == 0 and int(self.part[n:] or "0") > 0:
            sign = -1
        return sign != self.side and not (sign == 0 and self.is_open)


class Phase(Enum):
    START, SIGN, ZERO, WHOLE, POINT, PART = range(6)


@dataclass(frozen=True, slots=True)
class Reading:
    """A number without an exponent, read so far: of each bound and multiple, what matters."""

    phase: Phase
    is_negative: bool = False
    marks: tuple[Mark, ...] = ()
    rests: tuple[Mark, ...] = ()
    has_part: bool = False  # a digit after the point that is not 0


class Digits:
    """The states of reading numbers, each with its edges."""

    def __init__(self, numbers: Numbers) -> None:
        self.numbers = numbers
        self.multiples = [(scaled(of), wanted) for of, wanted in numbers.multiples]
        self.bounds = {is_negative: self.find_bounds(is_negative) for is_negative in (False, True)}

    def dfa(self) -> Dfa:
        return explore(Reading(Phase.START), self.follow)

    def find_bounds(self, is_negative: bool) -> list[Bound] | None:
        """On the magnitude of a number of this sign; None if there are no such numbers."""
        n = self.numbers
        limits = [(n.low, n.excludes_low, -1), (n.high, n.excludes_high, 1)]
        if is_negative:
            limits = [(None if v is None else -v, is_open, -side) for v, is_open, side in limits]
        out = []
        for value, is_open, side in limits:
            if value is None or (value < 0 and side == -1):
                continue
            if value < 0:
                return None
            out.append(Bound(*decimal(value), is_open, side))
        return out

    def follow(self, state: Reading) -> tuple[list[tuple[int, int, Reading]], bool]:
        phase = state.phase
        edges = []
        if phase is Phase.START and self.bounds[True] is not None:
            edges.append((0x2D, 0x2D, self.signed(True)))
        if phase is Phase.START and self.bounds[False] is not None:
            state = self.signed(False)
        has_zero = state.phase is Phase.PART and self.numbers.is_integer is True  # as in INTEGER
        if state.phase in (Phase.SIGN, Phase.WHOLE, Phase.POINT, Phase.PART) and not has_zero:
            edges += [(0x30 + digit, 0x30 + digit, self.read(state, digit)) for digit in range(10)]
        if phase in (Phase.ZERO, Phase.WHOLE):
            edges.append((0x2E, 0x2E, self.point(state)))
        return edges, phase in (Phase.ZERO, Phase.WHOLE, Phase.PART) and self.may_end(state)

    def signed(self, is_negative: bool) -> Reading:
        n_bounds = len(self.bounds[is_negative] or ())
        return Reading(Phase.SIGN, is_negative, ((0, 0),) * n_bounds, ((0, 0),) * len(self.multiples))

    def own(self, state: Reading) -> list[tuple[Bound, Mark]]:
        return list(zip(self.bounds[state.is_negative] or [], state.marks, strict=True))

    def read(self, state: Reading, digit: int) -> Reading:
        rests = []
        if state.phase in (Phase.SIGN, Phase.WHOLE):
            phase = Phase.ZERO if state.phase is Phase.SIGN and digit == 0 else Phase.WHOLE
            marks = tuple(bound.compare(mark, digit) for bound, mark in self.own(state))
            for (_, rest), ((of, _), _) in zip(state.rests, self.multiples, strict=True):
                rests.append((0, (rest * 10 + digit) % of))
            return Reading(phase, state.is_negative, marks, tuple(rests))
        marks = tuple(bound.compare_part(mark, digit) for bound, mark in self.own(state))
        for (n, rest), ((of, n_digits), _) in zip(state.rests, self.multiples, strict=True):
            if n < n_digits:
                rests.append((n + 1, (rest * 10 + digit) % of))
            else:
                rests.append((n, rest if digit == 0 else NEVER))
        has_part = state.has_part or (digit != 0 and self.numbers.is_integer is not None)
        return Reading(Phase.PART, state.is_negative, marks, tuple(rests), has_part)

    def point(self, state: Reading) -> Reading:
        marks = tuple((0, bound.whole_sign(mark)) for bound, mark in self.own(state))
        return Reading(Phase.POINT, state.is_negative, marks, state.rests)

    def may_end(self, state: Reading) -> bool:
        state = state if state.phase is Phase.PART else self.point(state)
        if not all(bound.allows(mark) for bound, mark in self.own(state)):
            return False
        for (n, rest), ((of, n_digits), wanted) in zip(state.rests, self.multiples, strict=True):
            is_multiple = rest != NEVER and rest * 10 ** (n_digits - n) % of == 0
            if is_multiple != wanted:
                return False
        return self.numbers.is_integer is None or self.numbers.is_integer != state.has_part


def decimal(value: Fraction) -> tuple[str, str]:
    """The digits before and after the point of a decimal number that is not negative."""
    n_digits = 0
    while value.denominator != 1:
        value, n_digits = value * 10, n_digits + 1
    digits = str(value.numerator).rjust(n_digits + 1, "0")
    return (digits[: len(digits) - n_digits], digits[len(digits) - n_digits :])


def scaled(value: Fraction) -> tuple[int, int]:
    """An integer and how many digits the point was moved: 0.25 -> (25, 2)."""
    whole_part, part = decimal(value)
    return int(whole_part + part), len(part)
