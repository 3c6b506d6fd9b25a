"""A model file run as its compiled program, and by the reference interpreter."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from llamakit.core.gguf.metadata import Metadata
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.graph.executor import Executor
from llamakit.core.graph.fuse import fuse
from llamakit.core.graph.lower import Lowered, Memory, lower
from llamakit.core.graph.memory import aligned
from llamakit.core.graph.ops import Node
from llamakit.core.graph.plan import Capacity
from llamakit.core.graph.program import Program, Step, link
from llamakit.core.graph.reference import Reference
from llamakit.core.graph.weights import Weights
from llamakit.core.kernels.batch import Batch, Run
from llamakit.core.kernels.kv_cells import BLOCK, CELL_TYPES, CellType
from llamakit.core.kernels.store import KernelStore
from llamakit.core.models.base import Decoder
from llamakit.core.models.registry import find
from llamakit.core.quants import dequantize


def open_model(path: Path) -> Decoder:
    """The architecture's object for a file."""
    reader = GGUFReader(path)
    meta = Metadata.of_model(reader.metadata, path)
    return find(meta)(meta, reader)


def floats(reader: GGUFReader, name: str) -> np.ndarray:
    """A tensor in float32, rows first."""
    tensor = reader.tensor(name)
    return np.asarray(dequantize(tensor.data, tensor.type))


def reference(model: Decoder, root: Node | None = None, n_ctx: int = 256) -> Reference:
    """The interpreter of a model's own graph, or of another over its weights."""
    return Reference(root or model.logits(n_ctx), lambda name: floats(model.reader, name))


@dataclass
class Cells:
    """Keys and values of one sequence."""

    type_k: CellType
    type_v: CellType
    keys: list[np.ndarray] = field(default_factory=list)
    values: list[np.ndarray] = field(default_factory=list)


class Runner:
    """One sequence on a model's program: `run(tokens)` gives the logits of all of them."""

    def __init__(
        self,
        model: Decoder,
        root: Node | None = None,
        *,
        n_ctx: int = 256,
        n_rows: int = 96,
        n_threads: int = 2,
        cells: str = "f32",
    ) -> None:
        self.model, self.n_ctx, self.n_rows = model, n_ctx, n_rows
        self.graph = fuse(root or model.logits(n_ctx))
        self.store = KernelStore()
        base = self.store.load([*Executor.KERNELS, *Weights.KERNELS])
        self.executor = Executor(base, n_threads)
        weights = Weights(model.reader, lambda name, record: self.executor.run(link([Step(name, record)], base)))
        self.tokens, self.positions, self.cells, self.outputs = (np.zeros(n_rows, np.int32) for _ in range(4))
        self.runs, self.tables = np.zeros(1, Run.dtype), np.arange(-(-n_ctx // BLOCK), dtype=np.int32)
        self.batch = Batch(
            n_tokens=0, n_outputs=0, n_runs=1, tokens=self.tokens, positions=self.positions, cells=self.cells,
            outputs=self.outputs, runs=self.runs.view(np.uint8), tables=self.tables,
        )  # fmt: skip
        self.memory = Memory(weights, self.make_cells(cells), self.batch, n_ctx, n_threads)
        self.programs: dict[Capacity, tuple[Lowered, Program]] = {}
        self.n_past = 0

    def make_cells(self, name: str) -> Cells:
        cells = Cells(CELL_TYPES[name], CELL_TYPES[name])
        for layer in self.model.cache_layers():
            n = layer.n_head_kv * len(self.tables)
            cells.keys.append(aligned(n * cells.type_k.key_bytes(layer.head_dim)))
            cells.values.append(aligned(n * cells.type_v.value_bytes(layer.head_dim_v)))
        return cells

    def program(self, capacity: Capacity) -> tuple[Lowered, Program]:
        if capacity not in self.programs:
            lowered = lower(self.graph, self.memory, capacity)
            steps = lowered.body + lowered.head
            self.programs[capacity] = lowered, link(steps, self.store.load(sorted({s.kernel for s in steps})))
        return self.programs[capacity]

    def run(self, tokens: np.ndarray, n_outputs: int | None = None, n_threads: int | None = None) -> np.ndarray:
        """The logits of the last n_outputs tokens, or of all.   (n_tokens,) -> (n_outputs, n_vocab)"""
        n = len(tokens)
        n_outputs = n if n_outputs is None else n_outputs
        lowered, program = self.program(Capacity(1, 1) if n == 1 else Capacity(self.n_rows, self.n_rows))
        self.tokens[:n] = tokens
        self.positions[:n] = self.cells[:n] = self.n_past + np.arange(n)
        self.outputs[:n_outputs] = np.arange(n - n_outputs, n)
        self.runs[0] = 0, n, self.n_past, 0
        self.batch.data["n_tokens"], self.batch.data["n_outputs"] = n, n_outputs
        self.executor.run(program, n_threads)
        self.n_past += n
        return lowered.logits[:n_outputs, : self.graph.width].copy()

    def run_in_chunks(self, tokens: np.ndarray, size: int) -> np.ndarray:
        """From position 0, `size` tokens at a time."""
        self.n_past = 0
        return np.concatenate([self.run(tokens[i : i + size]) for i in range(0, len(tokens), size)])

    def close(self) -> None:
        self.executor.close()
