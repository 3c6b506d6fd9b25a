"""A step that is no kernel: a call back into Python, see `engine/hooks.py`."""

from __future__ import annotations

from llamakit.core.simd.records import Record, i64


class Hook(Record):
    """Which of the watched values it is."""

    number: i64
