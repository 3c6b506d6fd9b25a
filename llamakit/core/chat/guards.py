"""Operators, methods and filters whose result may be far larger than what they get, or that may take far longer.

Each guard looks at the arguments and fails, before anything happens, if the result would be too large: what is made of
it is paid for afterwards, as with everything else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

from llamakit.core.chat.meter import CONTAINERS, LimitExceeded, Meter

Guard = Callable[..., None]  # (meter, what it is of, arguments of the call ...)

_MOST_BITS = 4096  # of a whole number
_MOST_WIDTH = 1000  # of a field in a format
_MOST_DIGITS = 4096  # of a number in a text
_MOST_SLOW = 1 << 14  # characters for filters that take the square of it
BYTES_OF_A_PART = 64  # of a text within a list, more or less
_WIDTH = re.compile(r"\d{4,}")
_NESTED_FIELD = re.compile(r"\{[^{}]*\{")
_LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_ENCODINGS = {"utf-8", "utf8", "ascii", "latin-1"}

# Never needed to write a prompt.
REFUSED_METHODS = frozenset({"translate", "maketrans", "to_bytes", "from_bytes", "fromhex", "as_integer_ratio"})


def multiply(meter: Meter, left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        whole_number(left.bit_length() + right.bit_length())
    elif isinstance(left, int) or isinstance(right, int):
        n, repeated = (left, right) if isinstance(left, int) else (right, left)
        if isinstance(repeated, (str, bytes)):
            meter.require(n * n_bytes(repeated))
        elif isinstance(repeated, (list, tuple)):
            meter.require(n * (meter.weigh(repeated) + 8))


def n_bytes(text: str | bytes) -> int:
    """Of its characters, at most."""
    return len(text) * (1 if isinstance(text, bytes) or text.isascii() else 4)


def power(meter: Meter, left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        whole_number(left.bit_length() * max(right, 0))


def whole_number(n_bits: int) -> None:
    if n_bits > _MOST_BITS:
        raise LimitExceeded(f"it makes a number of {n_bits} bits")


def percent(meter: Meter, left: Any, right: Any) -> None:
    """`"%5d" % x`, not the remainder of a number."""
    if isinstance(left, (str, bytes)):
        text = left if isinstance(left, str) else left.decode("latin-1")
        check_widths(text)
        if "*" in text:
            raise LimitExceeded("it takes the width of a format from a variable")
        meter.require(text.count("%") * (_MOST_WIDTH + meter.weigh(right)))


def str_format(meter: Meter, text: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    check_widths(text)
    if _NESTED_FIELD.search(text):
        raise LimitExceeded("it takes the width of a format from a variable")
    meter.require(text.count("{") * (_MOST_WIDTH + sum(map(meter.weigh, chain(args, kwargs.values())))))


def check_widths(text: str) -> None:
    if any(int(match[0][:9]) > _MOST_WIDTH for match in _WIDTH.finditer(text)):
        raise LimitExceeded("it formats a text with a huge width")


OPERATORS: dict[str, Guard] = {"*": multiply, "**": power, "%": percent}


def padded(meter: Meter, text: Any, width: Any = 80, *_: Any) -> None:
    if isinstance(width, int):
        meter.require(4 * width)


def tabs(meter: Meter, text: str, tabsize: Any = 8) -> None:
    if isinstance(tabsize, int):
        meter.require(4 * (len(text) + text.count("\t") * tabsize))


def replaced(meter: Meter, text: Any, old: Any = "", new: Any = "", *_: Any, **__: Any) -> None:
    text = text if isinstance(text, bytes) else str(text)
    is_alike = isinstance(old, bytes) == isinstance(text, bytes) and isinstance(old, (str, bytes))
    n_places = text.count(old) if is_alike else len(text) + 1
    meter.require(4 * (len(text) + n_places * len(new)))


def joined(meter: Meter, separator: Any, parts: Any = ()) -> None:
    meter.require(4 * (meter.weigh(parts) + len(parts) * len(separator)))


def split(meter: Meter, text: Any, *_: Any, **__: Any) -> None:
    meter.require(BYTES_OF_A_PART * len(text))


def encoded(meter: Meter, text: Any, encoding: Any = "utf-8", *_: Any, **__: Any) -> None:
    if encoding not in _ENCODINGS:
        raise LimitExceeded(f"it uses the encoding {str(encoding)[:40]!r}")


METHODS: dict[str, Guard] = {  # of texts and bytes
    **dict.fromkeys(("center", "ljust", "rjust", "zfill"), padded),
    **dict.fromkeys(("split", "rsplit", "splitlines"), split),
    "expandtabs": tabs,
    "replace": replaced,
    "join": joined,
    **dict.fromkeys(("encode", "decode"), encoded),
}


def indented(meter: Meter, text: str, width: Any = 4, *_: Any, **__: Any) -> None:
    n_lines = 1 + sum(text.count(end) for end in _LINE_ENDS)
    meter.require(n_lines * (BYTES_OF_A_PART + 4 * (width if isinstance(width, int) else len(width))))


def words(meter: Meter, text: Any) -> None:
    meter.require(BYTES_OF_A_PART * len(str(text)))


def sort_filter(
    meter: Meter, items: Any, reverse: Any = False, case_sensitive: Any = False, attribute: Any = ""
) -> None:
    n_attributes = 1 + str(attribute).count(",")
    meter.require(BYTES_OF_A_PART * n_attributes * len(items))


def format_filter(meter: Meter, text: Any, *args: Any, **kwargs: Any) -> None:
    percent(meter, str(text), kwargs or args)


def join_filter(meter: Meter, parts: Any, d: Any = "", *_: Any, **__: Any) -> None:
    joined(meter, str(d), parts)


def cut_in_lists(meter: Meter, items: Any, n: Any, *_: Any, **__: Any) -> None:
    if isinstance(n, int) and n > meter.limits.n_range:
        raise LimitExceeded(f"it cuts a list into {n} parts")


def rounded(meter: Meter, number: Any, precision: Any = 0, *_: Any, **__: Any) -> None:
    if isinstance(precision, int) and abs(precision) > _MOST_DIGITS:
        raise LimitExceeded(f"it rounds to {precision} digits")


def number_read(meter: Meter, text: Any, *_: Any, **__: Any) -> None:
    if isinstance(text, (str, bytes)) and len(text) > _MOST_DIGITS:
        raise LimitExceeded(f"it reads a number from {len(text)} characters")


def summed(meter: Meter, items: Any, attribute: Any = None, start: Any = 0) -> None:
    if isinstance(start, CONTAINERS):
        raise LimitExceeded("it uses `sum` to join lists")


def slow(meter: Meter, value: Any, *args: Any, **kwargs: Any) -> None:
    if sum(map(meter.weigh, (value, *args, *kwargs.values()))) > _MOST_SLOW:
        raise LimitExceeded(f"it gives a filter more than the {_MOST_SLOW} characters that this one takes")


LISTING = frozenset({"join", "list", "sort", "batch", "slice", "groupby"})  # they make a list of what they get
FILTERS: dict[str, Guard] = {
    **dict.fromkeys(("urlize", "xmlattr", "striptags", "wordwrap", "pprint"), slow),
    **dict.fromkeys(("int", "float"), number_read),
    **dict.fromkeys(("batch", "slice"), cut_in_lists),
    "center": padded,
    "replace": replaced,
    "indent": indented,
    "format": format_filter,
    "join": join_filter,
    "round": rounded,
    "sort": sort_filter,
    **dict.fromkeys(("wordcount", "title"), words),
    "sum": summed,
}


def indentation(indent: Any) -> None:
    if (len(indent) if isinstance(indent, str) else indent or 0) > _MOST_WIDTH:
        raise LimitExceeded("it indents JSON by a huge width")


def strftime(format: str) -> None:
    """Glibc pads a field to any width."""
    if len(format) > _MOST_WIDTH or _WIDTH.search(format):
        raise LimitExceeded("it formats the time with a huge width")
