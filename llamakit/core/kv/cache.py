"""The paged KV cache: memory of every layer, and the part of a batch that says where keys and values go."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from llamakit.core.graph.memory import aligned
from llamakit.core.kernels.batch import Run
from llamakit.core.kernels.kv_cells import BLOCK, CELL_TYPES, CellType
from llamakit.core.kv.blocks import BlockPool
from llamakit.core.kv.sequences import Sequences, n_blocks
from llamakit.errors import ModelError, UsageError

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
NO_STATES: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True)
class LayerShape:
    """Key and value heads of one layer; n_head_kv is 0 where a layer keeps none."""

    n_head_kv: int
    head_dim: int
    head_dim_v: int


@dataclass(frozen=True)
class Shift:
    """What moves when positions are removed or grouped: old and new cells, in order, and by how many positions back.

    Keys must be turned back by as many; `rope.move` does both.
    """

    sources: Ints
    targets: Ints
    distances: Ints


def find_cell_type(name: str) -> CellType:
    """The cell type of a name in any case; UsageError when there is none."""
    if name.lower() not in CELL_TYPES:
        raise UsageError(f"a KV cache cannot be {name!r}; it can be {', '.join(CELL_TYPES)}")
    return CELL_TYPES[name.lower()]


def pool_size(n_ctx: int, n_seq_max: int) -> int:
    """Blocks for n_ctx positions in all, however they spread over the sequences."""
    return n_blocks(n_ctx) + n_seq_max - 1


def n_bytes(
    layers: list[LayerShape],
    n_ctx: int,
    type_k: str,
    type_v: str,
    n_seq_max: int = 1,
    states: Mapping[int, int] = NO_STATES,
) -> int:
    """What a cache of this shape will take, before it is made."""
    k, v = find_cell_type(type_k), find_cell_type(type_v)
    block = sum(s.n_head_kv * (k.key_bytes(s.head_dim) + v.value_bytes(s.head_dim_v)) for s in layers)
    return block * pool_size(n_ctx, n_seq_max) + 4 * n_seq_max * sum(states.values())


class KVCache:
    """Keys and values of n_seq_max sequences, n_ctx positions in all.

    `keys[i]` and `values[i]` are layer i's bytes, (n_head_kv, n_blocks, bytes), laid out as kernels/kv_cells.py says.
    `place` fills `positions`, `cells` and `runs` for up to n_batch tokens; with `tables` they are what the `Batch`
    record points to. These arrays stay where they are for the cache's life. `states[k]` is what layers that
    remember keep instead, (n_seq_max, floats); of it there is no way back to an earlier position but to the beginning.
    """

    def __init__(
        self,
        layers: list[LayerShape],
        n_ctx: int,
        type_k: str = "f16",
        type_v: str = "f16",
        n_seq_max: int = 1,
        n_batch: int = 512,
        states: Mapping[int, int] = NO_STATES,
    ) -> None:
        self.layers, self.n_ctx, self.n_seq_max, self.n_batch = layers, n_ctx, n_seq_max, n_batch
        self.type_k, self.type_v = find_cell_type(type_k), find_cell_type(type_v)
        n = pool_size(n_ctx, n_seq_max)
        k_shapes = [(s.n_head_kv, n, self.type_k.key_bytes(s.head_dim)) for s in layers]
        v_shapes = [(s.n_head_kv, n, self.type_v.value_bytes(s.head_dim_v)) for s in layers]
        total = n_bytes(layers, n_ctx, type_k, type_v, n_seq_max, states)
        self.keys: list[Bytes]
        self.values: list[Bytes]
        try:
            self.keys = [aligned(math.prod(shape)).reshape(shape) for shape in k_shapes]
            self.values = [aligned(math.prod(shape)).reshape(shape) for shape in v_shapes]
            self.states: dict[int, Floats] = {
                k: aligned(4 * n_seq_max * n_floats).view(np.float32).reshape(n_seq_max, -1)
                for k, n_floats in states.items()
            }
        except MemoryError:
            raise ModelError(
                f"no memory for a KV cache of {n_ctx} positions ({total:,} bytes); "
                f"use a smaller context (-c) or a smaller type (-ctk, -ctv)"
            ) from None
        self.pool = BlockPool(n)
        self.sequences = Sequences(n_ctx, n_seq_max, self.pool, self.copy_block)
        self.positions: Ints = np.zeros(n_batch, np.int32)
        self.cells: Ints = np.zeros(n_batch, np.int32)
        self.runs = np.zeros(n_seq_max, Run.dtype)
        self.n_source = [0] * n_seq_max  # positions of each sequence that are its source

    @property
    def tables(self) -> Ints:
        """(n_seq_max, blocks of a sequence): `Batch.tables`."""
        return self.sequences.tables

    def n_past(self, seq: int = 0) -> int:
        """Positions of a sequence that are in the cache."""
        return self.sequences.n_past[seq]

    def place(self, parts: list[tuple[int, int]]) -> int:
        """Give the next n positions of each (sequence, n) a cell, side by side in the batch; returns the tokens in all.

        Fills `positions`, `cells` and one entry of `runs` for each part, in order. Raises ModelError, and changes
        nothing, when the cells do not suffice. A sequence may appear once.
        """
        sequences = self.sequences
        sequences.check_room(parts)
        first = 0
        for i, (seq, n) in enumerate(parts):
            past = sequences.n_past[seq]
            position = past - sequences.n_merged[seq]
            sequences.grow(seq, n)
            self.runs[i] = first, n, past, seq * sequences.tables.shape[1], seq, self.n_source[seq]
            if past == 0:
                for state in self.states.values():
                    state[seq] = 0
            if n == 1:
                self.positions[first] = position
                self.cells[first] = sequences.tables[seq, past // BLOCK] * BLOCK + past % BLOCK
            else:
                self.positions[first : first + n] = np.arange(position, position + n)
                self.cells[first : first + n] = sequences.cells(seq, past, past + n)
            first += n
        return first

    def truncate(self, seq: int, n_past: int) -> int:
        """Forget positions from n_past on; returns how many are left: none where layers remember, or in a source."""
        if n_past < (self.n_past(seq) if self.states else self.n_source[seq]):
            n_past = self.n_source[seq] = 0
        self.sequences.truncate(seq, n_past)
        return self.n_past(seq)

    def fork(self, source: int, target: int, n_past: int | None = None) -> None:
        """Let `target` start with the first n_past positions of `source`, without copying them.

        Where layers remember, it can only start with all of them: else UsageError.
        """
        if self.states and n_past not in (None, self.n_past(source)):
            raise UsageError("layers of this model remember all they saw: no sequence forks at an earlier position")
        if n_past is not None and n_past < self.n_source[source]:
            raise UsageError("a source is whole: no sequence forks within it")
        self.n_source[target] = self.n_source[source]
        self.sequences.fork(source, target, n_past)
        for state in self.states.values():
            state[target] = state[source]

    def clear(self) -> None:
        """Forget everything."""
        for seq in range(self.n_seq_max):
            self.truncate(seq, 0)

    def remove(self, seq: int, first: int, end: int) -> Shift:
        """Forget positions first .. end - 1 and let the later ones move up; the caller must then move their cells.

        Raises ModelError when shared blocks would have to be copied and there is no room for them, UsageError when
        some of the positions are grouped.
        """
        self.check_forgetful()
        sequences, past = self.sequences, self.n_past(seq)
        end = min(end, past)
        first = min(first, end)
        sequences.check_ungrouped(seq, first)
        self.make_private(seq, first, past if first < end < past else first)
        sources, targets = sequences.cells(seq, end, past), sequences.cells(seq, first, first + past - end)
        sequences.truncate(seq, past - (end - first))
        return Shift(sources, targets, np.full(len(sources), end - first, np.int32))

    def group(self, seq: int, width: int, n: int) -> Shift:
        """Let each n of the first `width` positions that are not grouped share one; the later ones move up.

        The cells stay where they are, but the caller must turn their keys. Needs that many positions, width a multiple
        of n. Raises ModelError as `remove` does.
        """
        self.check_forgetful()
        sequences, past = self.sequences, self.n_past(seq)
        first = sequences.n_grouped[seq]
        self.make_private(seq, first, past)
        in_window = np.minimum(np.arange(past - first), width)
        distances = in_window - in_window // n
        moved = np.flatnonzero(distances)
        cells = sequences.cells(seq, first, past)[moved]
        sequences.n_grouped[seq] += width
        sequences.n_merged[seq] += width - width // n
        return Shift(cells, cells, distances[moved].astype(np.int32))

    def check_forgetful(self) -> None:
        """Raises UsageError where layers remember: then positions cannot be taken out or moved."""
        if self.states:
            raise UsageError("layers of this model remember all they saw: positions cannot be removed or moved")

    def make_private(self, seq: int, first: int, end: int) -> None:
        """Copy the shared blocks that hold positions first .. end - 1 of a sequence, as they will be written."""
        touched = range(first // BLOCK, n_blocks(end) if first < end else 0)
        shared = [b for b in touched if self.pool.is_shared(int(self.tables[seq, b]))]
        if len(shared) > self.pool.n_free:
            raise ModelError(
                f"the KV cache is full: moving positions {first} to {end} of a sequence with shared blocks needs "
                f"{len(shared)} free blocks of {BLOCK}, and {self.pool.n_free} are"
            )
        for b in shared:
            self.sequences.make_private(seq, b)

    def copy_block(self, source: int, target: int) -> None:
        for memory in (*self.keys, *self.values):
            memory[:, target] = memory[:, source]
