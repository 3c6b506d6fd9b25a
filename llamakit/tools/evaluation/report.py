"""Results as JSON, and as one page with a picture that needs no other file."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from llamakit.tools.evaluation.run import Result, difference
from llamakit.tools.perplexity.statistics import Share

WIDTH, ROW, LEFT = 760, 26, 190
COLOURS = ("#2b5fa0", "#b0483a")
STYLE = """
body{font:15px sans-serif;color:#222;max-width:60em;margin:2em auto}h1{font-size:1.4em}h2{font-size:1.1em}
table{border-collapse:collapse;font-size:14px}td,th{border:1px solid #ddd;padding:3px 9px;text-align:right}
td:first-child,th:first-child{text-align:left}svg text{font:12px sans-serif;fill:#333}.grid{stroke:#e4e4e4}
.whisker{stroke:#222;stroke-width:1.2}
"""


def as_json(models: Sequence[str], runs: Sequence[Sequence[Result]]) -> dict[str, Any]:
    """Every figure with its error; `versus` compares the second model with the first, pair by pair."""
    suites = []
    for i, first in enumerate(runs[0]):
        entry: dict[str, Any] = {
            "name": first.suite.name,
            "kind": first.suite.kind,
            "n_tasks": len(first.right),
            "models": [figures(run[i]) for run in runs],
        }
        if len(runs) == 2:
            d = difference(first, runs[1][i])
            entry["versus"] = {
                "difference": d.difference, "error": d.error, "only_first": d.only_a, "only_second": d.only_b,
                "p_value": d.p_value,
            }  # fmt: skip
        suites.append(entry)
    return {"models": list(models), "tasks": suites}


def figures(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = {"acc": share_json(result.accuracy)}
    if result.accuracy_by_length is not None:
        found["acc_norm"] = share_json(result.accuracy_by_length)
    if result.groups:
        found["groups"] = {name: share_json(share) for name, share in result.groups.items()}
    return found


def share_json(share: Share) -> dict[str, Any]:
    low, high = share.wilson()
    return {"value": share.value, "error": share.estimate.error, "low": low, "high": high, "n": share.n}


def page(models: Sequence[str], runs: Sequence[Sequence[Result]]) -> str:
    """One page of HTML."""
    names = [Path(model).name for model in models]
    title = f"Evaluation: {' and '.join(names)}"
    bars = [
        (result.suite.name if k == 0 else "", result.accuracy, COLOURS[k])
        for i in range(len(runs[0]))
        for k, result in enumerate(run[i] for run in runs)
    ]
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>',
        f"<style>{STYLE}</style><h1>{escape(title)}</h1>",
        "<p>Share of tasks answered rightly; whiskers are 95 % intervals (Wilson).</p>",
        picture(bars),
        table(names, runs),
    ]
    for name, run in zip(names, runs, strict=True):
        for result in run:
            if result.groups:
                parts.append(f"<h2>{escape(result.suite.name)}: {escape(name)}</h2>")
                parts.append(picture([(group, share, COLOURS[0]) for group, share in result.groups.items()]))
    return "\n".join([*parts, "</html>\n"])


def picture(bars: Sequence[tuple[str, Share, str]]) -> str:
    """Horizontal bars with whiskers, from 0 to 100 %."""
    height = ROW * len(bars) + 30
    lines = [f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img">']

    def x(value: float) -> float:
        return LEFT + value * (WIDTH - LEFT - 60)

    for percent in range(0, 101, 20):
        at = x(percent / 100)
        lines.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{height - 24}"/>')
        lines.append(f'<text x="{at:.1f}" y="{height - 8}" text-anchor="middle">{percent} %</text>')
    for i, (name, share, colour) in enumerate(bars):
        y, (low, high) = ROW * i + 4, share.wilson()
        told = f"{name} {100 * share.value:.2f} % of {share.n} tasks, 95 %: {100 * low:.2f} to {100 * high:.2f}"
        lines.append(f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>')
        lines.append(
            f'<rect x="{x(0)}" y="{y}" width="{x(share.value) - x(0):.1f}" height="{ROW - 8}" fill="{colour}">'
            f"<title>{escape(told)}</title></rect>"
        )
        middle = y + (ROW - 8) / 2
        lines.append(f'<line class="whisker" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{middle}" y2="{middle}"/>')
        lines.append(f'<text x="{x(high) + 6:.1f}" y="{y + 13}">{100 * share.value:.1f}</text>')
    return "\n".join([*lines, "</svg>"])


def table(names: Sequence[str], runs: Sequence[Sequence[Result]]) -> str:
    rows = [heads(names), *cells(runs)]
    marks = ["th"] + ["td"] * (len(rows) - 1)
    lines = ("".join(f"<{m}>{escape(c)}</{m}>" for c in row) for m, row in zip(marks, rows, strict=True))
    return "<table>" + "\n".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def heads(names: Sequence[str]) -> list[str]:
    columns = ["tasks", "n"]
    for name in names:
        columns += [f"{name} acc", "acc_norm"]
    return [*columns, "difference", "p"] if len(names) == 2 else columns


def cells(runs: Sequence[Sequence[Result]]) -> list[list[str]]:
    rows = []
    for i, first in enumerate(runs[0]):
        row = [first.suite.name, str(len(first.right))]
        for run in runs:
            by_length = run[i].accuracy_by_length
            row += [percent(run[i].accuracy), "" if by_length is None else percent(by_length)]
        if len(runs) == 2:
            d = difference(first, runs[1][i])
            row += [f"{100 * d.difference:+.2f} ± {100 * d.error:.2f}", f"{d.p_value:.3f}"]
        rows.append(row)
    return rows


def percent(share: Share) -> str:
    return f"{100 * share.value:.2f} ± {100 * share.estimate.error:.2f}"
