"""From logits to the next token."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from llamakit.core.kernels.store import Kernels, KernelStore
from llamakit.core.sampling.history import History
from llamakit.core.sampling.logprobs import largest, logprobs
from llamakit.core.sampling.params import ALL, SamplingParams
from llamakit.core.sampling.reasoning_budget import ReasoningBudget
from llamakit.core.sampling.seed import choose_seed
from llamakit.core.sampling.stage import RandomStage, Setup, Stage, current, new_candidates
from llamakit.core.sampling.stages import choose, edits, truncate
from llamakit.core.sampling.stages.dry import dry
from llamakit.core.sampling.stages.infill import Infill
from llamakit.core.sampling.stages.temperature import temperature
from llamakit.core.sampling.stages.watermark import watermark
from llamakit.errors import LlamakitError, UsageError

if TYPE_CHECKING:
    from llamakit.core.vocab.base import Vocab


@runtime_checkable
class Constraint(Protocol):
    """What may come next: a grammar, seen from here."""

    def fill_mask(self, mask: npt.NDArray[np.uint32]) -> None:
        """Bit t % 32 of word t // 32: is token t allowed?   mask: (ceil(n_vocab / 32),)"""

    def accept(self, token: int) -> None: ...


STAGES: Mapping[str, Callable[[Setup], Stage | None]] = {
    "penalties": edits.penalties,
    "dry": dry,
    "top_n_sigma": truncate.top_n_sigma,
    "top_k": truncate.top_k,
    "tfs_z": truncate.tfs_z,
    "typ_p": truncate.typical_p,
    "top_p": truncate.top_p,
    "min_p": truncate.min_p,
    "xtc": truncate.xtc,
    "temperature": temperature,
    "infill": Infill,
}  # None: its option leaves everything as it is. adaptive_p is not here: wherever it stands, it comes last and chooses
PLAIN = {Stage, RandomStage}  # those that do nothing but run their kernel
KEEP_THE_BEST = {"top_n_sigma", "top_k", "tfs_z", "top_p", "min_p"}  # whatever their options


def build_chain(s: Setup) -> list[Stage]:
    """The stages in their order; the last one chooses."""
    names = s.params.stages
    if s.params.is_greedy:
        names = names[: names.index("temperature")]  # it leaves one candidate: what comes behind changes nothing
    made = [(name, stage) for name in names if name in STAGES and (stage := STAGES[name](s)) is not None]
    while s.params.is_greedy and made and made[-1][0] in KEEP_THE_BEST:
        made.pop()
    first = [stage for stage in (watermark(s), edits.logit_bias(s)) if stage is not None]
    return [*first, *(stage for _, stage in made), build_chooser(s)]


def build_chooser(s: Setup) -> Stage:
    if s.params.is_greedy:
        return choose.likeliest(s) if s.params.keeps_others else choose.greedy(s)
    if s.params.mirostat:
        return choose.mirostat(s)
    return choose.AdaptiveP(s) if "adaptive_p" in s.params.stages else choose.draw(s)


def build_history(p: SamplingParams, n_vocab: int) -> History:
    """As much of the past as the stages look at."""
    window = p.repeat_last_n if p.has_penalties else 0
    sizes = (window, p.dry_penalty_last_n if p.has_dry else 0, int(p.has_watermark))
    return History(ALL if ALL in sizes else max(sizes), window, n_vocab)


def kernel_names(params: SamplingParams, is_constrained: bool = False) -> list[str]:
    """The kernels that a Sampler of these parameters calls: for whoever loads all its kernels at once."""
    chain = build_chain(Setup(params, new_candidates(1), build_history(params, 1), eog_ids=[0]))
    return ["sampling.begin", *(["sampling.allow"] if is_constrained else []), *(stage.kernel for stage in chain)]


@cache
def load_kernels(*names: str) -> Kernels:
    """Once a process, for all samplers that call the same ones."""
    return KernelStore().load([*names])


class Sampler:
    """Chooses the tokens of one sequence: `sample` from logits, `accept` what was chosen, and again.

    The same parameters, seed, accepted tokens and logits give the same tokens on every machine. `eog_ids` are the
    end-of-generation tokens that `ignore_eos` bans; `kernels` holds those of `kernel_names`, if the caller has loaded
    them already; `vocab` is for the stages that look at texts: DRY with breakers, infill, and penalties that spare
    newlines. While `budget` thinks, a lazy constraint sleeps; it is told the tag that ended the thoughts. Raises
    UsageError for a bias on a token that does not exist, and where `vocab` is missing.
    """

    def __init__(
        self,
        params: SamplingParams,
        n_vocab: int,
        eog_ids: Collection[int] = frozenset(),
        kernels: Kernels | None = None,
        constraint: Constraint | None = None,
        *,
        vocab: Vocab | None = None,
        budget: ReasoningBudget | None = None,
        constraint_is_lazy: bool = False,
    ) -> None:
        if outside := [token for token in params.logit_bias if token >= n_vocab]:
            raise UsageError(f"logit_bias: there is no token {outside[0]}, the last one is {n_vocab - 1}")
        if params.has_dry and params.dry_sequence_breakers and vocab is None:
            raise UsageError("dry_sequence_breakers are texts: DRY needs the vocabulary for them, or no breakers")
        self.n_vocab, self.constraint, self.budget = n_vocab, constraint, budget
        self.constraint_is_lazy = constraint_is_lazy
        self.seed = choose_seed(params.seed)  # in force: asked for, or chosen
        self.history = build_history(params, n_vocab)
        self.candidates = new_candidates(n_vocab)
        self.begin = edits.begin(self.candidates)
        self.mask = np.zeros(-(-n_vocab // 32), np.uint32)
        self.allow = edits.allow(self.candidates, self.mask)
        self.stages = build_chain(Setup(params, self.candidates, self.history, self.seed, eog_ids, vocab))
        needed = [self.begin, *([] if constraint is None else [self.allow]), *self.stages]
        self.kernels = kernels or load_kernels(*(stage.kernel for stage in needed))
        for stage in needed:
            stage.link(self.kernels)
        linked = [self.begin, *self.stages]
        self.cells = np.array([stage.cell.ctypes.data for stage in linked], np.uint64)
        self.links = (self.candidates.data.ctypes.data, self.cells.ctypes.data, len(linked))  # a Chain's fields
        self.learners = [stage for stage in self.stages if type(stage).accept is not Stage.accept]
        self.generators = [stage.generator for stage in self.stages if isinstance(stage, RandomStage)]
        self.is_plain = constraint is None and budget is None and {type(stage) for stage in linked} <= PLAIN

    def sample(self, logits: npt.NDArray[np.float32]) -> int:
        """The next token.   logits: (n_vocab,) float32, contiguous; they are not changed

        Raises LlamakitError when a logit is NaN or infinite (-inf is fine: never chosen), UsageError when bans or the
        grammar leave no token.
        """
        self.give(logits)
        self.begin.run()
        if self.candidates.data["chosen"] < 0:
            raise LlamakitError("non-finite logits: the model's output is not a number; is the file damaged?")
        if self.budget is not None and (forced := self.budget.forced) is not None:
            self.allow_only(forced)
        if self.constraint is not None and not self.constraint_sleeps:
            self.constraint.fill_mask(self.mask)
            self.allow.run()
        for stage in self.stages:
            stage.run()
        token = int(self.candidates.data["chosen"])
        if token < 0:
            raise UsageError("no token may come next: logit biases or the grammar rule out all of them")
        return token

    def give(self, logits: npt.NDArray[np.float32]) -> None:
        """Let the next token be drawn from these."""
        if logits.shape != (self.n_vocab,) or logits.dtype != np.float32 or not logits.flags.c_contiguous:
            raise ValueError(f"needs {self.n_vocab} contiguous float32 logits, got {logits.dtype} {logits.shape}")
        self.begin.record.data["logits"] = logits.ctypes.data

    def prepare(self, address: int) -> None:
        """As `sample` begins, for whoever runs the stages and answers for the logits: see `together.py`."""
        self.begin.record.data["logits"] = address
        for generator in self.generators:
            generator.refill()

    def take(self, logits: npt.NDArray[np.float32]) -> int:
        """The token that the stages have chosen. Raises what `sample` does."""
        token = int(self.candidates.data["chosen"])
        return token if token >= 0 else self.sample(logits)  # which says what is wrong

    def allow_only(self, token: int) -> None:
        logits = self.candidates.values["logits"]
        logits[: self.n_vocab] = -np.inf
        logits[token] = 0

    @property
    def constraint_sleeps(self) -> bool:
        return self.constraint_is_lazy and self.budget is not None and self.budget.is_thinking

    def left(self, n: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
        """What the last token was drawn from: the n likeliest candidates after all stages, and their probabilities."""
        ids, logits = current(self.candidates)
        places = largest(logits, n)
        weights = np.exp(logits.astype(np.float64) - logits.max())
        return ids[places].copy(), weights[places] / weights.sum()

    def scores_left(self, token: int, n: int) -> tuple[float, npt.NDArray[np.int32], npt.NDArray[np.float64]]:
        """After all stages: the log-probability of a token (-inf: no candidate any more), and the n likeliest ones with
        theirs."""
        ids, logits = current(self.candidates)
        places = largest(logits, n)
        own = logprobs(logits, np.flatnonzero(ids == token))
        return float(own[0]) if len(own) else -np.inf, ids[places].copy(), logprobs(logits, places)

    def accept(self, token: int) -> None:
        """The sequence goes on with this token."""
        self.history.extend((token,))
        for stage in self.learners:
            stage.accept(token)
        slept = self.constraint_sleeps
        if self.budget is not None:
            self.budget.accept(token)
        if self.constraint is None:
            return
        if not slept:
            self.constraint.accept(token)
        elif self.budget is not None and not self.constraint_sleeps:
            for end_token in self.budget.end_tag or ():
                self.constraint.accept(end_token)

    def accept_prompt(self, tokens: Sequence[int]) -> None:
        """The sequence goes on with given tokens: they count for penalties and DRY. A constraint does not see them."""
        self.history.extend(tokens)

    def reset(self) -> None:
        """As newly made with the seed in force, for the next sequence. The constraint is the caller's to replace."""
        self.history.clear()
        for stage in self.stages:
            stage.reset()
        if self.budget is not None:
            self.budget.reset()

    def save_state(self) -> bytes:
        """All that later tokens depend on besides the parameters, the constraint and the budget."""
        return b"".join(stage.save() for stage in self.stages) + self.history.last().astype("<i4").tobytes()

    def load_state(self, data: bytes) -> None:
        """Go on as the sampler that `save_state` was asked of. Raises UsageError for one of other parameters."""
        parts, begin = [], 0
        for stage in self.stages:
            parts.append(data[begin : begin + len(stage.save())])
            begin += len(parts[-1])
        try:
            tokens = np.frombuffer(data[begin:], "<i4")
            if not all(0 <= token < self.n_vocab for token in tokens):
                raise ValueError("a token that does not exist")
            for stage, part in zip(self.stages, parts, strict=True):
                stage.load(part)
        except (ValueError, IndexError):
            raise UsageError("the state of a sampler with other parameters") from None
        self.history.clear()
        self.history.extend(tokens.tolist())
