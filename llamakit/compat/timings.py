"""How long the batches of a context took, in llama.cpp's structure."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator
from contextlib import contextmanager


class llama_perf_context_data(ctypes.Structure):
    """Milliseconds and tokens: of prompts (p_eval), and of single tokens (eval)."""

    _fields_ = (
        ("t_start_ms", ctypes.c_double), ("t_load_ms", ctypes.c_double), ("t_p_eval_ms", ctypes.c_double),
        ("t_eval_ms", ctypes.c_double), ("n_p_eval", ctypes.c_int32), ("n_eval", ctypes.c_int32),
        ("n_reused", ctypes.c_int32),
    )  # fmt: skip


class Timings:
    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.data = llama_perf_context_data(t_start_ms=time.perf_counter() * 1e3)

    @contextmanager
    def of(self, n_tokens: int) -> Iterator[None]:
        """Add the time until the end; where it ends with an error, nothing is added."""
        begun = time.perf_counter()
        yield
        spent = (time.perf_counter() - begun) * 1e3
        if n_tokens > 1:
            self.data.t_p_eval_ms += spent
            self.data.n_p_eval += n_tokens
        else:
            self.data.t_eval_ms += spent
            self.data.n_eval += 1

    def text(self) -> str:
        """Two lines, for people."""
        d = self.data
        return "\n".join(
            f"{what:>11}: {ms:10.2f} ms / {n:5d} tokens ({1e3 * n / ms if ms else 0:8.2f} tokens per second)"
            for what, ms, n in (("prompt eval", d.t_p_eval_ms, d.n_p_eval), ("eval", d.t_eval_ms, d.n_eval))
        )
