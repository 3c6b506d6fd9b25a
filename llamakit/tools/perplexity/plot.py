"""A curve with its uncertainty as one SVG picture, or a page that holds it: nothing else is needed to look at it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from llamakit.core.gguf.output import write_file
from llamakit.errors import UsageError

WIDTH, HEIGHT = 860, 460
LEFT, RIGHT, TOP, BOTTOM = 76, 20, 48, 52  # margins
N_TICKS = 6
STYLE = (
    "text{font:13px sans-serif;fill:#333}.grid{stroke:#ddd}.band{fill:#4a7ebb;opacity:.2}"
    ".curve{fill:none;stroke:#2b5fa0;stroke-width:2}.dot{fill:#999}.title{font-size:15px;font-weight:bold}"
)


@dataclass(frozen=True)
class Curve:
    """Values at 1, 2, 3, ... with their errors, and what each step alone had, if that tells something."""

    title: str
    x_label: str
    y_label: str
    values: Sequence[float]
    errors: Sequence[float]
    dots: Sequence[float] = ()


def save(path: str | Path, curve: Curve) -> None:
    """Write NAME.svg or NAME.html. Raises UsageError for another ending, GGUFError for what the system refuses."""
    check_name(path)
    picture = svg(curve)
    page = f'<!doctype html><meta charset="utf-8"><title>{escape(curve.title)}</title>\n{picture}'
    write_file(path, (picture if Path(path).suffix.lower() == ".svg" else page).encode())


def check_name(path: str | Path) -> None:
    if Path(path).suffix.lower() not in (".svg", ".html"):
        raise UsageError(f"--plot {path}: write to NAME.svg or NAME.html")


def svg(curve: Curve) -> str:
    """The picture: axes, band of one standard error, curve, dots, and each value as a tooltip."""
    n = len(curve.values)
    low, high = bounds(curve)
    y_ticks = ticks(low, high)
    low, high = min(low, y_ticks[0]), max(high, y_ticks[-1])

    def x(i: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * ((i - 1) / (n - 1) if n > 1 else 0.5)

    def y(value: float) -> float:
        inside = min(max(value, low), high)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (inside - low) / (high - low)

    def points(values: Sequence[float], backwards: bool = False) -> str:
        pairs = [f"{x(i):.1f},{y(value):.1f}" for i, value in enumerate(values, start=1)]
        return " ".join(reversed(pairs) if backwards else pairs)

    above = [value + error for value, error in zip(curve.values, curve.errors, strict=True)]
    below = [value - error for value, error in zip(curve.values, curve.errors, strict=True)]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}">',
        f'<style>{STYLE}</style><rect width="100%" height="100%" fill="#fff"/>',
        f'<text class="title" x="{LEFT}" y="28">{escape(curve.title)}</text>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">{escape(curve.x_label)}</text>',
        f'<text transform="translate(18 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">{escape(curve.y_label)}</text>',
    ]
    for tick in y_ticks:
        parts.append(f'<path class="grid" d="M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for i in sorted({max(1, round(tick)) for tick in ticks(1, max(n, 2)) if tick <= n}):
        parts.append(f'<text x="{x(i):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{i}</text>')
    parts.append(f'<polygon class="band" points="{points(above)} {points(below, backwards=True)}"/>')
    parts += [
        f'<circle class="dot" cx="{x(i):.1f}" cy="{y(value):.1f}" r="2.5"><title>{i}: {value:.4f}</title></circle>'
        for i, value in enumerate(curve.dots, start=1)
    ]
    parts.append(f'<polyline class="curve" points="{points(curve.values)}"/>')
    last = f"{curve.values[-1]:.4f} ± {curve.errors[-1]:.4f}"
    parts.append(f'<text x="{WIDTH - RIGHT}" y="28" text-anchor="end">{last}</text></svg>')
    return "\n".join(parts) + "\n"


def bounds(curve: Curve) -> tuple[float, float]:
    """Of what is drawn; the band of the first few values, which nobody knows well, does not stretch the picture."""
    shown = [*curve.values, *curve.dots]
    late = list(zip(curve.values, curve.errors, strict=True))[len(curve.values) // 2 :]
    shown += [value + sign * error for value, error in late for sign in (-1, 1)]
    low, high = min(shown), max(shown)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def ticks(low: float, high: float) -> list[float]:
    """Round numbers, about N_TICKS of them, from at most `low` to at least `high`."""
    step = 10.0 ** math.floor(math.log10((high - low) / N_TICKS))
    step *= next(m for m in (1, 2, 5, 10) if m * step * N_TICKS >= high - low)
    first = math.floor(low / step)
    return [round(i * step, 12) for i in range(first, math.ceil(high / step) + 1)]
