"""How many tokens of a step each job gets."""

from __future__ import annotations

from collections.abc import Sequence


def shares(wanted: Sequence[int], n_most: int) -> list[int]:
    """Divide n_most tokens: who wants little gets it all, the others get equal parts of the rest, at least one each."""
    given, left = [0] * len(wanted), max(n_most, len(wanted))
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    for n_done, i in enumerate(order):
        given[i] = min(wanted[i], left // (len(wanted) - n_done))
        left -= given[i]
    return given


def whole_shares(wanted: Sequence[int], n_most: int) -> list[int]:
    """The same for texts that cannot be cut: in order, as many as fit beside the first."""
    given, left = [], n_most
    for n in wanted:
        given.append(n if n <= left else 0)
        left -= given[-1]
    return given
