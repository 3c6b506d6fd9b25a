"""Every family: keys and tensors of a tiny checkpoint are what they were when they were compared with others' tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamakit.core.models.registry import names

from .layouts import LAYOUTS, digest, open_source, plain


@pytest.mark.parametrize("name", LAYOUTS)
def test_keys_and_tensors_are_those_that_were_compared(name: str, tmp_path: Path) -> None:
    layout = LAYOUTS[name]
    source = open_source(layout, tmp_path)
    assert source.mapped.unknown == []
    assert source.family.gguf_arch.replace("-", "_") in names()
    assert plain(source.family.keys()) == layout["keys"]
    assert digest(source.mapped) == layout["digest"]
