"""`python -m llamakit`, and the `llamakit` command."""

from __future__ import annotations

import gc
import os
import sys
from io import TextIOWrapper


def main() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # None where the shell closed it
            stream.reconfigure(encoding="utf-8", errors="replace")  # text is UTF-8 whatever the locale says
    # NumPy's BLAS has nothing to multiply here: starting its threads would cost 0.1 s of CPU time.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # A start makes 10^5 objects, and they stay: to look for garbage among them, then and at the end, takes 50 ms.
    gc.set_threshold(100_000, 20, 20)
    from llamakit.cli.app import run

    code = run(sys.argv[1:])
    gc.freeze()
    sys.exit(code)


if __name__ == "__main__":
    main()
