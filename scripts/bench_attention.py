"""Attention alone: prefill against the machine's f32 FMA peak, decode against its read bandwidth.

Layers take turns in one round, so decode finds no cache line of the last step; medians of interleaved rounds.

    python scripts/bench_attention.py [--depth 4096] [--heads 32,8,64] [--types f16,q8_0] [--threads 2]
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from llamakit.core.graph.memory import aligned
from llamakit.core.kernels.attention import Attention, scratch_bytes, tile_columns, tile_rows
from llamakit.core.kernels.batch import Batch
from llamakit.core.kernels.store import Kernels, KernelStore
from llamakit.core.kv.cache import KVCache, LayerShape
from llamakit.core.simd.records import Record

SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
N_PREFILL = 512


class Case:
    """One cell type and one number of tokens at the end of `depth` positions, over several layers."""

    def __init__(self, args: argparse.Namespace, name: str, n_tokens: int) -> None:
        n_head, n_head_kv, dim = args.heads
        n_layers = args.layers if n_tokens == 1 else 1
        cache = KVCache([LayerShape(n_head_kv, dim, dim)] * n_layers, args.depth, name, name)
        rng = np.random.default_rng(0)
        for memory in cache.keys + cache.values:  # small finite numbers in every type
            memory[:] = rng.integers(0, 0x3C, memory.shape, np.uint8)
        cache.place([(0, args.depth - n_tokens)] if args.depth - n_tokens <= cache.n_batch else [])
        cache.positions, cache.cells = np.zeros((2, args.depth), np.int32)
        cache.clear()
        cache.place([(0, args.depth - n_tokens)])
        cache.place([(0, n_tokens)])
        self.q = rng.normal(size=(n_tokens, n_head * dim)).astype(np.float32)
        self.out = np.zeros_like(self.q)
        rows = tile_rows(n_head, n_head_kv, n_tokens, args.threads)
        n_scratch = scratch_bytes(args.depth, dim, dim, rows)
        self.cache, self.scratch = cache, aligned(args.threads * n_scratch)
        batch = Batch(
            n_tokens=n_tokens, n_outputs=0, n_runs=1, tokens=None, positions=cache.positions, cells=cache.cells,
            outputs=None, runs=cache.runs.view(np.uint8), tables=cache.tables,
        )  # fmt: skip
        self.records: list[Record] = [
            Attention(
                batch=batch, q=self.q, keys=keys, values=values, out=self.out, slopes=None, sinks=None,
                bias=None, bias_zero=0, part=0, is_chunked=0,
                scratch=self.scratch, scratch_pitch=n_scratch, q_pitch=n_head * dim, out_pitch=n_head * dim,
                n_head=n_head, n_head_kv=n_head_kv, head_dim=dim, head_dim_v=dim,
                key_bytes=cache.type_k.key_bytes(dim), value_bytes=cache.type_v.value_bytes(dim), window=0,
                is_causal=1, scale=dim**-0.5, softcap=0.0,
            )
            for keys, values in zip(cache.keys, cache.values, strict=True)
        ]  # fmt: skip
        self.kernel = f"attention.attend[{name},{name},{rows},{tile_columns(rows)}]"
        self.n_bytes = sum(m.nbytes for m in cache.keys + cache.values) / n_layers
        self.flops = 4 * n_head * dim * sum(args.depth - i for i in range(n_tokens))
        self.times: list[float] = []

    def run(self, kernels: Kernels, pool: ThreadPoolExecutor, n_threads: int) -> None:
        call = SIGNATURE(kernels[self.kernel])

        def part(thread: int) -> None:
            for record in self.records:
                call(record.data.ctypes.data, thread, n_threads)

        start = time.perf_counter()
        list(pool.map(part, range(n_threads)))
        self.times.append((time.perf_counter() - start) / len(self.records))

    @property
    def seconds(self) -> float:
        return statistics.median(self.times)


def read_bandwidth(pool: ThreadPoolExecutor, n_threads: int) -> Callable[[], float]:
    """A function that measures bytes a second, reading 256 MB a thread."""
    arrays = [np.ones(1 << 26, np.float32) for _ in range(n_threads)]

    def measure() -> float:
        start = time.perf_counter()
        list(pool.map(np.max, arrays))
        return sum(a.nbytes for a in arrays) / (time.perf_counter() - start)

    return measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depth", type=int, default=4096)
    parser.add_argument("--heads", type=lambda s: tuple(map(int, s.split(","))), default=(32, 8, 64))
    parser.add_argument("--types", type=lambda s: s.split(","), default=["f32", "f16", "bf16", "q8_0"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    cases = {name: (Case(args, name, N_PREFILL), Case(args, name, 1)) for name in args.types}
    kernels = KernelStore().load(sorted({case.kernel for pair in cases.values() for case in pair}))
    with ThreadPoolExecutor(args.threads) as pool:
        measure = read_bandwidth(pool, args.threads)
        bandwidth = []
        for _ in range(args.rounds):
            bandwidth.append(measure())
            for pair in cases.values():
                for case in pair:
                    case.run(kernels, pool, args.threads)
    print(f"read bandwidth {statistics.median(bandwidth) / 1e9:.1f} GB/s, depth {args.depth}, heads {args.heads}")
    for name, (prefill, decode) in cases.items():
        print(
            f"{name:5} prefill {prefill.seconds * 1e3:7.1f} ms {prefill.flops / prefill.seconds / 1e9:6.0f} GFLOP/s   "
            f"decode {decode.seconds * 1e6:6.0f} us {decode.n_bytes / decode.seconds / 1e9:5.1f} GB/s"
        )


if __name__ == "__main__":
    main()
