"""Instructions are believed after they were seen to work: once for each CPU and compiler, against NumPy."""

from __future__ import annotations

import ctypes
import logging
from typing import TYPE_CHECKING

import numpy as np

from llamakit.core.kernels.probe import Probe
from llamakit.core.simd.target import fall_back, host_target

if TYPE_CHECKING:
    from llamakit.core.kernels.store import Kernels, KernelStore

log = logging.getLogger(__name__)


def check(store: KernelStore) -> None:
    """Leave the mark that all is well; or warn, and use plain LLVM IR in place of the intrinsics from now on."""
    from llamakit.core.kernels.store import key

    if wrong := failures(store.link(["probe.dots"], 1, lambda name: None)):
        log.warning(
            "%s gives wrong results on %s (%s); kernels use slower instructions instead",
            " and ".join(wrong), host_target().cpu, "LLVM's intrinsic, or the emulator of this machine",
        )  # fmt: skip
        fall_back()
        key.cache_clear()
        store.link(["probe.dots"], 1, lambda name: None)
    store.passed().touch(mode=0o600)


def failures(kernels: Kernels) -> list[str]:
    """The operations whose results are not NumPy's."""
    rng = np.random.default_rng(0)
    low, wide = rng.integers(0, 128, 64, dtype=np.uint8), rng.integers(0, 256, 64, dtype=np.uint8)
    signed = rng.integers(-127, 128, 64).astype(np.int8)
    low[:4], wide[:4], signed[:4] = 127, 255, -127  # the largest sums
    halves = rng.standard_normal(16).astype(np.float16)
    out = np.zeros(200, np.uint8)
    record = Probe(low=low, wide=wide, signed=signed, halves=halves.view(np.uint8), out=out)
    entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(kernels["probe.dots"])
    entry(record.data.ctypes.data, 0, 1)

    def dots(u: np.ndarray) -> np.ndarray:
        return 1 + (u.astype(np.int32) * signed).reshape(16, 4).sum(axis=1)

    bias = 0 if out.view(np.int64)[24] else 128
    checks = {
        "the dot of bytes": np.array_equal(out.view(np.int32)[:16], dots(low)),
        "the dot of wide bytes": np.array_equal(out.view(np.int32)[16:32], dots(wide.astype(np.int32) - bias)),
        "the conversion of half floats": np.array_equal(out.view(np.float32)[32:48], halves.astype(np.float32)),
    }
    return [what for what, is_right in checks.items() if not is_right]
