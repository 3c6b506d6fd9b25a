"""Generation beside busy processes: tokens a second alone, beside 1, 2, ... endless loops, and alone again.

    python scripts/bench_busy.py MODEL.gguf [--neighbours 1 2] [--tokens 300]

With C cores and N neighbours a proportional share of 2 threads on 2 cores is 2 / (2 + N) of what they do alone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from contextlib import closing

from llamakit.core.engine.context import Context
from llamakit.core.engine.load import load_model


def tokens_a_second(context: Context, n_tokens: int) -> float:
    context.truncate(0)
    context.step(1)
    started = time.perf_counter()
    for _ in range(n_tokens):
        context.step(1)
    return n_tokens / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--neighbours", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--tokens", type=int, default=300)
    arguments = parser.parse_args()
    with closing(load_model(arguments.model)) as model, closing(Context(model, n_ctx=arguments.tokens + 8)) as context:
        tokens_a_second(context, arguments.tokens)  # warm
        for n in (0, *arguments.neighbours, 0):
            loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n)]
            try:
                speeds = [tokens_a_second(context, arguments.tokens) for _ in range(3)]
            finally:
                for loop in loops:
                    loop.kill()
            print(f"{n} neighbours: " + "  ".join(f"{speed:.1f}" for speed in speeds) + " tokens/s", flush=True)


if __name__ == "__main__":
    main()
