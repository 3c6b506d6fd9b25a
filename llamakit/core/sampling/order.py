"""The stages a user may order: their names and letters, old and new."""

from __future__ import annotations

import re
from collections.abc import Iterable

LETTERS = {
    "e": "penalties",
    "d": "dry",
    "s": "top_n_sigma",
    "k": "top_k",
    "f": "tfs_z",
    "y": "typ_p",
    "p": "top_p",
    "m": "min_p",
    "x": "xtc",
    "t": "temperature",
    "i": "infill",
    "a": "adaptive_p",
}
STAGE_NAMES = tuple(LETTERS.values())
ALIASES = {
    "nucleus": "top_p", "temp": "temperature", "typ": "typ_p", "typical": "typ_p", "typicalp": "typ_p", "tfs": "tfs_z",
}  # fmt: skip
DEFAULT_ORDER = tuple(LETTERS[letter] for letter in "edskypmxt")

PLAIN = {name.replace("_", ""): name for name in STAGE_NAMES} | ALIASES


def order_of_names(names: Iterable[str]) -> tuple[tuple[str, ...], list[str]]:
    """The stages of these names, which may have `_`, `-` or nothing between words, and the names that are none."""
    plain = [(name, re.sub("[_-]", "", name.strip().lower())) for name in names]
    return tuple(PLAIN[key] for _, key in plain if key in PLAIN), [name for name, key in plain if key not in PLAIN]


def order_of_letters(letters: str) -> tuple[tuple[str, ...], list[str]]:
    """The stages of these letters, and the letters that are none."""
    return tuple(LETTERS[x] for x in letters if x in LETTERS), [x for x in letters if x not in LETTERS]


def with_tail_free(order: tuple[str, ...]) -> tuple[str, ...]:
    """The order with tail-free sampling in it, behind top-k as in the years when there was one."""
    if "tfs_z" in order:
        return order
    place = order.index("top_k") + 1 if "top_k" in order else 0
    return (*order[:place], "tfs_z", *order[place:])
