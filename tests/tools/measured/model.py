"""A tiny model with a vocabulary, a text for it, and a search small enough for tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from llamakit.tools.measured.search import Settings
from tests.api.model import TINY
from tests.tiny import write_tiny

F16 = replace(TINY, type="f16", is_tied=True)
WORDS = "the cat teaches a cheating cat that each theatre thaws at tea".split()
TEXT = " ".join(np.random.default_rng(1).choice(WORDS, 400))
SMALL = Settings(n_tokens=64, n_ctx=32, n_imatrix_chunks=4, n_held_out=128, n_threads=2)


def write_model(path: Path) -> Path:
    return write_tiny(path, F16)
