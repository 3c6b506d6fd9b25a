"""llamakit quantize beside llama-quantize on the same file: interleaved rounds, whole commands from start to end.

    python scripts/bench_quantize.py --llama-quantize .../build/bin/llama-quantize MODEL-F16.gguf [--types Q4_K_M Q8_0]

Both write to a folder of their own and start with the file in the page cache; the first round of each type only warms
up (llamakit compiles its kernels then). A ratio is that of one round, the order within it alternates, and the table
has medians. CPU is the processor time of a command and its threads: what is left of a comparison on a busy machine.
`same` is the share of tensors whose bytes are those of the peer.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from llamakit.core.gguf.reader import GGUFReader

TYPES = ("Q4_K_M", "Q8_0", "Q4_0", "Q5_0", "Q2_K", "Q3_K_M", "Q5_K_M", "Q6_K", "IQ4_NL", "IQ4_XS")
NEED_IMATRIX = ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ3_XXS", "IQ3_XS", "Q2_K_S")


@dataclass(frozen=True)
class Cost:
    """Seconds of one command."""

    wall: float
    cpu: float


def measure(command: Sequence[str], environment: dict[str, str]) -> Cost:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def same_tensors(ours: Path, theirs: Path) -> str:
    with GGUFReader(ours) as a, GGUFReader(theirs) as b:
        names = [tensor.name for tensor in a.tensors]
        n_same = sum(a.tensor(name).data.tobytes() == b.tensor(name).data.tobytes() for name in names)
        return f"{n_same}/{len(names)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--llama-quantize", type=Path, required=True)
    parser.add_argument("--types", nargs="+", default=TYPES)
    parser.add_argument("--imatrix", type=Path, help="given to both, for all types")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()

    environment = os.environ | {"LD_LIBRARY_PATH": str(arguments.llama_quantize.parent)}
    extra = ["--imatrix", str(arguments.imatrix)] if arguments.imatrix else []
    print(f"{'type':8} {'llamakit':>9} {'peer':>9} {'ratio':>6} {'CPU':>9} {'peer':>9} {'ratio':>6}  same")
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder) / "ours.gguf", Path(folder) / "theirs.gguf"
        for name in arguments.types:
            if name in NEED_IMATRIX and not arguments.imatrix:
                print(f"{name:8} needs --imatrix")
                continue
            commands = {
                "ours": [sys.executable, "-m", "llamakit", "quantize", *extra, str(arguments.model), str(ours)],
                "theirs": [str(arguments.llama_quantize), *extra, str(arguments.model), str(theirs)],
            }
            rounds: list[dict[str, Cost]] = []
            for i in range(arguments.rounds + 1):
                order = sorted(commands, reverse=i % 2 == 1)
                rounds.append(
                    {who: measure([*commands[who], name, str(arguments.threads)], environment) for who in order}
                )
            print(row(name, rounds[1:]), same_tensors(ours, theirs), flush=True)


def row(name: str, rounds: list[dict[str, Cost]]) -> str:
    def columns(times: list[tuple[float, float]]) -> str:
        ratio = median(ours / theirs for ours, theirs in times)
        return f"{median(t[0] for t in times):8.2f}s {median(t[1] for t in times):8.2f}s {ratio:6.2f}"

    wall = columns([(r["ours"].wall, r["theirs"].wall) for r in rounds])
    cpu = columns([(r["ours"].cpu, r["theirs"].cpu) for r in rounds])
    return f"{name:8} {wall} {cpu} "


if __name__ == "__main__":
    main()
