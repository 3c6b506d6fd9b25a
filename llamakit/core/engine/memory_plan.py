"""Whether a model and its context fit this machine, said before anything is allocated."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from llamakit.core.engine.programs import OUTPUTS
from llamakit.core.graph.ops import Node, in_order
from llamakit.core.graph.ops.indexer import ChosenKeys
from llamakit.core.kernels.attention import MAX_ROWS
from llamakit.core.models.hparams import HParams
from llamakit.errors import ModelError


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes that a context will touch."""

    weights: int
    kv_cache: int
    buffers: int

    @property
    def total(self) -> int:
        return self.weights + self.kv_cache + self.buffers

    def check(self, path: Path, n_ctx: int) -> None:
        """Raises ModelError when more is needed than the machine, or its control group, has free."""
        free = free_memory()
        if free is not None and self.total > free:
            raise ModelError(
                f"{path}: needs {gigabytes(self.total)} of memory (weights {gigabytes(self.weights)}, KV cache for "
                f"{n_ctx} positions {gigabytes(self.kv_cache)}, buffers {gigabytes(self.buffers)}), but "
                f"{gigabytes(free)} are free; use a smaller context (-c) or a smaller type of KV cache (-ctk, -ctv)"
            )


def n_buffer_bytes(hp: HParams, n_vocab: int, n_ubatch: int, n_ctx: int, n_threads: int) -> int:
    """A bound of what activations, logits, angles of rotation and scores of attention take."""
    widest = max(hp.n_ff * max(1, hp.n_expert_used), hp.n_embd, hp.n_head * hp.head_dim)
    n_results = 2 * hp.n_expert_used  # of experts, and quantized rows for each
    activations = (n_ubatch + 8) * (2 * widest + (4 + n_results) * hp.n_embd)
    return 4 * (activations + OUTPUTS * n_vocab + n_ctx * (2 * hp.n_rot + MAX_ROWS * n_threads))


def n_index_bytes(root: Node, n_ubatch: int) -> int:
    """What scores of all keys take, of one indexer after the other, and the bits of what it has chosen."""
    numbers = [n.n_positions + n.width for n in in_order(root) if isinstance(n, ChosenKeys)]
    return 4 * n_ubatch * max(numbers, default=0)


def gigabytes(n: int) -> str:
    return f"{n / 2**30:.2f} GiB"


def free_memory() -> int | None:
    """Bytes that can be allocated without swapping; None where the system does not say."""
    limits = [n for n in (memory_available(), cgroup_available()) if n is not None]
    return min(limits) if limits else None


def memory_available() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def cgroup_available() -> int | None:
    """What a container's limit leaves (cgroup v2); the page cache counts as free."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
        if limit == "max":
            return None
        used = int((folder / "memory.current").read_text(encoding="ascii"))
        for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(" ")
            if name in ("inactive_file", "active_file"):
                used -= int(value)
        return int(limit) - used
    except (OSError, ValueError):
        return None
