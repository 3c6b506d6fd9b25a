"""Sequences in a paged cache: which physical block holds which positions of whom."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from llamakit.core.kernels.kv_cells import BLOCK
from llamakit.core.kv.blocks import BlockPool
from llamakit.errors import ModelError, UsageError

Ints = npt.NDArray[np.int32]


class Sequences:
    """Block tables of sequences 0 .. n_seq_max - 1, each of up to n_ctx positions.

    `tables[s, b]` is the block of positions 64 b .. 64 b + 63 of sequence s. Blocks may be shared (`fork`); one that is
    about to be written is made private by `copy_block(source, target)`, which copies its bytes in every layer.

    What is called a position here is a place in the sequence. The first n_grouped of them share positions as rotations
    count them, so that the later ones are n_merged less than their place (self-extend, arXiv:2401.01325).
    """

    def __init__(self, n_ctx: int, n_seq_max: int, pool: BlockPool, copy_block: Callable[[int, int], None]) -> None:
        self.n_ctx, self.pool, self.copy_block = n_ctx, pool, copy_block
        self.tables: Ints = np.zeros((n_seq_max, n_blocks(n_ctx)), np.int32)
        self.n_past = [0] * n_seq_max  # positions in the cache
        self.n_grouped = [0] * n_seq_max
        self.n_merged = [0] * n_seq_max

    def append(self, seq: int, n: int) -> None:
        """Room for n more positions. Raises ModelError, and changes nothing, when there is none."""
        self.check_room([(seq, n)])
        self.grow(seq, n)

    def grow(self, seq: int, n: int) -> None:
        """As `append`, when `check_room` has passed."""
        past = self.n_past[seq]
        if past % BLOCK and n:
            self.make_private(seq, past // BLOCK)
        for b in range(n_blocks(past), n_blocks(past + n)):
            self.tables[seq, b] = self.pool.take()
        self.n_past[seq] = past + n

    def check_room(self, parts: list[tuple[int, int]]) -> None:
        """Raises ModelError unless each (sequence, n) can take n more positions; a sequence appears at most once."""
        needed = 0
        for seq, n in parts:
            past = self.n_past[seq]
            if past + n > self.n_ctx:
                raise ModelError(
                    f"sequence {seq} holds {past} positions and cannot take {n} more: the context is {self.n_ctx}; "
                    f"use a larger context (-c) or a shorter prompt"
                )
            if past % BLOCK == 0 or past % BLOCK + n > BLOCK:
                needed += n_blocks(past + n) - n_blocks(past)
            if past % BLOCK and n and self.pool.is_shared(self.tables[seq, past // BLOCK]):
                needed += 1
        if needed > self.pool.n_free:
            pool = self.pool
            raise ModelError(
                f"the KV cache is full: {sum(n for _, n in parts)} more positions need {needed} blocks of {BLOCK}, and "
                f"{pool.n_free} of {pool.n_blocks} are free; use a larger context (-c) or fewer sequences"
            )

    def adopt(self, seq: int, block: int) -> None:
        """Go on with a whole block that others use; the sequence must end with one."""
        past = self.n_past[seq]
        self.pool.share(block)
        self.tables[seq, past // BLOCK] = block
        self.n_past[seq] = past + BLOCK

    def make_private(self, seq: int, b: int) -> None:
        """Give the sequence a copy of its own of a shared block."""
        block = int(self.tables[seq, b])
        if self.pool.is_shared(block):
            self.tables[seq, b] = self.pool.take()
            self.copy_block(block, int(self.tables[seq, b]))
            self.pool.release(block)

    def truncate(self, seq: int, n_past: int) -> None:
        """Keep the first n_past positions (all, if there are fewer). UsageError for some of grouped ones."""
        n_past = min(n_past, self.n_past[seq])
        if n_past:
            self.check_ungrouped(seq, n_past)
        else:
            self.n_grouped[seq] = self.n_merged[seq] = 0
        for b in range(n_blocks(n_past), n_blocks(self.n_past[seq])):
            self.pool.release(int(self.tables[seq, b]))
        self.n_past[seq] = n_past

    def fork(self, source: int, target: int, n_past: int | None = None) -> None:
        """The target forgets what it had and shares the source's first n_past positions (default: all)."""
        if source == target:
            return
        n = self.n_past[source] if n_past is None else min(n_past, self.n_past[source])
        self.truncate(target, 0)
        if n:
            self.check_ungrouped(source, n)
            self.n_grouped[target], self.n_merged[target] = self.n_grouped[source], self.n_merged[source]
        used = self.tables[source, : n_blocks(n)]
        for block in used.tolist():
            self.pool.share(block)
        self.tables[target, : len(used)] = used
        self.n_past[target] = n

    def check_ungrouped(self, seq: int, first: int) -> None:
        """Raises UsageError unless all positions from `first` on are ones of their own."""
        if first < self.n_grouped[seq]:
            raise UsageError(
                f"sequence {seq} cannot be cut at position {first}: its first {self.n_grouped[seq]} are grouped "
                f"(self-extend); begin it anew"
            )

    def cells(self, seq: int, first: int, end: int) -> Ints:
        """The cells of positions first .. end - 1."""
        positions = np.arange(first, end, dtype=np.int32)
        cells: Ints = self.tables[seq, positions // BLOCK] * BLOCK + positions % BLOCK
        return cells


def n_blocks(n_positions: int) -> int:
    """Blocks that hold so many positions."""
    return -(-n_positions // BLOCK)
