"""Compile kernels in child processes: they import Numba so that this one need not; an LLVM abort kills only them."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from llamakit.errors import KernelError

ROOT = Path(__file__).parents[3]
IDLE_SECONDS = 3.0  # a child waits so long for more work: its import of Numba took half a second


class Compiler:
    """A child that compiles one kernel after the other into a folder."""

    def __init__(self, folder: Path) -> None:
        path = os.pathsep.join(p for p in (str(ROOT), os.environ.get("PYTHONPATH")) if p)
        self.folder, self.environment = folder, dict(os.environ)
        self.child = subprocess.Popen(
            [sys.executable, "-m", "llamakit.core.kernels.compile", str(folder)],
            env=self.environment | {"PYTHONPATH": path},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us: we close the child's input
        )

    def compile(self, name: str) -> None:
        """Raises KernelError with the child's last words."""
        assert self.child.stdin and self.child.stdout and self.child.stderr
        try:
            print(name, file=self.child.stdin, flush=True)
        except BrokenPipeError:
            pass  # the child is gone; its last words follow
        if not self.child.stdout.readline():
            raise KernelError(f"kernel {name} does not compile:\n{self.child.stderr.read()}")

    def fits(self, folder: Path) -> bool:
        """Whether a new child for this folder would be the same."""
        return self.folder == folder and self.environment == dict(os.environ) and self.child.poll() is None

    def close(self) -> None:
        with self.child:
            if self.child.stdin:
                self.child.stdin.close()


class Pool:
    """Children that wait a moment for more work, as a start compiles in several steps."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[Compiler] = []

    def take(self, folder: Path) -> Compiler:
        with self._lock:
            for compiler in self._idle:
                if compiler.fits(folder):
                    self._idle.remove(compiler)
                    return compiler
        return Compiler(folder)

    def give_back(self, compiler: Compiler) -> None:
        with self._lock:
            self._idle.append(compiler)
        timer = threading.Timer(IDLE_SECONDS, self._close_if_idle, [compiler])
        timer.daemon = True
        timer.start()

    def _close_if_idle(self, compiler: Compiler) -> None:
        with self._lock:
            if compiler not in self._idle:
                return
            self._idle.remove(compiler)
        compiler.close()

    def close(self) -> None:
        """End all that are idle."""
        with self._lock:
            compilers, self._idle = self._idle, []
        for compiler in compilers:
            compiler.close()


POOL = Pool()
atexit.register(POOL.close)


def compile_kernels(names: list[str], folder: Path, n_processes: int, report: Callable[[str], None]) -> None:
    """Each child takes the next name as soon as it has finished one. Raises KernelError with the child's last words."""
    queue = iter(names)

    def feed(_: int) -> None:
        compiler = None
        try:
            for name in queue:
                compiler = compiler or POOL.take(folder)
                compiler.compile(name)
                report(name)
        except BaseException:
            if compiler:
                compiler.close()
            raise
        if compiler:
            POOL.give_back(compiler)

    with ThreadPoolExecutor(n_processes) as pool:
        list(pool.map(feed, range(n_processes)))
