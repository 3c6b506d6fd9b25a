"""Who may have the blocks of the cache when they do not suffice for all: the oldest job first.

Sequences share the blocks, so each job has the whole context to itself until others want it too. Idle slots then lose
what they kept, the least recently used first; then jobs whose readers lag behind are moved out of the cache, then the
youngest. The oldest that can go on thus always does, as far as it would alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llamakit.core.engine.scheduler.slot import Slot, SlotState
from llamakit.core.kv.sequences import n_blocks


class Room:
    """The blocks of a context, as its slots use them."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self.slots = slots
        self.pool = slots[0].context.cache.pool

    def swap_in(self, slots: Sequence[Slot]) -> list[Slot]:
        """Of slots that want to go on, the oldest first: those in the cache, after all that have room are back in it.

        One block more for each of the others is asked for, lest they push it out again with their next tokens.
        """
        for slot in slots:
            if slot.state is SlotState.SWAPPED:
                n_present = sum(other.state is not SlotState.SWAPPED for other in slots)
                if self.reserve(n_blocks(min(len(slot.session.tokens) + 1, slot.context.n_ctx)) + n_present, slot):
                    slot.swap_in()
        return [slot for slot in slots if slot.state in (SlotState.PREFILL, SlotState.DECODE)]

    def grant(self, parts: Sequence[tuple[Slot, int]]) -> list[tuple[Slot, int]]:
        """Of parts (slot, tokens), the oldest first: those that there is room for."""
        granted, n_needed = [], 0
        for slot, n in parts:
            if slot.state not in (SlotState.PREFILL, SlotState.DECODE):  # an older one has taken its place
                continue
            n_more = n_blocks(slot.n_past + n) - n_blocks(slot.n_past)
            if self.reserve(n_needed + n_more, slot):
                granted.append((slot, n))
                n_needed += n_more
        return granted

    def reserve(self, n: int, slot: Slot) -> bool:
        """Make n blocks free for a slot at the cost of others, but not of older jobs. Where that does not suffice,
        nobody loses any: False."""
        losers = list(self.losers(slot))
        if self.pool.n_free + sum(n_blocks(loser.n_past) for loser in losers) < n:
            return False
        for loser in losers:
            if self.pool.n_free >= n:
                break
            if loser.state is SlotState.IDLE:
                loser.forget()
            else:
                loser.swap_out()
        return True

    def losers(self, slot: Slot) -> Iterator[Slot]:
        """Who would have to leave the cache for a slot, the first one first."""
        held = [other for other in self.slots if other is not slot and other.n_past]
        yield from sorted((s for s in held if s.state is SlotState.IDLE), key=lambda s: s.last_used)
        youngest_first = sorted((s for s in held if s.job is not None), key=lambda s: -s.working().number)
        yield from (s for s in youngest_first if s.is_waiting)
        number = slot.working().number
        yield from (s for s in youngest_first if not s.is_waiting and s.working().number > number)
