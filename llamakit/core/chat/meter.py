"""What a template may use up while it renders: processor time, and memory for the values that it makes.

A template comes with a model and may be hostile, so nothing that it does may take long or grow without the meter
knowing. Every single step is quick, because no value is larger than the limit: a list that holds another one a thousand
times counts it a thousand times, as comparing or printing it would. So it is enough to look at the clock between steps.
Memory is the sum of what was made; when that is used up, values that nobody holds any more are given back.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from sys import getrefcount, getsizeof
from time import thread_time
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

_STEPS_BETWEEN_LOOKS = 1024
_BYTES_PER_STEP = 1024  # copying them takes about as long as a step
_MOST_DEPTH = 200  # Python hashes tuples by recursion, without a limit
_SMALL = 256  # bytes of a text that is not worth keeping a note of
_EMPTY: dict[Any, Any] = {}
_VIEWS = (type(_EMPTY.keys()), type(_EMPTY.values()), type(_EMPTY.items()))
CONTAINERS: tuple[type[Collection[Any]], ...] = (list, tuple, dict, *_VIEWS)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one rendering may use; more where there are many messages, as some templates look at all for each."""

    seconds: float = 3.0  # processor time of the thread
    seconds_per_message: float = 0.01
    most_seconds: float = 30.0
    n_bytes: int = 64 << 20  # of values that are held at once
    bytes_per_input_byte: int = 64  # and this much more for each byte of messages, tools and variables
    n_range: int = 100_000  # numbers in one range(), as in Jinja's own sandbox
    n_characters: int = 1 << 16  # of the template's text


LIMITS = Limits()


class Size(NamedTuple):
    """How long a value's text would be, and how deep it is nested."""

    weight: int
    depth: int


_SCALAR = Size(8, 0)


def _held_by_nobody() -> int:
    """What getrefcount says of a value that only a local variable holds: it depends on the version of Python."""
    values = [object()]
    value = values.pop()
    return getrefcount(value)


_HELD_BY_NOBODY = _held_by_nobody()


class LimitExceeded(Exception):
    """The template uses more than it may."""


class Meter:
    """Counts for one rendering. Every method raises LimitExceeded when there is nothing left."""

    def __init__(self, limits: Limits, inputs: Any = None, n_messages: int = 0) -> None:
        self.limits = limits
        self.seconds = min(limits.seconds + limits.seconds_per_message * n_messages, limits.most_seconds)
        self._deadline = thread_time() + self.seconds
        self._steps = _STEPS_BETWEEN_LOOKS
        self._texts: list[str | bytes] = []  # that were made
        self._sizes: dict[int, tuple[Any, Size]] = {}  # id -> the container, kept so that the id stays its own
        self.most_bytes = self.bytes_left = 1 << 62
        self.most_bytes = self.bytes_left = limits.n_bytes + limits.bytes_per_input_byte * self.weigh(inputs)

    def step(self, n: int = 1) -> None:
        """`n` small steps of work: now and then, look at the clock."""
        self._steps -= n
        if self._steps < 0:
            self._steps = _STEPS_BETWEEN_LOOKS
            if thread_time() > self._deadline:
                raise LimitExceeded(f"it takes more than {self.seconds:g} seconds")

    def take(self, n_bytes: int) -> None:
        """`n_bytes` are about to be made, or were."""
        self.bytes_left -= n_bytes
        if self.bytes_left < 0:
            self._sweep()
        self.step(1 + n_bytes // _BYTES_PER_STEP)

    def require(self, n_bytes: int) -> None:
        """Fail now if a value of `n_bytes` could not be paid for once it is made."""
        if n_bytes > self.bytes_left:
            self.take(n_bytes)
            self.bytes_left += n_bytes

    def made(self, value: T) -> T:
        """Pay for a value; returns it."""
        if isinstance(value, (str, bytes)):
            n_bytes = getsizeof(value)
            self.take(n_bytes)
            if n_bytes > _SMALL:
                self._texts.append(value)
        else:
            self.take(64)
            self.measure(value)
        return value

    def _sweep(self) -> None:
        """Give back what nobody but the meter holds."""
        texts, sizes = self._texts, self._sizes
        self._texts, self._sizes = [], {}
        while texts:
            text = texts.pop()
            if getrefcount(text) > _HELD_BY_NOBODY:
                self._texts.append(text)
            else:
                self.bytes_left += getsizeof(text)
        while sizes:
            key, (container, size) = sizes.popitem()
            if getrefcount(container) > _HELD_BY_NOBODY:
                self._sizes[key] = (container, size)
            else:
                self.bytes_left += getsizeof(container)
        if self.bytes_left < self.most_bytes // 8:
            raise LimitExceeded(f"it holds more than {self.most_bytes >> 20} MiB of text and lists")

    def weigh(self, value: Any) -> int:
        """About the bytes of the value's text: what it holds twice counts twice."""
        return self.measure(value).weight

    def measure(self, value: Any) -> Size:
        """The size of a value, noted for containers."""
        if isinstance(value, (str, bytes)):
            return Size(len(value), 0)
        if not isinstance(value, CONTAINERS):
            return _SCALAR
        known = self._sizes.get(id(value))
        if known is not None:
            return known[1]
        self.take(getsizeof(value))
        parts = (*value.keys(), *value.values()) if isinstance(value, dict) else value
        weight, depth = 8, 0
        for part in parts:
            if type(part) is str:  # as most are
                weight += 8 + len(part)
            else:
                size = self.measure(part)
                weight, depth = weight + 8 + size.weight, max(depth, size.depth)
        return self.remember(value, Size(weight, depth + 1))

    def remember(self, value: Any, size: Size) -> Size:
        """Note the size of a container, which may be known without looking into it."""
        if size.weight > self.most_bytes:
            raise LimitExceeded(f"it makes a list of more than {self.most_bytes >> 20} MiB")
        if size.depth > _MOST_DEPTH:
            raise LimitExceeded(f"it nests lists more than {_MOST_DEPTH} deep")
        self._sizes[id(value)] = (value, size)
        return size


class _Current(threading.local):
    meter: Meter | None = None


_current = _Current()


def current_meter() -> Meter:
    """The meter of the rendering in this thread."""
    assert _current.meter is not None, "templates run under `metered` only"
    return _current.meter


@contextmanager
def metered(meter: Meter) -> Iterator[Meter]:
    """Let templates in this thread use up `meter` meanwhile."""
    outer, _current.meter = _current.meter, meter
    try:
        yield meter
    finally:
        _current.meter = outer
