"""Real kills: a piece of work is run again and again, each time killed one step further on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DRIVER = """
import os, signal, sys

def kill_at(step):
    '''Replace what changes the disk: at call `step` a SIGKILL comes before it is done.'''
    left = [step]
    def wrap(call):
        def counted(*args, **more):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return call(*args, **more)
        return counted
    for name in ("pwrite", "ftruncate", "fsync", "replace", "unlink"):
        setattr(os, name, wrap(getattr(os, name)))

for step in range(1000):
    if os.fork() == 0:
        kill_at(step)
        work(step)
        os._exit(0)
    status = os.wait()[1]
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0
        print(step)
        break
"""


def kill_at_each_step(code: str, folder: Path) -> int:
    """Kill `work(step)`, which `code` defines, before each change it makes on the disk; returns how many there are.

    It runs in `folder`, in a process of its own for each step; the last run, with that number, is not killed.
    """
    root = str(Path(__file__).parents[1])
    script = f"import sys; sys.path.insert(0, {root!r})\n{code}\n{DRIVER}"
    process = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    return int(process.stdout)
