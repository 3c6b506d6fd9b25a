"""llamakit beside llama.cpp on the same files: interleaved rounds, and the ratio of each pair.

    python scripts/bench_peers.py --llama-bench .../build/bin/llama-bench --models A.gguf B.gguf

A round measures both, one right after the other, in the order A B, B A, A B, ... with a pause in between; ratios are
taken within a round, so a machine that slows down for a minute slows both. Both warm up before each test. llamakit's
threads sleep while the peer runs. The last column is llamakit's share of what this machine can do at best, measured in
every round: read bandwidth for tg, the peak of int8 dots for pp. A round is marked as disturbed when other processes
used more than 0.3 of a CPU meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from llamakit.core.engine import limits
from llamakit.core.engine.context import Context
from llamakit.core.engine.load import Model, load_model
from llamakit.core.engine.threads import n_physical_cores
from llamakit.tools.bench import Grid, Runner, Workload

DISTURBED = 0.3  # CPUs that others may use


@dataclass(frozen=True)
class Pair:
    """One test of one round, in tokens a second; `share` is llamakit's of the limit."""

    llamakit: float
    peer: float
    share: float

    @property
    def ratio(self) -> float:
        return self.llamakit / self.peer


@dataclass(frozen=True)
class Round:
    """All tests of one model, once by each. `load` is the average before, `others` the CPUs used meanwhile."""

    model: str
    first: str
    load: float
    others: float
    tests: dict[str, Pair]


@dataclass(frozen=True)
class Summary:
    """One line of the table."""

    model: str
    test: str
    llamakit: float
    peer: float
    ratio: float
    ratio_min: float
    ratio_max: float
    percent_of_limit: float


class Others:
    """How much of the machine other processes used since this was made."""

    def __init__(self) -> None:
        self.start = self.now()

    @staticmethod
    def now() -> tuple[float, float]:
        """Seconds on the clock, and CPU seconds of everything but this process and its finished children."""
        user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
        busy = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
        return time.monotonic(), busy - sum(os.times()[:4])

    def n_cpus(self) -> float:
        clock, busy = self.now()
        return max(0.0, (busy - self.start[1]) / (clock - self.start[0]))


class Peer:
    """llama-bench; its shared libraries lie beside it."""

    def __init__(self, binary: Path, options: list[str]) -> None:
        self.binary, self.options = binary.resolve(), options
        folders = [str(self.binary.parent), os.environ.get("LD_LIBRARY_PATH", "")]
        self.environment = os.environ | {"LD_LIBRARY_PATH": os.pathsep.join(filter(None, folders))}

    def run(self, model: str, args: argparse.Namespace) -> dict[Workload, float]:
        """Tokens a second of each test."""
        numbers = {"-p": args.n_prompt, "-n": args.n_gen, "-d": args.n_depth, "-t": args.threads, "-r": 1}
        flags = [text for name, number in numbers.items() for text in (name, str(number))]
        command = [str(self.binary), "-m", model, *flags, "-o", "json", *self.options]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{done.stderr.strip()}")
        return {Workload(e["n_prompt"], e["n_gen"], e["n_depth"]): e["avg_ts"] for e in json.loads(done.stdout)}


class Ours:
    """One model of llamakit, kept open from round to round."""

    def __init__(self, model: Model, context: Context, grid: Grid, runner: Runner) -> None:
        self.model, self.context, self.runner = model, context, runner
        self.setup, self.tests = grid.setups()[0], grid.tests()

    def run(self) -> dict[Workload, tuple[float, float]]:
        """Tokens a second of each test, and their share of the limit."""
        limits.read_bandwidth.cache_clear()  # measured anew
        limits.int8_peak.cache_clear()
        found = {}
        for test in self.tests:
            result = self.runner.measure(self.setup, test, self.model, self.context, limits)
            found[test] = result.samples_ts[0], result.percent_of_limit / 100
        return found


def rounds_of(path: str, peer: Peer, args: argparse.Namespace) -> list[Round]:
    """Every round of one model."""
    grid = Grid([path], [args.n_prompt], [args.n_gen], (), [args.n_depth], n_threads=[args.threads])
    runner = Runner(repetitions=1)
    n_ctx = max(test.n_cells for test in grid.tests())
    with closing(load_model(path)) as model, closing(runner.open_context(model, grid.setups()[0], n_ctx)) as context:
        ours = Ours(model, context, grid, runner)
        return [one_round(i, path, ours, peer, args) for i in range(args.rounds)]


def one_round(i: int, path: str, ours: Ours, peer: Peer, args: argparse.Namespace) -> Round:
    """Both engines, llamakit first in even rounds."""
    load, others = os.getloadavg()[0], Others()
    measured: dict[str, dict[Workload, tuple[float, float]]] = {}

    def measure_ours() -> None:
        measured["llamakit"] = ours.run()

    def measure_peer() -> None:
        measured["peer"] = {test: (speed, 0.0) for test, speed in peer.run(path, args).items()}

    order: list[Callable[[], None]] = [measure_ours, measure_peer] if i % 2 == 0 else [measure_peer, measure_ours]
    for measure in order:
        time.sleep(args.pause)
        measure()
    tests = {
        test.name: Pair(speed, measured["peer"][test][0], share)
        for test, (speed, share) in measured["llamakit"].items()
    }
    done = Round(Path(path).name, "llamakit" if i % 2 == 0 else "peer", load, others.n_cpus(), tests)
    note(i, done)
    return done


def note(i: int, done: Round) -> None:
    """One line on stderr."""
    speeds = "   ".join(f"{name} {p.llamakit:.1f} / {p.peer:.1f} = {p.ratio:.2f}" for name, p in done.tests.items())
    warning = "   DISTURBED" if done.others > DISTURBED else ""
    print(
        f"{done.model} round {i + 1}: {speeds}   (load {done.load:.2f}, others {done.others:.2f} CPUs){warning}",
        file=sys.stderr,
        flush=True,
    )


def summaries(rounds: list[Round]) -> list[Summary]:
    """Medians over the rounds of one model, test by test."""
    lines = []
    for name in rounds[0].tests:
        pairs = [r.tests[name] for r in rounds]
        speeds = median(p.llamakit for p in pairs), median(p.peer for p in pairs)
        ratios = [p.ratio for p in pairs]
        share = median(p.share for p in pairs)
        lines.append(Summary(rounds[0].model, name, *speeds, median(ratios), min(ratios), max(ratios), 100 * share))
    return lines


def print_table(lines: list[Summary]) -> None:
    width = max(len(line.model) for line in lines)
    print(f"{'model':{width}}  {'test':14} {'llamakit':>9} {'llama.cpp':>9}  {'ratio':>6}  {'min..max':>12}  of limit")
    for s in lines:
        span = f"{s.ratio_min:.2f}..{s.ratio_max:.2f}"
        print(
            f"{s.model:{width}}  {s.test:14} {s.llamakit:9.1f} {s.peer:9.1f}  {s.ratio:5.2f}x  {span:>12}  "
            f"{s.percent_of_limit:6.1f} %"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llama-bench", type=Path, required=True, help="llama.cpp's bench binary")
    parser.add_argument("--models", nargs="+", required=True, metavar="FILE", help="GGUF files")
    parser.add_argument("-p", "--n-prompt", type=int, default=512, help="prompt tokens, 0: no such test (%(default)s)")
    parser.add_argument("-n", "--n-gen", type=int, default=128, help="generated tokens, 0: no such test (%(default)s)")
    parser.add_argument("-d", "--n-depth", type=int, default=0, help="tokens before each test (%(default)s)")
    parser.add_argument("-t", "--threads", type=int, default=n_physical_cores(), help="of both (%(default)s)")
    parser.add_argument("-r", "--rounds", type=int, default=5, help="at least 5 for a claim (%(default)s)")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds before each measurement (%(default)s)")
    parser.add_argument("--peer-option", action="append", default=[], metavar="TEXT", help="as in --peer-option=-fa")
    parser.add_argument("--json", action="store_true", help="rounds and medians as JSON instead of the table")
    args = parser.parse_args()
    if args.n_prompt < 1 and args.n_gen < 1:
        parser.error("nothing to measure: -p and -n are both 0")
    if args.rounds < 1:
        parser.error("-r: at least one round is needed")
    peer = Peer(args.llama_bench, args.peer_option)
    by_model = [rounds_of(path, peer, args) for path in args.models]
    lines = [line for rounds in by_model for line in summaries(rounds)]
    every = [done for rounds in by_model for done in rounds]
    if args.json:
        print(json.dumps({"summary": [asdict(s) for s in lines], "rounds": [asdict(r) for r in every]}, indent=1))
    else:
        print_table(lines)
    if n_disturbed := sum(done.others > DISTURBED for done in every):
        print(f"warning: other processes were busy in {n_disturbed} of {len(every)} rounds", file=sys.stderr)


if __name__ == "__main__":
    main()
