"""One sequence of the context, and the job that it serves."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING

from llamakit.core.engine.context import Chunk, Outputs
from llamakit.core.engine.generate import Finish, SelfExtend, make_room, most_at_once
from llamakit.core.engine.scheduler.event import Cancelled, End, Ended, Failed, Prefilled
from llamakit.core.engine.scheduler.job import AnyJob, Job, Usage
from llamakit.core.engine.scheduler.miss import miss_reason
from llamakit.core.engine.scheduler.reading import Reader
from llamakit.core.engine.scheduler.request import Scales
from llamakit.core.engine.scheduler.stats import Counters, SlotInfo
from llamakit.core.kernels.kv_cells import BLOCK
from llamakit.core.kv.prefix_tree import Branch, PrefixTree
from llamakit.core.kv.state import Bytes, read_cells, write_cells
from llamakit.errors import ModelError

if TYPE_CHECKING:
    from llamakit.core.engine.context import Context

Root = tuple[str, Scales]  # salt and adapters: what is computed under others is another text
SHARED = 16  # tokens that a prompt must have in common with one that is being computed, to wait for them


class SlotState(Enum):
    IDLE = "serves nobody"
    PREFILL = "computes a prompt"
    DECODE = "draws tokens"
    SWAPPED = "waits, its cells moved out of the cache, until there is room"


class Slot:
    """A sequence of the context, empty while idle. Who calls any of this owns the context."""

    def __init__(self, context: Context, tree: PrefixTree, seq: int, counters: Counters) -> None:
        self.context, self.tree, self.seq, self.counters = context, tree, seq, counters
        self.state = SlotState.IDLE
        self.job: AnyJob | None = None
        self.branch: Branch | None = None  # where its tokens hang in the tree; None where they do not
        self.tokens: list[int] = []  # in the cache; while idle, those of the last job
        self.pending: list[int] = []  # come next
        self.guesses: list[int] = []  # and these may follow
        self.judged = 0, 0  # guesses of the last step, and how many were right
        self.cells: list[Bytes] = []  # while swapped
        self.root: Root = ("", ())
        self.scales: Scales = ()  # of adapters
        self.n_ctx = context.n_ctx  # positions that its job may take
        self.n_keep: int | None = None
        self.n_discard = 0
        self.extend: SelfExtend | None = None
        self.last_used = 0.0
        self.last_info: SlotInfo | None = None

    def start(self, job: AnyJob, reader: Reader, root: Root, scales: Scales) -> None:
        """Serve a job."""
        self.job, self.reader, self.root, self.scales = job, reader, root, scales
        self.tokens, self.pending, self.guesses = [], list(job.tokens), []
        self.n_keep, self.n_discard, self.may_share, self.n_ctx = None, 0, False, self.context.n_ctx
        if isinstance(job, Job):
            self.n_keep, self.n_discard = job.request.n_keep, job.request.n_discard
            self.n_ctx = min(job.request.n_ctx or self.n_ctx, self.n_ctx)
            self.may_share = job.request.use_cache and job.request.n_prompt_logprobs is None
        self.is_explained = False
        self.n_ready = 0  # pending tokens that there is room for in the sequence
        self.state = SlotState.PREFILL
        self.branch = None if reader.is_hidden else self.tree.begin(self.seq, root, self.tokens)
        self.n_most_shared = self.n_before_shift()
        job.slot, job.usage.started = self.seq, time.perf_counter()

    @property
    def n_past(self) -> int:
        """Positions in the cache."""
        return self.context.n_past(self.seq)

    @property
    def is_waiting(self) -> bool:
        """Whether its job could go on, but for its reader."""
        return self.job is not None and self.job.is_stalled

    # sharing
    def share(self, others: Sequence[Slot]) -> bool:
        """Go on with what the cache has of the prompt. False: some of `others` are about to compute what comes next."""
        if self.branch is None or self.state is not SlotState.PREFILL:
            return True
        if not self.may_share:
            self.explain()
            return True
        n_most = min(len(self.pending) - 1, self.n_most_shared - len(self.tokens))
        self.adopt(n_most, is_whole=True)
        if len(self.tokens) == BLOCK * self.branch.depth:
            if any(self.follows(other) for other in others):
                return False
            self.adopt(min(len(self.pending) - 1, self.n_most_shared - len(self.tokens)))
        self.explain()
        return True

    def adopt(self, n_most: int, *, is_whole: bool = False) -> None:
        assert self.branch is not None, "a job that shares nothing"
        n = self.tree.adopt(self.branch, self.pending, n_most, is_whole=is_whole) if n_most > 0 else 0
        del self.pending[:n]
        self.n_ready = max(0, self.n_ready - n)
        self.counters.n_cached += n
        self.working().usage.n_cached += n
        self.working().usage.n_prefilled += n

    def explain(self) -> None:
        """Say once, before anything is computed, why no more is shared."""
        if not self.is_explained:
            self.working().usage.miss_reason = miss_reason(self)
        self.is_explained = True

    def follows(self, other: Slot) -> bool:
        """Whether another prompt's next tokens are this one's too."""
        branch, mine = other.branch, self.branch
        if branch is None or mine is None or branch.node is not mine.node or other.state is not SlotState.PREFILL:
            return False
        theirs = (other.tokens[BLOCK * branch.depth :] + other.pending[:BLOCK])[:SHARED]
        return len(theirs) == SHARED and theirs == self.pending[:-1][:SHARED]

    # computing
    def n_wanted(self) -> int:
        """How many tokens to compute next; 0 when a full context has ended the job. Raises ModelError where no shift
        can make room.

        A long prompt is cut, and the context shifted, where they are when the job is alone, whatever is computed at
        once.
        """
        if self.state is SlotState.DECODE and len(self.tokens) + 1 + len(self.guesses) < self.n_ctx:
            self.n_ready = 1
            return 1 + len(self.guesses)
        if self.n_ready == 0:
            n, n_before = self.n_at_once(), len(self.tokens)
            has_room = make_room(self, n)
            if not has_room and self.state is SlotState.DECODE:
                self.finish(Finish.CONTEXT_FULL)
                return 0
            if len(self.tokens) + n > self.n_ctx:
                raise ModelError(f"a context of {self.n_ctx} positions is full, and keeps {self.n_keep}")
            assert n_before == len(self.tokens) or self.branch is None or self.branch.limit is not None, "moved cells"
            self.n_ready = n
        return min(self.n_ready, self.n_before_states()) + len(self.guesses)

    def goes_on(self) -> bool:
        """Whether the next token comes in a block that it has: nothing need be decided then, where it is alone."""
        has_room = len(self.tokens) + 1 < self.n_ctx and self.n_past % BLOCK > 0
        if self.state is not SlotState.DECODE or not has_room:
            return False
        self.n_ready, self.guesses = 1, []
        return True

    def n_at_once(self) -> int:
        """How many of the pending tokens go together when the job is alone: before they do, the context may shift."""
        if self.state is SlotState.DECODE or self.n_keep is None:
            return len(self.pending)
        most = most_at_once(self)
        n_done = len(self.working().tokens) - len(self.pending)
        return min(len(self.pending), most - n_done % most)

    def n_before_shift(self) -> int:
        """How many tokens of a new prompt are in the cache when it first has to shift: no later ones can be shared."""
        n_prompt, n = len(self.pending), 0
        if n_prompt < self.n_ctx or self.n_keep is None:
            return n_prompt
        most = most_at_once(self)
        while n + most < self.n_ctx:
            n += most
        return n

    def n_before_states(self) -> int:
        """How many pending tokens go together, as what layers remember behind the last whole block of a prompt is kept
        for others, which could not begin there otherwise."""
        n = self.n_whole() - len(self.tokens)
        return n if self.tree.most_states and self.state is SlotState.PREFILL and n > 0 else len(self.pending)

    def n_whole(self) -> int:
        """Tokens of the prompt in whole blocks, without the last one."""
        return (len(self.working().tokens) - 1) // BLOCK * BLOCK

    def n_guessable(self) -> int:
        """How many guesses may be computed behind the next token."""
        job = self.job
        if self.state is not SlotState.DECODE or not isinstance(job, Job) or not job.request.speculate:
            return 0
        n_room, n_predict = self.n_ctx - len(self.tokens) - 2, job.request.n_predict
        if job.request.n_draft_max is not None:
            n_room = min(n_room, job.request.n_draft_max)
        return max(0, n_room if n_predict < 0 else min(n_room, n_predict - job.usage.n_drawn - 1))

    @property
    def n_draft_min(self) -> int:
        """Guesses of fewer tokens are not wanted."""
        return self.job.request.n_draft_min if isinstance(self.job, Job) else 0

    @property
    def shifts_next(self) -> bool:
        """Whether the next tokens need a shift."""
        if self.state is SlotState.DECODE and len(self.tokens) + 1 < self.n_ctx:
            return False
        n = self.n_at_once() if self.n_ready == 0 else 0
        may = self.n_keep is not None and self.context.can_shift
        return may and n > 0 and len(self.tokens) + n >= self.n_ctx

    def chunk(self, n: int) -> Chunk:
        """The next n tokens."""
        if self.state is SlotState.DECODE:
            del self.guesses[n - 1 :]
            return Chunk(self.pending + self.guesses, self.seq, Outputs.ALL if self.guesses else Outputs.LAST)
        first = len(self.working().tokens) - len(self.pending)
        return Chunk(self.pending[:n], self.seq, self.reader.outputs(first, n))

    def computed(self, n: int) -> None:
        """n more tokens are in the cache, and the reader has seen their rows."""
        job, was_prefill = self.working(), self.state is SlotState.PREFILL
        n_pending = min(n, len(self.pending))
        self.tokens += self.pending[:n_pending]
        del self.pending[:n_pending]
        self.n_ready -= n_pending
        if was_prefill:
            job.usage.n_prefilled += n_pending
            if isinstance(job, Job) and job.request.tells_progress:
                job.tell(Prefilled(job.usage.n_prefilled))
        if self.pending:
            self.grow()
            if self.branch is not None and len(self.tokens) == self.n_whole():
                self.tree.remember(self.branch)
            return
        next_tokens = self.reader.read(self.guesses)
        self.counters.n_drawn += len(next_tokens)
        self.counters.n_longest = max(self.counters.n_longest, len(self.tokens) + len(next_tokens))
        self.judged = len(self.guesses), max(0, len(next_tokens) - 1)
        if self.guesses:
            job.usage.n_drafted += len(self.guesses)
            job.usage.n_accepted += self.judged[1]
            self.tokens += next_tokens[:-1]
            self.context.truncate(len(self.tokens), self.seq)
            self.guesses = []
        self.grow()
        self.pending = next_tokens[-1:]
        self.state = SlotState.DECODE
        if self.reader.finish is not None:
            self.finish(self.reader.finish)

    def grow(self) -> None:
        if self.branch is not None and len(self.tokens) >= BLOCK * (self.branch.depth + 1):
            self.tree.grow(self.branch)

    # ends
    def finish(self, finish: Finish) -> None:
        self.release(Ended(finish, self.reader.text_left()))

    def cancel(self) -> None:
        self.release(Cancelled())

    def fail(self, error: Exception) -> None:
        self.release(Failed(error), is_sound=False)

    def release(self, end: End, is_sound: bool = True) -> None:
        """The job is over. What was computed stays in the tree, but for what a shift has moved or an error spoilt."""
        job = self.working()
        self.leave(is_sound)
        self.last_info = replace(self.info(), state=SlotState.IDLE.name)
        self.job, self.state, self.cells, self.pending, self.guesses = None, SlotState.IDLE, [], [], []
        self.last_used = time.perf_counter()
        del self.reader
        self.counters.count(end)
        job.tell(end)

    def leave(self, is_sound: bool = True) -> None:
        """Free the cells."""
        if self.branch is not None:
            if self.branch.limit is not None:
                del self.tokens[self.branch.limit :]
            self.tree.end(self.branch, is_sound)
            self.branch = None
        self.context.truncate(0, self.seq)

    def working(self) -> AnyJob:
        assert self.job is not None, "a slot without a job"
        return self.job

    def info(self) -> SlotInfo:
        """From any thread."""
        job = self.job
        if job is None and self.last_info is not None:
            return self.last_info
        usage = Usage(0) if job is None else job.usage
        n_predict, tag, has_new_line = -1, None, False
        if isinstance(job, Job):
            n_predict, tag = job.request.n_predict, job.request.tag
            has_new_line = job.ending is not None and job.ending.has_new_line
        return SlotInfo(
            slot=self.seq, state=self.state.name, job=job.number if job else None, n_ctx=self.n_ctx,
            n_past=len(self.tokens), n_prompt=usage.n_prompt, n_prefilled=usage.n_prefilled, n_cached=usage.n_cached,
            n_drawn=usage.n_drawn, n_predict=n_predict, has_new_line=has_new_line, tag=tag,
        )  # fmt: skip

    # room for others
    def swap_out(self) -> None:
        """Free the cells of a job that others need more; `swap_in` brings them back, bit by bit."""
        try:
            self.cells = list(read_cells(self.context.cache, self.seq))
        except Exception as error:  # no memory
            return self.fail(error)
        self.limit = None if self.branch is None else self.branch.limit
        if self.branch is not None:
            self.tree.end(self.branch)
            self.branch = None
        self.context.truncate(0, self.seq)
        self.state = SlotState.SWAPPED

    def swap_in(self) -> None:
        try:
            cells = iter(self.cells)
            write_cells(self.context.cache, self.seq, len(self.tokens), lambda n: next(cells))
        except Exception as error:
            return self.fail(error)
        if not self.reader.is_hidden:
            self.branch = self.tree.begin(self.seq, self.root, self.tokens, self.limit)
            self.grow()
        self.cells = []
        self.state = SlotState.DECODE if self.working().usage.n_drawn else SlotState.PREFILL
