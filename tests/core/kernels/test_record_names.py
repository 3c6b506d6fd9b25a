"""Records are known to the compiler by their names."""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from pathlib import Path

from llamakit.core import kernels
from llamakit.core.simd.records import Record

COMPILER = {"__init__", "jit", "compile"}  # import Numba


def below(record: type) -> set[type]:
    return {record}.union(*(below(each) for each in record.__subclasses__()))


def test_no_two_records_of_kernels_have_one_name():
    """Two kernels of a process would take each other's fields for their own."""
    for path in Path(str(kernels.__path__[0])).glob("*.py"):
        if path.stem not in COMPILER:
            import_module(f"{kernels.__name__}.{path.stem}")
    names = Counter(r.__name__ for r in below(Record) if r.__module__.startswith(kernels.__name__))
    assert [name for name, n in names.items() if n > 1] == []
    assert len(names) > 30
