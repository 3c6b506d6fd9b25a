"""All kernels that pack rows are compiled together: one after the other, they take three times as long."""

from __future__ import annotations

import pytest

from llamakit.core.gguf.types import GGMLType
from llamakit.core.quants import available, find_type
from llamakit.core.quants.packing import prepare


@pytest.fixture(scope="session", autouse=True)
def kernels() -> None:
    types = [GGMLType[name] for name in available()]
    prepare([type for type in types if not find_type(type).needs_imatrix], has_imatrix=False)
    prepare(types, has_imatrix=True)
