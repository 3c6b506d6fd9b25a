"""The context's side of the scheduler: slots, and what is computed step by step. One thread calls all of it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from llamakit.core.engine.pooling import Pool, Pooling, pooling_of
from llamakit.core.engine.programs import FEW
from llamakit.core.engine.scheduler.drawing import Drawing
from llamakit.core.engine.scheduler.event import End, Failed
from llamakit.core.engine.scheduler.groups import Group, KnownAdapters, Turns, group_of
from llamakit.core.engine.scheduler.job import AnyJob, EmbeddingJob, Job
from llamakit.core.engine.scheduler.keeping import from_bytes, restore, save, to_bytes
from llamakit.core.engine.scheduler.reading import Continuation, Embedding, Reader
from llamakit.core.engine.scheduler.request import EmbeddingRequest, Scales
from llamakit.core.engine.scheduler.room import Room
from llamakit.core.engine.scheduler.shares import shares, whole_shares
from llamakit.core.engine.scheduler.slot import Slot, SlotState
from llamakit.core.engine.scheduler.stats import Counters
from llamakit.core.engine.speculation import Guesser, Speculator, Want
from llamakit.core.engine.ubatches import wanted_rows
from llamakit.core.kv.prefix_tree import PrefixTree

if TYPE_CHECKING:
    from llamakit.core.engine.adapters import Adapter
    from llamakit.core.engine.context import Context
    from llamakit.core.kv.cache import KVCache
    from llamakit.core.vocab.base import Vocab

log = logging.getLogger(__name__)
MOST_STATE_BYTES = 512 << 20  # of copies of what layers remember, for prompts to begin with
Part = tuple[Slot, int]  # and how many of its tokens


class Steps:
    """Slots for all sequences of a context. See Scheduler for the arguments."""

    def __init__(
        self,
        context: Context,
        vocab: Vocab,
        n_prefill_beside: int,
        adapters: Mapping[str, Adapter],
        guesser: Guesser | None = None,
    ) -> None:
        self.context, self.vocab, self.n_prefill_beside = context, vocab, n_prefill_beside
        self.is_causal = context.model.decoder.is_causal
        self.counters, n_slots = Counters(), context.cache.n_seq_max
        self.tree = PrefixTree(context.cache, most_states(context.cache))
        self.slots = [Slot(context, self.tree, seq, self.counters) for seq in range(n_slots)]
        self.room, self.turns = Room(self.slots, self.tree), Turns()
        self.drawing = Drawing(context)
        self.adapters = KnownAdapters(context, adapters)
        self.default_scales: Scales = ()
        self._pools: dict[Pooling, Pool] = {}
        self.speculator: Speculator | None = None
        if guesser is not None and not context.cache.states:  # layers that remember cannot take guesses back
            self.speculator, context.has_few = Speculator(guesser), True

    def prepare(self) -> None:
        """Have the programs that the first requests need compiled: for several sequences, for guesses."""
        runs = [(2, 2), (FEW + 2, 2)] if len(self.slots) > 1 else [(2, 2)] if self.context.has_few else []
        try:
            self.context.prepare(runs)
        except Exception:  # those that need them will hear of it
            log.warning("the programs of the first requests could not be prepared", exc_info=True)

    def pool(self, request: EmbeddingRequest) -> Pool:
        """The way from states to a vector. Raises ModelError for one that the model has not."""
        model = self.context.model
        kind = pooling_of(model) if request.pooling is None else request.pooling
        if kind not in self._pools:
            self._pools[kind] = Pool(model, kind)
        return self._pools[kind]

    def idle_slot(self, job: AnyJob, taken: Sequence[int]) -> Slot | None:
        """The one for a job: that which it wants, or the least recently used that is not taken."""
        wanted = self.slots if job.request.slot is None else [self.slots[job.request.slot]]
        idle = [slot for slot in wanted if slot.state is SlotState.IDLE and slot.seq not in taken]
        return min(idle, key=lambda slot: slot.last_used, default=None)

    def start(self, job: AnyJob, slot: Slot) -> None:
        """Let a slot serve a job; whoever cannot be served is told."""
        try:
            scales = self.default_scales
            if job.request.adapters is not None:
                scales = self.adapters.normal(job.request.adapters)
            reader: Reader
            if isinstance(job, Job):
                reader, salt = Continuation(job, self.vocab), job.request.salt
            else:
                assert isinstance(job, EmbeddingJob), "a job of some other kind"
                reader, salt = Embedding(job, self.pool(job.request)), ""
        except Exception as error:  # as of a sampler for another vocabulary
            return self.give_up(job, Failed(error))
        slot.start(job, reader, (salt, scales), scales)
        if self.speculator is not None:
            self.speculator.begin(slot.seq)

    def give_up(self, job: AnyJob, end: End) -> None:
        """Of a job that no slot serves."""
        self.counters.count(end)
        job.tell(end)

    def drop_cancelled(self) -> None:
        for slot in self.slots:
            if slot.job is not None and slot.job.is_cancelled:
                slot.cancel()

    def save(self, slot: Slot, path: str | os.PathLike[str]) -> tuple[int, int]:
        """See `keeping.py` for these."""
        self.adapters.use(slot.scales)
        return save(slot, path)

    def restore(self, slot: Slot, path: str | os.PathLike[str]) -> tuple[int, int]:
        self._as_usual(slot)
        return restore(slot, path)

    def to_bytes(self, slot: Slot, tokens: Sequence[int]) -> tuple[int, bytes]:
        self._as_usual(slot)
        return to_bytes(slot, tokens)

    def from_bytes(self, slot: Slot, data: bytes) -> int:
        self._as_usual(slot)
        return from_bytes(slot, data)

    def _as_usual(self, slot: Slot) -> None:
        """For requests that name neither salt nor adapters."""
        slot.root, slot.scales = ("", self.default_scales), self.default_scales
        self.adapters.use(slot.scales)

    def compute(self) -> None:
        """One step of a group of jobs that can go on, the oldest first."""
        slots = [slot for slot in self.slots if slot.job is not None and not slot.is_waiting]
        if not slots:
            return
        if len(slots) == 1 and self.speculator is None and slots[0].goes_on():
            parts = [(slots[0], 1)]
        else:
            slots = sorted(self.turns.next(slots), key=lambda slot: slot.working().number)
            parts = self.room.grant(self.parts(self.room.swap_in(slots)))
        if not parts:
            return
        group = group_of(parts[0][0])
        started, is_prompt = time.perf_counter(), [slot.state is SlotState.PREFILL for slot, _ in parts]
        try:
            self.run(parts, group)
            computed = time.perf_counter()
            if len(parts) > 1:
                self.drawing.draw(slot.reader for slot, _ in parts)
        except Exception as error:  # a mistake of ours, or no memory: nobody knows whose
            self.counters.n_failed_prefills += any(is_prompt)
            self.counters.n_failed_decodes += not any(is_prompt)
            for slot, _ in parts:
                slot.fail(error)
            return
        for slot, n in parts:
            try:
                slot.computed(n)
            except Exception as error:  # of its sampler or grammar
                slot.fail(error)
        seconds = time.perf_counter() - started
        self.count([n for _, n in parts], is_prompt, seconds, computed - started)
        if self.speculator is not None:
            self.learn(self.speculator, parts)
            if not any(is_prompt):
                self.speculator.took(sum(n for _, n in parts), seconds)

    def run(self, parts: Sequence[Part], group: Group) -> None:
        """Compute parts of jobs; their readers see the rows they want."""
        self.adapters.use(group.scales)
        chunks = [slot.chunk(n) for slot, n in parts]
        readers: list[Reader] = []  # of each row
        for (slot, _), chunk in zip(parts, chunks, strict=True):
            readers += [slot.reader] * len(wanted_rows(chunk.outputs, len(chunk.tokens)))
        slices = self.context.hidden_slices(chunks) if group.is_hidden else self.context.slices(chunks)
        n_seen = 0
        for rows in slices:
            is_last = n_seen + len(rows) == len(readers)  # those of others are overwritten by the next ones
            for row, reader in zip(rows if is_last else rows.copy(), readers[n_seen:], strict=False):
                reader.see(row)
            n_seen += len(rows)

    def parts(self, slots: Sequence[Slot]) -> list[Part]:
        """How many tokens each slot computes next."""
        wanted: list[Part] = []
        self.guess(slots)
        for slot in slots:
            try:
                if not slot.share([other for other, _ in wanted]):
                    continue  # another one is about to compute what it needs
                if slot.shifts_next and not self.room.make_private(slot, slot.n_keep or 0):
                    continue
                if n := slot.n_wanted():
                    wanted.append((slot, n))
            except Exception as error:
                slot.fail(error)
        wanted = [(slot, n) for slot, n in wanted if slot.job is not None and slot.state is not SlotState.SWAPPED]
        n_drawing = sum(n for slot, n in wanted if slot.state is SlotState.DECODE)
        n_ubatch = self.context.n_ubatch
        n_most = min(n_ubatch, self.n_prefill_beside + n_drawing) if n_drawing else n_ubatch
        divide = shares if self.is_causal else whole_shares
        given = divide([n for _, n in wanted], n_most)
        return [(slot, n) for (slot, _), n in zip(wanted, given, strict=True) if n]

    def guess(self, slots: Sequence[Slot]) -> None:
        """Let slots that draw compute guesses with their next tokens, as many as pay."""
        guesses: dict[int, list[int]] = {}
        if self.speculator is not None:
            drawing = [slot for slot in slots if slot.state is SlotState.DECODE]
            wants = [Want(s.seq, s.tokens, s.pending[0], n) for s in drawing if (n := s.n_guessable())]
            try:
                guesses = self.speculator.guess(wants, len(drawing)) if wants else {}
            except Exception:  # texts do not depend on it
                log.exception("no tokens are guessed any more")
                self.speculator = None
        for slot in slots:
            slot.guesses = guesses.get(slot.seq, [])
            if slot.guesses and len(slot.guesses) < slot.n_draft_min:
                slot.guesses = []

    def learn(self, speculator: Speculator, parts: Sequence[Part]) -> None:
        """What became of guesses."""
        for slot, _ in parts:
            n_guesses, n_right = slot.judged
            slot.judged = 0, 0
            if n_guesses:
                speculator.saw(slot.seq, n_guesses, n_right)
                self.counters.count_guess(n_guesses, n_right)

    def count(self, n_tokens: Sequence[int], is_prompt: Sequence[bool], seconds: float, forward: float) -> None:
        """A step of so many seconds, of which `forward` went to the model."""
        c = self.counters
        n_prompt = sum(n for n, is_of_prompt in zip(n_tokens, is_prompt, strict=True) if is_of_prompt)
        share = n_prompt / sum(n_tokens)
        c.n_prompt += n_prompt
        c.prompt_seconds += share * seconds
        c.draw_seconds += (1 - share) * seconds
        c.n_steps += 1
        c.n_busy += len(n_tokens)
        (c.prefill_steps if n_prompt else c.decode_steps).add(seconds)
        c.forwards.add(forward)
        c.draws.add(seconds - forward)
        c.sizes.add(len(n_tokens))


def most_states(cache: KVCache) -> int:
    """Copies of a sequence's states that are kept: four for each sequence, if they are not too large."""
    n_bytes = sum(int(state[0].nbytes) for state in cache.states.values())
    return max(2, min(4 * cache.n_seq_max, MOST_STATE_BYTES // n_bytes)) if n_bytes else 0
