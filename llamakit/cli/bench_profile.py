"""`llamakit bench --profile`: where the time of each test goes."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from llamakit.cli.console import Report
from llamakit.cli.parsing.reader import InvalidArgument

if TYPE_CHECKING:
    from llamakit.tools.bench import Grid
    from llamakit.tools.profile import Profiled


def run(grid: Grid, output: str, page: str | None, n_repeat: int, report: Report | None) -> None:
    """Profile every combination of a grid; print it, and write a page with pictures if a path is given."""
    from llamakit.tools.profile import profile, save, text

    if output not in ("md", "json"):
        raise InvalidArgument(f"-o {output}: a profile is printed as md or json")
    done = []
    for setup in grid.setups():
        for test in grid.tests():
            done.append(profile(setup, test, n_repeat, report))
            sys.stdout.write((as_json(done[-1]) if output == "json" else text(done[-1])) + "\n")
            sys.stdout.flush()
    if page is not None:
        save(page, f"llamakit bench --profile: {', '.join(grid.models)}", done)


def as_json(result: Profiled) -> str:
    lines = [asdict(line) for line in result.lines]
    return json.dumps({
        "test": result.name, "n_threads": result.n_threads, "seconds": result.seconds, "outside": result.outside,
        "read_bandwidth": result.read_bandwidth, "int8_peak": result.int8_peak, "ops": lines,
    })  # fmt: skip
