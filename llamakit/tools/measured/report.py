"""What was found as one page: size against damage with the standard mixes beside it, and the type of every tensor."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path

from llamakit.core.gguf.output import write_file
from llamakit.tools.imatrix_statistics import parts_of
from llamakit.tools.measured.ruler import Damage
from llamakit.tools.measured.search import Outcome
from llamakit.tools.perplexity.plot import ticks

WIDTH, HEIGHT = 860, 480
LEFT, RIGHT, TOP, BOTTOM = 84, 24, 24, 52  # margins
STYLE = """
body{font:15px sans-serif;color:#222;max-width:60em;margin:2em auto}h1{font-size:1.4em}h2{font-size:1.1em}
table{border-collapse:collapse;font-size:13px}td,th{border:1px solid #ddd;padding:2px 7px;text-align:right}
td:first-child,th:first-child{text-align:left}svg text{font:12px sans-serif;fill:#333}.grid{stroke:#e4e4e4}
.curve{fill:none;stroke:#2b5fa0;stroke-width:2}.mix{fill:#fff;stroke:#b0483a;stroke-width:1.5}.ours{fill:#2b5fa0}
"""
Point = tuple[float, float]


def save(path: str | Path, outcome: Outcome, title: str) -> None:
    """Write one HTML file that needs no other. Raises GGUFError for what the system refuses."""
    write_file(path, page(outcome, title).encode())


def page(outcome: Outcome, title: str) -> str:
    return "\n".join(
        [
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>',
            f"<style>{STYLE}</style><h1>{escape(title)}</h1>",
            f"<p>{escape(summary(outcome))}</p>",
            "<h2>Size and damage</h2>",
            picture(outcome),
            "<p>Damage is the mean Kullback-Leibler divergence from the source model, expected from measurements of "
            "single tensors on the calibration text. The line is the best mix of every size; circles are llama.cpp's "
            f"mixes with the same importance matrix. All changes together did {outcome.additivity:.2f} times the sum "
            "of each alone.</p>",
            "<h2>On text that was held out</h2>",
            table(("mix", "MB", "bits a weight", "divergence", "perplexity", "source's"), held_out_rows(outcome)),
            "<h2>Types</h2>",
            table(("layer", *kinds(outcome)), type_rows(outcome)),
            "</html>\n",
        ]
    )


def summary(outcome: Outcome) -> str:
    """One sentence: how much better than the standard mix of the size."""
    return f"{megabytes(outcome.mix.n_bytes)} MB of tensors, {outcome.n_measured} measurements. {comparison(outcome)}"


def comparison(outcome: Outcome) -> str:
    if not outcome.rivals:
        return f"Divergence on held-out text: {outcome.held_out.kld:.4f}."
    rival = outcome.rivals[0]
    return (
        f"Divergence on held-out text: {outcome.held_out.kld:.4f}; {rival.mix.name} of {megabytes(rival.mix.n_bytes)} "
        f"MB: {rival.held_out.kld:.4f}."
    )


def megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.1f}"


def held_out_rows(outcome: Outcome) -> Iterator[Sequence[str]]:
    tried = [(outcome.mix.name, outcome.mix.n_bytes, outcome.held_out)]
    tried += [(rival.mix.name, rival.mix.n_bytes, rival.held_out) for rival in outcome.rivals]
    for name, n_bytes, damage in tried:
        yield name, megabytes(n_bytes), f"{8 * n_bytes / outcome.n_weights:.3f}", *damage_words(damage)


def damage_words(damage: Damage) -> tuple[str, str, str]:
    return f"{damage.kld:.5f} ± {damage.kld_error:.5f}", f"{damage.perplexity:.4f}", f"{damage.base_perplexity:.4f}"


def free_names(outcome: Outcome) -> list[str]:
    """Tensors that had a choice, in the order of the file."""
    return [choices.name for choices in outcome.choices if len(choices.candidates) > 1]


def kinds(outcome: Outcome) -> list[str]:
    return list(dict.fromkeys(parts_of(name)[1] for name in sorted(free_names(outcome), key=lambda n: parts_of(n)[1])))


def type_rows(outcome: Outcome) -> Iterator[Sequence[str]]:
    """A line for each layer: type and expected damage of each kind of tensor."""
    cells: dict[int | None, dict[str, str]] = {}
    for name in free_names(outcome):
        layer, kind = parts_of(name)
        cells.setdefault(layer, {})[kind] = f"{outcome.mix.types[name].name} {outcome.damages[name]:.1e}"
    for layer, row in sorted(cells.items(), key=lambda each: -1 if each[0] is None else each[0]):
        yield "-" if layer is None else str(layer), *(row.get(kind, "") for kind in kinds(outcome))


def table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    def line(tag: str, cells: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return "\n".join(["<table>", line("th", head), *(line("td", row) for row in rows), "</table>"])


def picture(outcome: Outcome) -> str:
    """Bytes across, damage upwards on a logarithmic scale."""
    mixes = [(mix.name, (mix.n_bytes / 1e6, mix.damage)) for _, mix in outcome.standard if mix.damage > 0]
    curve = [(n_bytes / 1e6, damage) for n_bytes, damage in outcome.frontier if damage > 0]
    ours = (outcome.mix.n_bytes / 1e6, outcome.mix.damage)
    shown = [ours, *(point for _, point in mixes)]
    right = 1.03 * max(x for x, _ in shown)
    least = min(y for _, y in shown) / 1.5
    curve = [(x, y) for x, y in curve if x <= right and y >= least]
    x_ticks = ticks(min(x for x, _ in (*shown, *curve)), right)
    decades = range(math.floor(math.log10(least)), math.ceil(math.log10(max(y for _, y in (*shown, *curve)))) + 1)
    place = scale(x_ticks[0], x_ticks[-1], decades[0], decades[-1])
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}">']
    for decade in decades:
        y = place((x_ticks[0], 10.0**decade))[1]
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10.0**decade:g}</text>')
    for tick in x_ticks:
        x = place((tick, 1.0))[0]
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{tick:g}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 10}" text-anchor="middle">size of tensors, MB</text>')
    parts.append(f'<text transform="translate(18 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">divergence</text>')
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, curve))
    parts.append(f'<polyline class="curve" points="{points}"/>')
    for name, point in mixes:
        x, y = place(point)
        hint = f"<title>{name}: {point[0]:.1f} MB, {point[1]:.4f}</title>"
        parts.append(f'<circle class="mix" cx="{x:.1f}" cy="{y:.1f}" r="4">{hint}</circle>')
        parts.append(f'<text x="{x + 7:.1f}" y="{y + 4:.1f}">{name}</text>')
    x, y = place(ours)
    hint = f"<title>measured: {ours[0]:.1f} MB, {ours[1]:.4f}</title>"
    parts.append(f'<circle class="ours" cx="{x:.1f}" cy="{y:.1f}" r="6">{hint}</circle></svg>')
    return "\n".join(parts)


def scale(left: float, right: float, low: int, high: int) -> Callable[[Point], Point]:
    """From MB and damage to the picture; `low` and `high` are decades."""

    def place(point: Point) -> Point:
        x = LEFT + (WIDTH - LEFT - RIGHT) * (point[0] - left) / max(right - left, 1e-9)
        height = (math.log10(point[1]) - low) / max(high - low, 1)
        return x, HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * height

    return place
