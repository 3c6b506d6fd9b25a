from __future__ import annotations

import pytest

from tests.api.model import TINY
from tests.tiny import write_tiny


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return str(write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", TINY))
