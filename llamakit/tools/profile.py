"""Where a model's time goes: ops with their share, bytes and operations, and a picture layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from llamakit.tools.bench import Setup, Workload, random_tokens

if TYPE_CHECKING:
    from llamakit.core.engine.context import Context
    from llamakit.core.engine.profile import OpTime

    Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Line:
    """Ops of one kind: the same kernel with the same tensors of all layers."""

    name: str
    seconds: float  # of one run of the workload's part, summed over layers
    n_calls: int
    n_bytes: int
    n_flops: int


@dataclass(frozen=True)
class Profiled:
    """What the ops of a workload took, beside what this machine could do."""

    name: str  # "pp512"
    n_threads: int
    ops: list[OpTime]
    read_bandwidth: float  # bytes a second, measured
    int8_peak: float  # operations a second, measured
    seconds: float | None = None  # by the clock on the wall, the Python between programs too; None: nobody looked

    @property
    def lines(self) -> list[Line]:
        """The slowest first."""
        groups: dict[str, list[OpTime]] = {}
        for op in self.ops:
            groups.setdefault(name_of(op), []).append(op)
        lines = (
            Line(
                name, sum(op.seconds for op in ops), sum(op.n_runs for op in ops), sum(op.n_bytes for op in ops),
                sum(op.n_flops for op in ops),
            )
            for name, ops in groups.items()
        )  # fmt: skip
        return sorted(lines, key=lambda line: -line.seconds)

    @property
    def inside(self) -> float:
        """Seconds in ops."""
        return sum(op.seconds for op in self.ops)

    @property
    def outside(self) -> float | None:
        """Seconds in no op: Python, waking threads. None where nobody looked at the clock."""
        return None if self.seconds is None else max(0.0, self.seconds - self.inside)


def profile(setup: Setup, test: Workload, n_repeat: int = 3, report: Report | None = None) -> Profiled:
    """Time the ops of a workload: its prompt if it has one, else its generated tokens, behind its depth.

    Raises what `load_model` and `Context` do.
    """
    from llamakit.core.engine import limits
    from llamakit.core.engine.context import Context
    from llamakit.core.engine.load import load_model

    with load_model(setup.model) as model, Context(
        model, n_ctx=max(test.n_cells, 1), n_batch=setup.n_batch, n_ubatch=setup.n_ubatch, n_threads=setup.n_threads,
        n_threads_batch=setup.n_threads, type_k=setup.type_k, type_v=setup.type_v,
        has_head=not setup.embeddings, report=report,
    ) as context:  # fmt: skip
        seconds, ops = run(context, test, n_repeat)
        n = context.n_threads
        return Profiled(test.name, n, ops, limits.read_bandwidth(n), limits.int8_peak(n), seconds)


def run(context: Context, test: Workload, n_repeat: int) -> tuple[float, list[OpTime]]:
    """Seconds of all repetitions, and the ops of them."""
    import time

    from llamakit.core.engine.profile import Profile

    n_vocab, seconds = context.n_vocab, 0.0
    context.prefill(random_tokens(2 if test.n_prompt else 1, n_vocab))  # what is used first is not what is measured
    profiled: list[OpTime] = []
    for _ in range(n_repeat):
        context.truncate(0)
        if test.n_depth:
            context.prefill(random_tokens(test.n_depth, n_vocab))
        prompt, generated = random_tokens(test.n_prompt, n_vocab), random_tokens(test.n_gen, n_vocab)
        with Profile(context) as found:
            begin = time.perf_counter()
            if prompt:
                context.prefill(prompt)
            for token in generated:
                context.step(token)
            seconds += time.perf_counter() - begin
        profiled += found.ops
    context.truncate(0)
    return seconds, profiled


def name_of(op: OpTime) -> str:
    """`gemv q4_k: ffn_gate, ffn_up`: the same in all layers."""
    kind = op.kernel.removesuffix(".rows").replace(".", " ")
    variant = op.variant.split(",")[0].lstrip(":")
    types = f" {variant}" if op.weights or op.kernel.startswith("embed") else ""
    tensors = ", ".join(without_layer(name) for name in op.weights)
    return f"{kind}{types}" + (f": {tensors}" if tensors else "")


def without_layer(name: str) -> str:
    parts = name.removesuffix(".weight").split(".")
    return ".".join(parts[2:] if parts[0] == "blk" else parts)


# the picture
WIDTH, ROW, GAP = 1100, 22, 2
COLOURS = {
    "gemv": "#4c78a8", "gemm": "#4c78a8", "float": "#72a0c8", "bf16": "#72a0c8", "attention": "#e08214",
    "rope": "#fdb863", "norm": "#8c6bb1", "quantize": "#9ebcda", "embed": "#66a182", "moe": "#b0483a",
    "recurrent": "#b0483a",
}  # fmt: skip
STYLE = """
body{font:15px sans-serif;color:#222;max-width:1140px;margin:2em auto}h1{font-size:1.4em}h2{font-size:1.1em}
table{border-collapse:collapse;font-size:13px}td,th{border:1px solid #ddd;padding:2px 8px;text-align:right}
td:first-child,th:first-child{text-align:left}svg text{font:11px sans-serif;fill:#fff;pointer-events:none}
rect{stroke:#fff;stroke-width:.5}rect:hover{opacity:.75}
"""


@dataclass(frozen=True)
class Bar:
    """A stretch of time, in shares of the whole, and what it is."""

    start: float
    share: float
    row: int
    label: str
    colour: str


def page(title: str, results: Iterable[Profiled]) -> str:
    """One HTML file that needs no other."""
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>',
        f"<style>{STYLE}</style><h1>{escape(title)}</h1>",
    ]
    for result in results:
        milliseconds = 1e3 * result.inside
        parts += [
            f"<h2>{escape(result.name)}, {result.n_threads} threads</h2>",
            f"<p>All: {milliseconds:.2f} ms; below it the layers in their order, and below them their ops. "
            "Point at a bar to read it.</p>",
            picture(bars(result.ops), milliseconds),
            table(result),
        ]
    return "\n".join([*parts, "</html>\n"])


def save(path: str | Path, title: str, results: Iterable[Profiled]) -> None:
    """Write the page. Raises GGUFError for what the system refuses."""
    from llamakit.core.gguf.output import write_file

    write_file(path, page(title, results).encode())


def bars(ops: list[OpTime]) -> list[Bar]:
    """Ops in the order of a program, gathered by layer: an op without weights belongs to the layer it stands in."""
    merged: dict[tuple[int | None, str], float] = {}
    layer: int | None = None
    for op in ops:
        if op.weights:
            layer = op.layer
        key = layer, name_of(op)
        merged[key] = merged.get(key, 0.0) + op.seconds
    whole = sum(merged.values()) or 1.0
    by_layer: dict[int | None, list[tuple[str, float]]] = {}
    for (layer, name), seconds in merged.items():
        by_layer.setdefault(layer, []).append((name, seconds))
    found, start = [], 0.0
    for layer in sorted(by_layer, key=lambda i: (i is None, i)):
        share = sum(seconds for _, seconds in by_layer[layer]) / whole
        found.append(Bar(start, share, 0, "embedding, head" if layer is None else f"layer {layer}", "#666"))
        at = start
        for name, seconds in by_layer[layer]:
            found.append(Bar(at, seconds / whole, 1, name, COLOURS.get(name.split()[0].split("_")[0], "#888")))
            at += seconds / whole
        start += share
    return found


def picture(found: list[Bar], milliseconds: float) -> str:
    lines = [f'<svg viewBox="0 0 {WIDTH} {2 * (ROW + GAP)}" width="{WIDTH}" role="img">']
    for bar in found:
        x, width, y = WIDTH * bar.start, WIDTH * bar.share, bar.row * (ROW + GAP)
        told = f"{bar.label}: {milliseconds * bar.share:.3f} ms, {100 * bar.share:.1f} %"
        lines.append(
            f'<rect x="{x:.2f}" y="{y}" width="{max(width, 0.1):.2f}" height="{ROW}" fill="{bar.colour}">'
            f"<title>{escape(told)}</title></rect>"
        )
        if width > 6.5 * len(bar.label) + 6:
            lines.append(f'<text x="{x + 4:.2f}" y="{y + 15}">{escape(bar.label)}</text>')
    return "\n".join([*lines, "</svg>"])


# the table
HEADS = ("op", "calls", "ms", "share", "GB/s", "of reading", "Gop/s", "of int8")


def table(result: Profiled) -> str:
    rows = [HEADS, *cells(result)]
    marks = ["th"] + ["td"] * (len(rows) - 1)
    lines = ("".join(f"<{m}>{escape(c)}</{m}>" for c in row) for m, row in zip(marks, rows, strict=True))
    return "<table>" + "\n".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def text(result: Profiled) -> str:
    """The table for a terminal, under its name."""
    rows = [HEADS, *cells(result)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADS))]
    lines = [f"{result.name}, {result.n_threads} threads"]
    for first, *rest in rows:
        numbers = (f"{cell:>{width}}" for cell, width in zip(rest, widths[1:], strict=True))
        lines.append("  ".join([f"{first:{widths[0]}}", *numbers]).rstrip())
    return "\n".join(lines) + "\n"


def cells(result: Profiled) -> list[tuple[str, ...]]:
    """A row a line, the last one what is in no op if that is known."""
    whole = result.seconds or result.inside or 1.0
    rows: list[tuple[str, ...]] = []
    for line in result.lines:
        reads, computes = line.n_bytes / line.seconds, line.n_flops / line.seconds
        has_weights = line.n_flops > 0
        rates = (
            f"{reads / 1e9:.1f}", f"{100 * reads / result.read_bandwidth:.0f} %",
            f"{computes / 1e9:.0f}", f"{100 * computes / result.int8_peak:.0f} %",
        )  # fmt: skip
        share = f"{100 * line.seconds / whole:.1f} %"
        times = (line.name, str(line.n_calls), f"{1e3 * line.seconds:.3f}", share)
        rows.append((*times, *(rates if has_weights else ("",) * len(rates))))
    if (outside := result.outside) is not None:
        share = f"{100 * outside / whole:.1f} %"
        rows.append(("between ops", "", f"{1e3 * outside:.3f}", share, "", "", "", ""))
    return rows
