"""What a scheduler has done, in numbers, and what its slots do."""

from __future__ import annotations

from dataclasses import dataclass, field

from llamakit.core.engine.scheduler.distribution import SECONDS, SIZES, Distribution
from llamakit.core.engine.scheduler.event import Cancelled, End, Ended, Failed


@dataclass(slots=True)
class Counters:
    """Since the scheduler was made; its thread counts."""

    n_ended: int = 0  # jobs, by how they ended
    n_failed: int = 0
    n_cancelled: int = 0
    n_refused: int = 0  # requests that the queue had no room for
    n_prompt: int = 0  # tokens of prompts that were computed
    n_cached: int = 0  # and that were not, as the cache had them
    n_drawn: int = 0
    prompt_seconds: float = 0.0  # of steps, by the share of prompts' tokens in them
    draw_seconds: float = 0.0
    n_steps: int = 0  # runs of the model
    n_failed_prefills: int = 0  # runs that went wrong, with tokens of prompts
    n_failed_decodes: int = 0  # and without
    prefill_steps: Distribution = field(default_factory=lambda: Distribution(SECONDS))  # with tokens of prompts
    decode_steps: Distribution = field(default_factory=lambda: Distribution(SECONDS))  # without
    forwards: Distribution = field(default_factory=lambda: Distribution(SECONDS))  # of a step, the run of the model
    draws: Distribution = field(default_factory=lambda: Distribution(SECONDS))  # and all else: to draw, to tell
    sizes: Distribution = field(default_factory=lambda: Distribution(SIZES))  # sequences of a step
    n_busy: int = 0  # slots that took part, over all steps
    n_longest: int = 0  # most tokens that a sequence ever had
    n_drafted: int = 0  # tokens that were guessed
    n_accepted: int = 0  # and were right
    n_drafts: int = 0  # guesses of any number of tokens
    n_accepted_at: tuple[int, ...] = ()  # right ones by their place in the guess

    def count_guess(self, n: int, n_right: int) -> None:
        """n tokens were guessed, of which the first ones were right."""
        self.n_drafted += n
        self.n_accepted += n_right
        self.n_drafts += 1
        before = (*self.n_accepted_at, *[0] * (n - len(self.n_accepted_at)))
        self.n_accepted_at = tuple(count + (place < n_right) for place, count in enumerate(before))

    def count(self, end: End) -> None:
        """A job has ended."""
        self.n_ended += isinstance(end, Ended)
        self.n_failed += isinstance(end, Failed)
        self.n_cancelled += isinstance(end, Cancelled)


@dataclass(frozen=True, slots=True)
class Stats:
    """`Counters`, as they are now, and what is there now."""

    counters: Counters
    n_submitted: int
    n_waiting: int
    n_running: int
    n_slots: int
    n_blocks: int  # of the cache, each of `block_size` positions
    n_blocks_free: int
    n_blocks_kept: int  # for prompts to come; they are given up when there is need
    block_size: int
    n_swaps: int  # jobs that were moved out of the cache for others


@dataclass(frozen=True, slots=True)
class SlotInfo:
    """A slot, as it is now. While idle, the numbers are those of its last job."""

    slot: int
    state: str  # name of a SlotState
    job: int | None  # its number
    n_ctx: int
    n_past: int  # tokens in the cache; while idle, those that were
    n_prompt: int
    n_prefilled: int
    n_cached: int
    n_drawn: int
    n_predict: int  # negative: any number
    has_new_line: bool = False
    tag: int | None = None  # its request's
