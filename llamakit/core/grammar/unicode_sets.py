"""Sets of characters that Unicode defines: general categories, and upper and lower case."""

from __future__ import annotations

import sys
import unicodedata
from functools import lru_cache

from llamakit.core.grammar.charset import LAST, Ranges, union

LONG_NAMES = {
    "Letter": "L", "Cased_Letter": "LC", "Uppercase_Letter": "Lu", "Lowercase_Letter": "Ll", "Titlecase_Letter": "Lt",
    "Modifier_Letter": "Lm", "Other_Letter": "Lo", "Mark": "M", "Nonspacing_Mark": "Mn", "Spacing_Mark": "Mc",
    "Enclosing_Mark": "Me", "Number": "N", "Decimal_Number": "Nd", "digit": "Nd", "Letter_Number": "Nl",
    "Other_Number": "No", "Punctuation": "P", "punct": "P", "Connector_Punctuation": "Pc", "Dash_Punctuation": "Pd",
    "Open_Punctuation": "Ps", "Close_Punctuation": "Pe", "Initial_Punctuation": "Pi", "Final_Punctuation": "Pf",
    "Other_Punctuation": "Po", "Symbol": "S", "Math_Symbol": "Sm", "Currency_Symbol": "Sc", "Modifier_Symbol": "Sk",
    "Other_Symbol": "So", "Separator": "Z", "Space_Separator": "Zs", "Line_Separator": "Zl",
    "Paragraph_Separator": "Zp", "Other": "C", "Control": "Cc", "cntrl": "Cc", "Format": "Cf", "Unassigned": "Cn",
    "Private_Use": "Co",
}  # fmt: skip
MOST_CASED = 0x1E944  # no character beyond has an upper or lower case


@lru_cache(1)
def all_categories() -> dict[str, Ranges]:
    """The characters of each two-letter category; surrogates are no characters."""
    found: dict[str, list[tuple[int, int]]] = {}
    start, last = 0, unicodedata.category(chr(0))
    for char in range(1, sys.maxunicode + 2):
        name = unicodedata.category(chr(char)) if char <= LAST else ""
        if name != last:
            found.setdefault(last, []).append((start, char - 1))
            start, last = char, name
    found.pop("Cs")
    return {name: tuple(ranges) for name, ranges in found.items()}


@lru_cache(64)
def category(name: str) -> Ranges | None:
    """A category by its short or long name, perhaps after `gc=` or `General_Category=`; None if there is none."""
    name = name.removeprefix("General_Category=").removeprefix("gc=")
    if name == "Any":
        return ((0, 0xD7FF), (0xE000, LAST))
    if name == "ASCII":
        return ((0, 127),)
    short = LONG_NAMES.get(name, name)
    wanted = ("Lu", "Ll", "Lt") if short == "LC" else tuple(k for k in all_categories() if k.startswith(short))
    return union(r for k in wanted for r in all_categories()[k]) if wanted and len(short) <= 2 else None


@lru_cache(64)
def with_cases(ranges: Ranges) -> Ranges:
    """The characters, and their upper and lower case where that is one character."""
    more = []
    for low, high in ranges:
        for char in range(low, min(high, MOST_CASED) + 1):
            for other in (chr(char).lower(), chr(char).upper()):
                if len(other) == 1 and ord(other) != char:
                    more.append((ord(other), ord(other)))
    return union([*ranges, *more])
