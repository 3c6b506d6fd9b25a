from __future__ import annotations

import pytest

from llamakit.core.sampling.chain import load_kernels
from tests.stages import KERNELS


@pytest.fixture(scope="session", autouse=True)
def all_kernels_at_once():
    """Faster than one by one, as the tests would ask for them."""
    load_kernels(*KERNELS)
