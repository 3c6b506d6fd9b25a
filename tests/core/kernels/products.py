"""Products of activations with packed weights, run as a model's are: lowered for one row or for many."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.graph.executor import Executor
from llamakit.core.graph.fuse import fuse
from llamakit.core.graph.lower.lowering import Lowered, Memory, lower
from llamakit.core.graph.ops import Embed, Linear, Node, Tokens, Weight
from llamakit.core.graph.plan import Capacity
from llamakit.core.graph.program import Step, link
from llamakit.core.graph.weights import Packed, Weights
from llamakit.core.kernels.batch import Batch
from llamakit.core.kernels.quantize import FULL
from llamakit.core.kernels.store import Kernels, KernelStore
from llamakit.core.quants import dequantize, find_type, parse_type, quantize
from llamakit.core.simd.records import Record

QUANTIZED = (
    "q1_0", "q2_0", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_nl", "iq4_xs",
    "iq3_s", "iq3_xxs", "iq2_s", "iq2_xs", "iq2_xxs", "iq1_s", "iq1_m", "tq1_0", "tq2_0", "mxfp4", "nvfp4",
)  # fmt: skip
FLOATS = ("f32", "f16", "bf16")
TYPES = (*QUANTIZED, *FLOATS)
KINDS = ("one by one", "together")  # GEMV, GEMM
FEW = "a few together"


@dataclass(frozen=True)
class Stored:
    """A tensor as a file would give it."""

    data: np.ndarray
    type: GGMLType


class Arrays:
    """Stands in for a reader, and names the tensors it is given."""

    def __init__(self) -> None:
        self.path = Path("arrays")
        self.tensors: dict[str, Stored] = {}

    def add(self, data: np.ndarray, type: str, n_columns: int | None = None) -> Weight:
        """A tensor of bytes (..., row_bytes), or of numbers."""
        kind = parse_type(type)
        name = f"tensor {len(self.tensors)}"
        self.tensors[name] = Stored(data, kind)
        return Weight(name, (*data.shape[:-1], n_columns or data.shape[-1]), kind)

    def floats(self, numbers: np.ndarray) -> Weight:
        return self.add(np.ascontiguousarray(numbers, np.float32), "f32")

    def input(self, x: np.ndarray) -> Node:
        """A node whose rows are those of x, for tokens 0, 1, ..."""
        return Embed(Tokens(), self.floats(x))

    def tensor(self, name: str) -> Stored:
        return self.tensors[name]

    def release(self, tensor: Stored) -> None:
        """Nothing to give back."""


@functools.cache
def executor(n_threads: int) -> tuple[Executor, Kernels]:
    kernels = KernelStore().load([*Executor.KERNELS, *Weights.KERNELS])
    return Executor(kernels, n_threads), kernels


def weights(arrays: Arrays, n_threads: int = 1) -> Weights:
    threads, kernels = executor(n_threads)

    def run(name: str, record: Record) -> None:
        threads.run(link([Step(name, record)], kernels))

    return Weights(arrays, run)


def pack(arrays: Arrays, *parts: Weight, is_interleaved: bool = False) -> Packed:
    return weights(arrays).pack(parts, is_interleaved)


class Bench:
    """A graph's program for one row or for many."""

    def __init__(self, root: Node, arrays: Arrays, n_tokens: int, kind: str, n_threads: int = 1) -> None:
        self.root, self.n_tokens, self.n_threads = root, n_tokens, n_threads
        self.n_rows = 1 if kind == KINDS[0] else max(2, n_tokens)
        self.tokens = np.zeros(max(1, self.n_rows), np.int32)
        self.batch = Batch(n_tokens=0, n_outputs=0, n_runs=0, tokens=self.tokens, positions=None, cells=None,
                           outputs=None, runs=None, tables=None)  # fmt: skip
        memory = Memory(weights(arrays, n_threads), None, self.batch, 64, n_threads)
        self.lowered: Lowered = lower(fuse(root), memory, Capacity(self.n_rows, self.n_rows, is_few=kind == FEW))

    @property
    def steps(self) -> list[Step]:
        return [*self.lowered.body, *self.lowered.head]

    def run(self) -> np.ndarray:
        """All columns that the program has memory for: those of the root, then padding.   -> (n_tokens, pitch)"""
        program = link(self.steps, KernelStore().load(sorted({step.kernel for step in self.steps})))
        rows = []
        for first in range(0, self.n_tokens, self.n_rows):
            n = min(self.n_rows, self.n_tokens - first)
            self.tokens[:n] = np.arange(first, first + n)
            self.batch.data["n_tokens"] = n
            self.lowered.arena[:] = 0xA5  # what an earlier run left behind must not matter
            executor(self.n_threads)[0].run(program)
            rows.append(self.lowered.logits[:n].copy())
        return np.concatenate(rows)


def evaluate(root: Node, arrays: Arrays, n_tokens: int, kind: str, n_threads: int = 1) -> np.ndarray:
    """(n_tokens, width); the padding behind must be zero."""
    rows = Bench(root, arrays, n_tokens, kind, n_threads).run()
    assert not rows[:, root.width :].any()
    return rows[:, : root.width]


def multiply(rows: np.ndarray, type: str, x: np.ndarray, kind: str, n_threads: int = 1) -> np.ndarray:
    """x W^T.   rows: W's bytes"""
    arrays = Arrays()
    return evaluate(linear(arrays, arrays.input(x), rows, type), arrays, len(x), kind, n_threads)


def linear(arrays: Arrays, x: Node, rows: np.ndarray, type: str, **terms: np.ndarray) -> Linear:
    """A product whose weight has these bytes; `scale` and `bias` may be given as numbers."""
    weight = arrays.add(rows, type, x.width)
    return replace(Linear(x, weight), **{name: arrays.floats(value) for name, value in terms.items()})


def rows_of_bytes(type: str, n_rows: int, n_columns: int, seed: int = 0) -> np.ndarray:
    """Random blocks with every bit pattern of quants and small scales, or random floats: (n_rows, row_bytes)."""
    rng = np.random.default_rng([seed, n_rows, n_columns])
    quant = find_type(parse_type(type))
    if type in FLOATS:
        return quantize(rng.standard_normal((n_rows, n_columns)).astype(np.float32), type)
    data = rng.integers(0, 256, (n_rows, quant.row_bytes(n_columns)), dtype=np.uint8)
    blocks = data.reshape(-1).view(quant.layout)
    if type in SCALED_BY_BYTES:
        name, low, high = SCALED_BY_BYTES[type]
        blocks[name] = rng.integers(low, high, blocks[name].shape)
    for name in scale_fields(type):
        set_halves(blocks, name, (rng.standard_normal(blocks.shape) * 0.01).astype(np.float16))
    return data


# a field of bytes in place of half floats: its name, and values that make weights about as large
SCALED_BY_BYTES = {"mxfp4": ("e", 116, 123), "nvfp4": ("d", 0, 0x20)}


def scale_fields(type: str) -> list[str]:
    """Half floats that scale whole blocks."""
    if type == "iq1_m":
        return ["scales"]
    names = find_type(parse_type(type)).layout.names
    return [] if type in SCALED_BY_BYTES else [name for name in names if name in ("d", "dmin", "m")]


def set_halves(blocks: np.ndarray, name: str, values: np.ndarray) -> None:
    """Half floats into a field of scales; those of IQ1_M lie in the highest nibbles of four words."""
    if name != "scales":
        blocks[name] = values
        return
    nibbles = values.astype(np.float16).view(np.uint16)[..., None] >> np.arange(0, 16, 4, dtype=np.uint16)
    blocks[name] = blocks[name] & 0x0FFF | nibbles << 12


def to_bf16(x: np.ndarray) -> np.ndarray:
    return dequantize(quantize(x.astype(np.float32), "bf16"), "bf16")


def held(rows: np.ndarray, type: str) -> np.ndarray:
    """Weights as kernels hold them: F16 becomes bf16, all else is as it is in the file."""
    floats = dequantize(rows, type)
    return to_bf16(floats) if type == "f16" else floats


def multiplied(x: np.ndarray, type: str) -> np.ndarray:
    """Activations as they are multiplied with weights of a type: float32, bf16, or int8 in blocks of 32."""
    if type in FLOATS:
        return x if type == "f32" else to_bf16(x)
    blocks = x.reshape(len(x), -1, 32)
    mantissa, exponent = np.frexp((np.abs(blocks).max(-1, keepdims=True) / np.float32(FULL)).astype(np.float64))
    scale = np.ldexp(np.rint(mantissa * 2048) / 2048, exponent).astype(np.float32)  # 11 bits, as f16 has
    inverse = np.divide(np.float32(1), scale, out=np.zeros_like(scale), where=scale > 0)
    return (np.rint(blocks * inverse) * scale.astype(np.float64)).reshape(x.shape)


def exact(rows: np.ndarray, type: str, x: np.ndarray) -> np.ndarray:
    """x W^T in float64, of the numbers that a kernel has."""
    return multiplied(x, type).astype(np.float64) @ held(rows, type).astype(np.float64).T


def relative_error(got: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.sqrt(((got - wanted) ** 2).mean() / (wanted**2).mean()))


def columns_for(type: str) -> int:
    """Two or three blocks; for floats more than a panel of GEMM, and no whole vector."""
    n = find_type(parse_type(type)).n_values
    return 600 if type in FLOATS else 2 * n if n == 256 else 3 * n
