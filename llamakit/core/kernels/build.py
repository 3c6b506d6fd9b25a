"""Compile kernels in child processes: they import Numba so that this one need not, and an LLVM abort kills only them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from llamakit.errors import KernelError

ROOT = Path(__file__).parents[3]


def compile_kernels(names: list[str], folder: Path, n_processes: int, report: Callable[[str], None]) -> None:
    """Each child takes the next name as soon as it has finished one. Raises KernelError with the child's last words."""
    queue = iter(names)
    command = [sys.executable, "-m", "llamakit.core.kernels.compile", str(folder)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in (str(ROOT), os.environ.get("PYTHONPATH")) if p)}

    def feed(_: int) -> None:
        with subprocess.Popen(
            command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as child:
            assert child.stdin and child.stdout and child.stderr
            for name in queue:
                try:
                    print(name, file=child.stdin, flush=True)
                except BrokenPipeError:
                    pass  # the child is gone; its last words follow
                if not child.stdout.readline():
                    raise KernelError(f"kernel {name} does not compile:\n{child.stderr.read()}")
                report(name)
            child.stdin.close()

    with ThreadPoolExecutor(n_processes) as pool:
        list(pool.map(feed, range(n_processes)))
