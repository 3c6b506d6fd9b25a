"""Each kernel against what this machine can do at best, one table.

    python scripts/bench_kernels.py [--types q4_k,q8_0] [--cells f16] [--threads 1,2]

Records are lowered as a model's are. Products of one row read a matrix far larger than the caches and are held against
the read bandwidth; products of many rows against the peak of int8 dots, of bf16 dots or of float32 FMAs; attention of
many tokens against the FMA peak, of one token against the read bandwidth. What works on activations alone (quantize,
norm, rope) is given as bytes of x: these lie in a cache, so the share of the read bandwidth may pass 100 %.

All four limits are measured, right before the kernels of each group in every round; shares are medians of the rounds'
own ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import reduce
from pathlib import Path
from statistics import median
from typing import cast

import numpy as np
from float_peaks import compile_peak, float_instructions, n_accumulators

from llamakit.core.engine.limits import OPS_A_DOT
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.types import GGMLType
from llamakit.core.graph.executor import Executor
from llamakit.core.graph.fuse import fuse
from llamakit.core.graph.fused import RopeAttention
from llamakit.core.graph.lower.lowering import Memory, lower
from llamakit.core.graph.memory import aligned
from llamakit.core.graph.ops import Add, Embed, Linear, Node, RmsNorm, Tokens, Weight
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.graph.plan import Capacity
from llamakit.core.graph.program import Program, Step, link
from llamakit.core.graph.weights import Weights, find_tile
from llamakit.core.kernels.batch import Batch
from llamakit.core.kernels.kv_cells import CELL_TYPES
from llamakit.core.kernels.limits import Limit, n_chains
from llamakit.core.kernels.store import Kernels, KernelStore
from llamakit.core.kv.cache import KVCache, LayerShape
from llamakit.core.quants import available, parse_type, quantize
from llamakit.core.simd.records import Record
from llamakit.errors import ModelError

WIDTH = 2048  # columns of weights, and rows of those that many rows of x are multiplied with
Works = dict[str, tuple[float, str]]  # by family of kernels: what one step does, and the limit it is held against
SAMPLE_SECONDS = 3e-3  # a kernel is repeated until a sample takes about so long
UNITS = {"read": "GB/s", "int8": "Gop/s", "bf16": "GFLOP/s", "f32": "GFLOP/s"}


@dataclass
class Case:
    """Steps that one kernel takes; `work` is what they do in all: bytes read, or products and sums."""

    kernel: str
    steps: list[Step]
    work: float
    limit: str


class Machine:
    """Threads and kernels; the limits are kernels like any other."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.store, self.kernels = KernelStore(), Kernels()
        self.libraries: list[object] = []  # they own the kernels' code
        self.add(self.store.load([*Executor.KERNELS, *Weights.KERNELS, "limits.read", f"limits.dots[{n_chains()}]"]))
        self.executor = Executor(self.kernels, max(args.threads))
        source, out = aligned(args.megabytes << 20), aligned(64 * max(args.threads)).view(np.float32)
        source.view(np.float32)[:] = 1
        self.limit = Limit(source=source, n_bytes=source.nbytes, n_rounds=args.limit_rounds, out=out)
        n_dots = args.limit_rounds * n_chains() * OPS_A_DOT  # of each thread
        self.limits = [
            Case("limits.read", [Step("limits.read", self.limit)], source.nbytes, "read"),
            Case("limits.dots", [Step(f"limits.dots[{n_chains()}]", self.limit)], n_dots, "int8"),
        ]
        for name, instruction in float_instructions().items():
            self.add(compile_peak(name, instruction))
            work = args.limit_rounds * n_accumulators() * instruction.n_operations
            self.limits.append(Case(name, [Step(name, self.limit)], work, name))

        self.samples: dict[tuple[str, int], list[float]] = defaultdict(list)  # of limits, by name and threads

    def add(self, kernels: Kernels) -> None:
        self.kernels.update(kernels)
        self.libraries.append(kernels.library)

    def run(self, kernel: str, record: Record) -> None:
        self.executor.run(link([Step(kernel, record)], self.kernels))

    def program(self, steps: list[Step]) -> Program:
        names = {step.kernel for step in steps}
        if missing := sorted(names - self.kernels.keys()):
            self.add(self.store.load(missing))
        return link(steps, self.kernels)

    def seconds(self, program: Program, n_threads: int) -> float:
        start = time.perf_counter()
        self.executor.run(program, n_threads)
        return time.perf_counter() - start

    def measure_limits(self, n_threads: int) -> dict[str, float]:
        """Bytes, or operations, a second."""
        rates = {}
        for case in self.limits:
            n_workers = 1 if case.limit == "read" else n_threads  # bytes are shared out, rounds are each thread's own
            rates[case.limit] = n_workers * case.work / self.seconds(self.program(case.steps), n_threads)
        rates.setdefault("bf16", rates["f32"])
        for name, rate in rates.items():
            self.samples[name, n_threads].append(rate)
        return rates


@dataclass(frozen=True)
class Stored:
    """A tensor as a file would give it."""

    data: np.ndarray
    type: GGMLType


class Tensors:
    """Stands in for a file's reader."""

    def __init__(self) -> None:
        self.path = Path("random")
        self.tensors: dict[str, Stored] = {}

    def random(self, n_rows: int, n_columns: int, type: str) -> Weight:
        """A few random rows over and over: speed does not depend on them."""
        few = np.random.default_rng(0).standard_normal((32, n_columns), np.float32) / np.float32(n_columns**0.5)
        name = f"tensor {len(self.tensors)}"
        self.tensors[name] = Stored(np.tile(quantize(few, type), (-(-n_rows // 32), 1))[:n_rows], parse_type(type))
        return Weight(name, (n_rows, n_columns), parse_type(type))

    def input(self, n_tokens: int, width: int) -> Node:
        return Embed(Tokens(), self.random(n_tokens, width, "f32"))

    def tensor(self, name: str) -> Stored:
        return self.tensors[name]

    def release(self, tensor: Stored) -> None:
        """Nothing to give back."""


def cases_of(
    machine: Machine, tensors: Tensors, root: Node, n_tokens: int, works: Works, cache: KVCache | None = None
) -> list[Case]:
    """The kernels of a graph that have a work."""
    none = np.zeros(n_tokens, np.int32)
    batch = Batch(
        n_tokens=n_tokens, n_outputs=0, n_runs=1, tokens=np.arange(n_tokens, dtype=np.int32), outputs=None,
        positions=cache.positions if cache else none, cells=cache.cells if cache else none,
        runs=cache.runs.view(np.uint8) if cache else None, tables=cache.tables if cache else None,
    )  # fmt: skip
    n_ctx = cache.n_ctx if cache else 1
    memory = Memory(
        Weights(cast(GGUFReader, tensors), machine.run), cast(KVCache, cache), batch, n_ctx, machine.executor.n_threads
    )
    lowered = lower(fuse(root), memory, Capacity(n_tokens, n_tokens))
    steps = [*lowered.body, *lowered.head]
    machine.executor.run(machine.program(steps))  # each kernel will find what those before it leave
    by_kernel = defaultdict(list)
    for step in steps:
        by_kernel[step.kernel].append(step)
    cases = []
    for kernel, own in by_kernel.items():
        family = kernel.partition(".")[0].rpartition("_")[2]  # float_gemv, bf16_gemv: gemv
        if family in works:
            work, limit = works[family]
            cases.append(Case(kernel, own, work * len(own), limit))
    for case in cases:
        case.steps[0].record.values["keeps"] = lowered.arena, memory  # what records hold is the address only
    return cases


def products(machine: Machine, type: str, args: argparse.Namespace) -> list[Case]:
    """One row times a matrix of args.megabytes, args.tokens rows times a square one, each behind a norm."""
    tensors, n = Tensors(), args.tokens
    row_bytes = quantize(np.zeros((1, WIDTH), np.float32), type).shape[1]
    large = tensors.random(max(1, (args.megabytes << 20) // row_bytes // 32) * 32, WIDTH, type)
    square = tensors.random(WIDTH, WIDTH, type)
    x = RmsNorm(tensors.input(n, WIDTH), tensors.random(1, WIDTH, "f32"), 1e-5)
    limit = {"f32": "f32", "f16": "bf16", "bf16": "bf16"}.get(type, "int8")
    one: Works = {"gemv": (large.n_rows * row_bytes, "read")}
    x_bytes = (4 * n * WIDTH, "read")
    many: Works = {"gemm": (2 * n * WIDTH * WIDTH, limit), "quantize": x_bytes, "norm": x_bytes, "bf16": x_bytes}
    return [
        *cases_of(machine, tensors, Linear(x, large), 1, one),
        *cases_of(machine, tensors, Linear(x, square), n, many),
    ]


def attention(machine: Machine, cell: str, args: argparse.Namespace) -> list[Case]:
    """args.tokens tokens at the end of args.depth positions, then one token over layers of args.megabytes in all."""
    n_head, n_head_kv, dim = args.heads
    shape, tensors, cases = LayerShape(n_head_kv, dim, dim), Tensors(), []
    positions = args.depth // 64 * 64
    layer_bytes = n_head_kv * positions // 64 * (CELL_TYPES[cell].key_bytes(dim) + CELL_TYPES[cell].value_bytes(dim))
    for n_tokens, n_layer in ((min(args.tokens, positions), 1), (1, max(1, (args.megabytes << 20) // layer_bytes))):
        cache = KVCache([shape] * n_layer, positions, cell, cell, n_batch=max(64, n_tokens))
        for memory in cache.keys + cache.values:  # small finite numbers in every type
            memory[:] = np.random.default_rng(0).integers(0, 0x3C, memory.shape, np.uint8)
        while (room := positions - n_tokens - cache.n_past()) > 0:
            cache.place([(0, min(room, cache.n_batch))])
        cache.place([(0, n_tokens)])
        width = (n_head + 2 * n_head_kv) * dim
        qkv, rotation = tensors.input(n_tokens, width), Rotation(dim, 10000.0)
        layers: list[Node] = [
            RopeAttention(
                qkv,
                qkv,
                qkv,
                (0, n_head * dim, (n_head + n_head_kv) * dim),
                n_head,
                n_head_kv,
                dim,
                dim,
                i,
                dim**-0.5,
                0,
                0.0,
                False,
                0.0,
                None,
                None,
                0.0,
                rotation,
                None,
            )
            for i in range(n_layer)
        ]
        flops = 4 * n_head * dim * sum(positions - i for i in range(n_tokens))
        works: Works = {"attention": (layer_bytes, "read")}
        if n_tokens > 1:
            works = {"attention": (flops, "f32"), "rope": (4 * n_tokens * width, "read")}
        cases += cases_of(machine, tensors, reduce(Add, layers), n_tokens, works, cache)
    return cases


def groups(machine: Machine, args: argparse.Namespace) -> Iterator[list[Case]]:
    """Kernels that are measured together; one that an earlier group had is left out."""
    seen: set[str] = set()
    made = [(products, name) for name in args.types] + [(attention, name) for name in args.cells]
    for make, name in made:
        new = [case for case in make(machine, name, args) if case.kernel not in seen]
        seen |= {case.kernel for case in new}
        yield new


@dataclass(frozen=True)
class Line:
    """Medians of one kernel: rates and shares by number of threads."""

    kernel: str
    limit: str
    rates: dict[int, float]
    shares: dict[int, float]


def measure(machine: Machine, cases: list[Case], args: argparse.Namespace) -> Iterator[Line]:
    """Rounds over all cases and numbers of threads; the limits first."""
    programs = []
    for case in cases:
        n_repeats = max(1, round(SAMPLE_SECONDS / machine.seconds(machine.program(case.steps), max(args.threads))))
        programs.append((case, machine.program(case.steps * n_repeats), n_repeats))
    rates, shares = defaultdict(list), defaultdict(list)
    for _ in range(args.rounds):
        for n_threads in args.threads:
            limits = machine.measure_limits(n_threads)
            for case, program, n_repeats in programs:
                rate = case.work * n_repeats / machine.seconds(program, n_threads)
                rates[case.kernel, n_threads].append(rate)
                shares[case.kernel, n_threads].append(rate / limits[case.limit])
    for case in cases:
        of_kernel = [{n: median(all[case.kernel, n]) for n in args.threads} for all in (rates, shares)]
        yield Line(case.kernel, case.limit, *of_kernel)


def quantized_types() -> list[str]:
    """Tensor types that have kernels."""

    def has_kernels(type: str) -> bool:
        try:
            return find_tile(parse_type(type), type) is not None
        except ModelError:
            return False

    return [name.lower() for name in available() if has_kernels(name)]


def limit_lines(machine: Machine, args: argparse.Namespace) -> list[Line]:
    """The limits themselves, medians of all rounds."""
    return [
        Line(name, name, {n: median(machine.samples[name, n]) for n in args.threads}, dict.fromkeys(args.threads, 1.0))
        for name in UNITS
    ]


def print_line(line: Line) -> None:
    columns = (f"{rate / 1e9:9.1f} {100 * line.shares[n]:6.1f} %" for n, rate in line.rates.items())
    print(
        f"{line.kernel:34} {UNITS[line.limit]:8} {line.limit:5}" + "".join(f"{text:>20}" for text in columns),
        flush=True,
    )


def names(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def numbers(text: str) -> list[int]:
    return [int(part) for part in names(text)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = [*quantized_types(), "f32", "f16", "bf16"]
    parser.add_argument("--types", type=names, default=every, help=f"of weights ({','.join(every)})")
    parser.add_argument(
        "--cells", type=names, default=list(CELL_TYPES), help=f"of the KV cache ({','.join(CELL_TYPES)})"
    )
    parser.add_argument("--threads", type=numbers, default=[1, 2], help="numbers of threads (1,2)")
    parser.add_argument("--tokens", type=int, default=512, help="rows of x where they are many (%(default)s)")
    parser.add_argument("--depth", type=int, default=2048, help="positions that attention sees (%(default)s)")
    parser.add_argument(
        "--heads", type=numbers, default=[32, 8, 64], help="query heads, key/value heads, size (32,8,64)"
    )
    parser.add_argument(
        "--megabytes", type=int, default=256, help="read by a sample of a memory-bound kernel (%(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=7, help="samples of each kernel (%(default)s)")
    parser.add_argument(
        "--limit-rounds", type=int, default=1_000_000, help="instructions / 12 that give a peak (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="bytes or operations a second, and shares, as JSON")
    args = parser.parse_args()

    machine = Machine(args)
    if not args.json:
        print(f"load average before: {os.getloadavg()[0]:.2f}")
        threads = "".join(f"{f'{n} thread' + 's' * (n > 1):>20}" for n in args.threads)
        print(f"{'kernel':34} {'unit':8} {'limit':5}{threads}")
    lines = []
    for cases in groups(machine, args):
        for line in measure(machine, cases, args):
            lines.append(line)
            if not args.json:
                print_line(line)
    limits = limit_lines(machine, args)
    if args.json:
        print(json.dumps({"limits": [asdict(n) for n in limits], "kernels": [asdict(n) for n in lines]}, indent=1))
        return
    print("\nmedians of the limits")
    for line in limits:
        print_line(line)


if __name__ == "__main__":
    main()
