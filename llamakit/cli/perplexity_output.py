"""What `llamakit perplexity` prints: llama-perplexity's lines, results on stdout and the rest on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from llamakit.cli.console import Report, is_terminal
from llamakit.cli.run_log import INFO, Log

if TYPE_CHECKING:
    from llamakit.tools.perplexity.divergence import Comparison
    from llamakit.tools.perplexity.statistics import Estimate

VALUES_A_LINE = 8  # on a terminal, above the progress bar
ENOUGH = 100  # values below which no statistics are made
FRACTIONS = {
    "Maximum": 1.0, "99.9%": 0.999, "99.0%": 0.99, "95.0%": 0.95, "90.0%": 0.9, "75.0%": 0.75, "Median": 0.5,
    "25.0%": 0.25, "10.0%": 0.1, " 5.0%": 0.05, " 1.0%": 0.01, " 0.1%": 0.001, "Minimum": 0.0,
}  # fmt: skip
QUARTERS = ("75.0%", "25.0%")  # shown of probabilities only
HEADER = (
    "chunk             PPL               ln(PPL(Q)/PPL(base))          KL Divergence              Δp RMS            "
    "Same top p"
)


class Screen:
    """Where lines go. `report` draws a progress bar, None where there is no terminal for it; notes go to the log.

    With `json`, stdout is kept free for it. Values of one line appear as they come, but above a bar line by line.
    """

    def __init__(self, report: Report | None, json: bool, log: Log) -> None:
        self.report, self.json, self.log = report, json, log
        self.is_above_bar = report is not None and is_terminal(sys.stdout)
        self.waiting: list[str] = []

    def note(self, text: str) -> None:
        if self.log.shows(INFO):
            self._write(text, sys.stderr)
            self.log.keep(text)

    def line(self, text: str = "") -> None:
        if not self.json:
            self._write(text, sys.stdout)

    def value(self, text: str) -> None:
        """One of many on a line."""
        if self.json:
            return
        if not self.is_above_bar:
            print(text, end="", flush=True)
            return
        self.waiting.append(text)
        if len(self.waiting) == VALUES_A_LINE:
            self._flush()

    def end_values(self) -> None:
        if self.is_above_bar:
            self._flush()
        else:
            self.line()

    def result(self, text: str) -> None:
        """The last line of a measurement: on stderr, as llama-perplexity has it, also where nothing else is told."""
        self._write(text, sys.stderr)
        self.log.keep(text)

    def progress(self, done: int, total: int, unit: str) -> None:
        if self.report is not None:
            self.report(unit, done, total)

    def _flush(self) -> None:
        if self.waiting:
            self._write("".join(self.waiting), sys.stdout)
        self.waiting.clear()

    def _write(self, text: str, stream: Any) -> None:
        if self.report is None:
            print(text, file=stream, flush=True)
        else:
            from tqdm import tqdm

            tqdm.write(text, file=stream)  # around the bar


def time_left(seconds: float, n_passes: float) -> str:
    """`0.50 seconds per pass - ETA 1 hours 0.17 minutes`"""
    total = int(seconds * n_passes)
    hours = f"{total // 3600} hours " if total >= 3600 else ""
    return f"{seconds:.2f} seconds per pass - ETA {hours}{total % 3600 / 60:.2f} minutes"


def plus_minus(estimate: Estimate, width: int, decimals: int, scale: float = 1.0, error_width: int = 0) -> str:
    value, error = scale * estimate.value, scale * estimate.error
    return f"{value:{width}.{decimals}f} ± {error:{error_width or width}.{decimals}f}"


def comparison_row(n: int, c: Comparison) -> str:
    """One line of the table, after n chunks."""
    cells = [
        plus_minus(c.ppl.ppl, 9, 4),
        plus_minus(c.log_ratio, 10, 5),
        plus_minus(c.kld.estimate, 10, 5),
        plus_minus(c.rms_p_diff, 6, 3, 100) + " %",
        plus_minus(c.same_top.estimate, 6, 3, 100) + " %",
    ]
    return f"{n:4d}" + "".join(f"    {cell}" for cell in cells)


def comparison_summary(c: Comparison) -> Iterator[str]:
    """The statistics below the table."""
    yield "====== Perplexity statistics ======"
    yield f"Mean PPL(Q)                   : {plus_minus(c.ppl.ppl, 10, 6)}"
    yield f"Mean PPL(base)                : {plus_minus(c.ppl_base.ppl, 10, 6)}"
    yield f"Cor(ln(PPL(Q)), ln(PPL(base))): {100 * c.correlation:6.2f}%"
    yield f"Mean ln(PPL(Q)/PPL(base))     : {plus_minus(c.log_ratio, 10, 6)}"
    yield f"Mean PPL(Q)/PPL(base)         : {plus_minus(c.ratio, 10, 6)}"
    yield f"Mean PPL(Q)-PPL(base)         : {plus_minus(c.difference, 10, 6)}"
    yield "\n====== KL divergence statistics ======"
    yield f"Mean    KLD: {plus_minus(c.kld.estimate, 10, 6)}"
    names = [name for name in FRACTIONS if name not in QUARTERS]
    for name, value in zip(names, c.kld_percentiles([FRACTIONS[name] for name in names]), strict=True):
        yield f"{name:<7} KLD: {value:10.6f}"
    yield "\n====== Token probability statistics ======"
    yield f"Mean    Δp: {plus_minus(c.p_diff.estimate, 6, 3, 100, 5)} %"
    for name, value in zip(FRACTIONS, c.p_diff_percentiles([*FRACTIONS.values()]), strict=True):
        yield f"{name:<7} Δp: {100 * value:6.3f}%"
    yield f"RMS Δp    : {plus_minus(c.rms_p_diff, 6, 3, 100, 5)} %"
    yield f"Same top p: {plus_minus(c.same_top.estimate, 6, 3, 100, 5)} %"


def comparison_fields(c: Comparison) -> dict[str, Any]:
    """The same for JSON; probabilities as fractions of 1."""
    names = [name.strip() for name in FRACTIONS]
    return {
        "ppl": pair(c.ppl.ppl),
        "ppl_base": pair(c.ppl_base.ppl),
        "correlation": c.correlation,
        "ln_ppl_ratio": pair(c.log_ratio),
        "ppl_ratio": pair(c.ratio),
        "ppl_difference": pair(c.difference),
        "kld": pair(c.kld.estimate),
        "kld_percentiles": dict(zip(names, c.kld_percentiles([*FRACTIONS.values()]), strict=True)),
        "p_diff": pair(c.p_diff.estimate),
        "p_diff_percentiles": dict(zip(names, c.p_diff_percentiles([*FRACTIONS.values()]), strict=True)),
        "p_diff_rms": pair(c.rms_p_diff),
        "same_top": pair(c.same_top.estimate),
    }


def pair(estimate: Estimate) -> dict[str, float]:
    return {"value": estimate.value, "error": estimate.error}
