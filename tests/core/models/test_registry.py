"""Architectures are found by their files' names, and listed for readers."""

from __future__ import annotations

import re
from pathlib import Path

from llamakit.core.models import registry

LIST = Path(__file__).parents[3] / "docs" / "architectures.md"


def test_the_list_for_readers_is_whole():
    listed = re.findall(r"^\| `(\S+)` \|", LIST.read_text(), re.M)
    assert sorted(name.replace("-", "_") for name in listed) == list(registry.names())
