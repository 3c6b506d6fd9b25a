"""Who may have the blocks of the cache when they do not suffice for all: the oldest job first.

Sequences share the blocks, so each job has the whole context to itself until others want it too. The tree of prefixes
then loses what nobody uses, the least recently used first; then jobs whose readers lag behind are moved out of the
cache, then the youngest. The oldest that can go on thus always does, as far as it would alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from llamakit.core.engine.scheduler.slot import Slot, SlotState
from llamakit.core.kernels.kv_cells import BLOCK
from llamakit.core.kv.prefix_tree import PrefixTree
from llamakit.core.kv.sequences import n_blocks


class Room:
    """The blocks of a context, as its slots use them."""

    def __init__(self, slots: Sequence[Slot], tree: PrefixTree) -> None:
        self.slots, self.tree = slots, tree
        self.pool = tree.cache.pool
        self.n_swaps = 0

    def swap_in(self, slots: Sequence[Slot]) -> list[Slot]:
        """Of slots that want to go on, the oldest first: those in the cache, after all that have room are back in it.

        One block more for each of the others is asked for, lest they push it out again with their next tokens.
        """
        for slot in slots:
            if slot.state is SlotState.SWAPPED:
                n_present = sum(other.state is not SlotState.SWAPPED for other in slots)
                if self.reserve(n_blocks(min(len(slot.tokens) + 1, slot.context.n_ctx)) + n_present, slot):
                    slot.swap_in()
        return [slot for slot in slots if slot.state in (SlotState.PREFILL, SlotState.DECODE)]

    def grant(self, parts: Sequence[tuple[Slot, int]]) -> list[tuple[Slot, int]]:
        """Of parts (slot, tokens), the oldest first: those that there is room for."""
        granted, n_needed = [], 0
        for slot, n in parts:
            if slot.state not in (SlotState.PREFILL, SlotState.DECODE):  # an older one has taken its place
                continue
            n_past = slot.n_past
            n_more = n_blocks(n_past + n) - n_blocks(n_past)
            if n_more == 0 or self.reserve(n_needed + n_more, slot):
                granted.append((slot, n))
                n_needed += n_more
        return granted

    def reserve(self, n: int, slot: Slot) -> bool:
        """Make n blocks free for a slot at the cost of others, but not of older jobs. Where that does not suffice,
        no job loses any: False."""
        if self.tree.evict(n):
            return True
        losers = list(self.losers(slot))
        if self.n_free_without(losers) < n:
            return False
        for loser in losers:
            self.swap_out(loser)
            if self.tree.evict(n):
                break
        return True

    def make_private(self, slot: Slot, first: int) -> bool:
        """Make room for copies of the blocks that a slot shares from position `first` on, as it will write them. False
        where older jobs leave none."""
        losers = self.losers(slot)
        while True:
            if slot.branch is not None:
                self.tree.cut(slot.branch, first)
            if self.tree.evict(self.n_shared(slot, first)):
                return True
            loser = next(losers, None)
            if loser is None:
                return False
            self.swap_out(loser)

    def n_shared(self, slot: Slot, first: int) -> int:
        blocks = self.tree.cache.tables[slot.seq, first // BLOCK : n_blocks(slot.n_past)]
        return sum(self.pool.is_shared(block) for block in blocks.tolist())

    def n_free_without(self, losers: Sequence[Slot]) -> int:
        """Blocks that would be free if the tree and some slots gave all they can."""
        n_users = np.array(self.pool.n_users)
        n_users[[*self.tree.nodes]] -= 1
        for loser in losers:
            n_users[self.tree.cache.tables[loser.seq, : n_blocks(loser.n_past)]] -= 1
        return int((n_users == 0).sum())

    def swap_out(self, loser: Slot) -> None:
        self.n_swaps += 1
        loser.swap_out()

    def losers(self, slot: Slot) -> Iterator[Slot]:
        """Who would have to leave the cache for a slot, the first one first."""
        held = [other for other in self.slots if other is not slot and other.n_past and other.job is not None]
        youngest_first = sorted(held, key=lambda s: -s.working().number)
        yield from (s for s in youngest_first if s.is_waiting)
        number = slot.working().number
        yield from (s for s in youngest_first if not s.is_waiting and s.working().number > number)
