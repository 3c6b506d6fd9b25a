"""Counters and gauges under names that prometheus_client would change: it ends every counter's name with `_total`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate

from llamakit.core.engine.scheduler.distribution import Distribution


@dataclass(frozen=True)
class Family:
    """One figure, or one for each value of a label: `values` by the label's value, or by ""."""

    name: str
    kind: str  # "counter", "gauge"
    help: str
    values: Mapping[str, float] = field(default_factory=dict)
    label: str = ""

    def lines(self) -> Iterable[str]:
        """Prometheus' text format 0.0.4."""
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} {self.kind}"
        for value, number in self.values.items():
            labels = f'{{{self.label}="{value}"}}' if self.label else ""
            yield f"{self.name}{labels} {written(number)}"


@dataclass(frozen=True)
class Spread:
    """Distributions of one figure, or of one for each value of a label."""

    name: str
    help: str
    parts: Mapping[str, Distribution]
    label: str = ""

    def lines(self) -> Iterable[str]:
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} histogram"
        for value, part in self.parts.items():
            own = f'{self.label}="{value}"' if self.label else ""
            bounds = [*map(repr, part.bounds), "+Inf"]
            for bound, n in zip(bounds, accumulate(part.counts), strict=True):
                yield f'{self.name}_bucket{{{own}{"," if own else ""}le="{bound}"}} {n}'
            labels = f"{{{own}}}" if own else ""
            yield f"{self.name}_sum{labels} {part.total!r}"
            yield f"{self.name}_count{labels} {part.n}"


def counter(name: str, number: float, help: str) -> Family:
    return Family(name, "counter", help, {"": number})


def gauge(name: str, number: float, help: str) -> Family:
    return Family(name, "gauge", help, {"": number})


def text_of(families: Iterable[Family | Spread]) -> bytes:
    return "".join(line + "\n" for family in families for line in family.lines()).encode()


def written(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(float(number))
