"""`python -m llamakit`, and the `llamakit` command."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper


def main() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # None where the shell closed it
            stream.reconfigure(encoding="utf-8", errors="replace")  # text is UTF-8 whatever the locale says
    # NumPy's BLAS has nothing to multiply here: starting its threads would cost 0.1 s of CPU time.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from llamakit.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
