"""What the library itself can."""

from __future__ import annotations

import time
from typing import Any

from llamakit import __version__
from llamakit.core.engine.threads import n_physical_cores


def llama_backend_init(numa: bool = False) -> None:
    """Nothing is to begin."""


def llama_backend_free() -> None:
    """Nor to end."""


def llama_numa_init(numa: int) -> None:
    """Threads stay where the system puts them."""


def llama_log_set(log_callback: Any, user_data: Any) -> None:
    """Nothing is called: what is to say goes to Python's `logging`, below "llamakit"."""


def llama_supports_mmap() -> bool:
    return True


def llama_supports_mlock() -> bool:
    return False


def llama_supports_gpu_offload() -> bool:
    return False


def llama_supports_rpc() -> bool:
    return False


def llama_max_devices() -> int:
    return 1


def llama_max_parallel_sequences() -> int:
    return 256


def llama_print_system_info() -> bytes:
    """The processor, and how many of its cores."""
    from llvmlite import binding

    return f"{binding.get_host_cpu_name()}, {n_physical_cores()} cores | llamakit {__version__}".encode()


def llama_time_us() -> int:
    return time.perf_counter_ns() // 1000
