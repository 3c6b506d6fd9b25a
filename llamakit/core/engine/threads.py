"""How many threads a machine is good for."""

from __future__ import annotations

import os
from pathlib import Path


def n_physical_cores() -> int:
    """Cores that this process may use, siblings of one core counted once."""
    try:
        cpus = sorted(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        cpus = list(range(os.cpu_count() or 1))
    siblings = set()
    for cpu in cpus:
        try:
            path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
            siblings.add(path.read_text(encoding="ascii"))
        except OSError:
            siblings.add(str(cpu))
    return max(1, len(siblings))
