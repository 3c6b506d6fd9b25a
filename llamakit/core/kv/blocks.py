"""Physical blocks of the KV cache: which are free, and how many sequences use each of the others."""

from __future__ import annotations


class BlockPool:
    """Blocks 0 .. n_blocks - 1, each with the number of sequences that use it."""

    def __init__(self, n_blocks: int) -> None:
        self.n_users = [0] * n_blocks
        self.free = list(range(n_blocks - 1, -1, -1))  # a stack: low blocks first, recently freed ones soon again

    @property
    def n_blocks(self) -> int:
        return len(self.n_users)

    @property
    def n_free(self) -> int:
        return len(self.free)

    def take(self) -> int:
        """A free block, for one user. The caller has checked `n_free`."""
        block = self.free.pop()
        self.n_users[block] = 1
        return block

    def share(self, block: int) -> None:
        """One user more."""
        self.n_users[block] += 1

    def is_shared(self, block: int) -> bool:
        return self.n_users[block] > 1

    def release(self, block: int) -> None:
        """One user less; the last one frees the block."""
        self.n_users[block] -= 1
        if self.n_users[block] == 0:
            self.free.append(block)
