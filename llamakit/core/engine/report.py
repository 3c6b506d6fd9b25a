"""How slow parts tell that they move."""

from __future__ import annotations

from collections.abc import Callable

Report = Callable[[str, int, int], None]  # stage, done, total


def counting(report: Report | None, stage: str) -> Callable[[str], None]:
    """Report one more of an unknown total."""
    n_done = 0

    def one_more(_: str) -> None:
        nonlocal n_done
        n_done += 1
        if report:
            report(stage, n_done, 0)

    return one_more
