"""From logits to the next token."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from llamakit.core.kernels.candidates import Candidates
from llamakit.core.kernels.store import Kernels, KernelStore
from llamakit.core.sampling import stages
from llamakit.core.sampling.history import History
from llamakit.core.sampling.params import SamplingParams
from llamakit.core.sampling.seed import N_WORDS, choose_seed, mt19937
from llamakit.core.sampling.stages import Stage, new_candidates
from llamakit.errors import LlamakitError, UsageError


class Constraint(Protocol):
    """What may come next: a grammar, seen from here."""

    def fill_mask(self, mask: npt.NDArray[np.uint32]) -> None:
        """Bit t % 32 of word t // 32: is token t allowed?   mask: (ceil(n_vocab / 32),)"""

    def accept(self, token: int) -> None: ...


def build_chain(
    p: SamplingParams, c: Candidates, eog_ids: Collection[int], history: History, noise: npt.NDArray[np.int64]
) -> list[Stage]:
    """The stages in their order; the last one chooses."""
    edits = [stages.logit_bias(c, p, eog_ids), stages.penalties(c, p, history)]
    if p.temperature <= 0:
        chain = [*edits, stages.greedy(c)]
    else:
        chain = [
            *edits,
            stages.top_k(c, p.top_k),
            stages.top_p(c, p.top_p, p.min_keep),
            stages.min_p(c, p.min_p, p.min_keep),
            stages.temperature(c, p.temperature),
            stages.draw(c, noise),
        ]
    return [stage for stage in chain if stage is not None]


def kernel_names(params: SamplingParams, is_constrained: bool = False) -> list[str]:
    """The kernels that a Sampler of these parameters calls: for whoever loads all its kernels at once."""
    c = new_candidates(1)
    chain = build_chain(params, c, [0], History(0, 1), np.zeros(2, np.int64))
    return ["sampling.begin", *(["sampling.allow"] if is_constrained else []), *(stage.kernel for stage in chain)]


@cache
def load_kernels(*names: str) -> Kernels:
    """Once a process, for all samplers that call the same ones."""
    return KernelStore().load([*names])


class Sampler:
    """Chooses the tokens of one sequence: `sample` from logits, `accept` what was chosen, and again.

    The same parameters, seed, accepted tokens and logits give the same tokens on every machine. `eog_ids` are the
    end-of-generation tokens that `ignore_eos` bans; `kernels` holds those of `kernel_names`, if the caller has loaded
    them already. Raises UsageError for a bias on a token that does not exist.
    """

    def __init__(
        self,
        params: SamplingParams,
        n_vocab: int,
        eog_ids: Collection[int] = frozenset(),
        kernels: Kernels | None = None,
        constraint: Constraint | None = None,
    ) -> None:
        if outside := [token for token in params.logit_bias if token >= n_vocab]:
            raise UsageError(f"logit_bias: there is no token {outside[0]}, the last one is {n_vocab - 1}")
        self.n_vocab, self.constraint = n_vocab, constraint
        self.seed = choose_seed(params.seed)  # in force: asked for, or chosen
        self.generator = mt19937(self.seed)
        self.noise = np.zeros(2, np.int64)
        self.history = History(params.repeat_last_n if params.has_penalties else 0, n_vocab)
        self.candidates = new_candidates(n_vocab)
        self.kernels = kernels or load_kernels(*kernel_names(params, constraint is not None))
        self.begin = stages.begin(self.candidates).link(self.kernels)
        chain = build_chain(params, self.candidates, eog_ids, self.history, self.noise)
        if constraint is not None:
            self.mask = np.zeros(-(-n_vocab // 32), np.uint32)
            chain.insert(0, stages.allow(self.candidates, self.mask))
        self.stages = [stage.link(self.kernels) for stage in chain]

    def sample(self, logits: npt.NDArray[np.float32]) -> int:
        """The next token.   logits: (n_vocab,) float32, contiguous; they are not changed

        Raises LlamakitError when a logit is NaN or infinite (-inf is fine: never chosen), or when bans leave no token.
        """
        if logits.shape != (self.n_vocab,) or logits.dtype != np.float32 or not logits.flags.c_contiguous:
            raise ValueError(f"needs {self.n_vocab} contiguous float32 logits, got {logits.dtype} {logits.shape}")
        self.begin.record.data["logits"] = logits.ctypes.data
        self.begin.run()
        if self.candidates.data["chosen"] < 0:
            raise LlamakitError("non-finite logits: the model's output is not a number; is the file damaged?")
        if self.constraint is not None:
            self.constraint.fill_mask(self.mask)
        self.noise[:] = self.generator.getrandbits(32), self.generator.getrandbits(32)
        for stage in self.stages:
            stage.run()
        token = int(self.candidates.data["chosen"])
        if token < 0:
            raise LlamakitError("no token may come next: logit biases or the grammar rule out all of them")
        return token

    def accept(self, token: int) -> None:
        """The sequence goes on with this token."""
        self.history.extend((token,))
        if self.constraint is not None:
            self.constraint.accept(token)

    def accept_prompt(self, tokens: Sequence[int]) -> None:
        """The sequence goes on with given tokens: they count for the penalties, but a constraint does not see them."""
        self.history.extend(tokens)

    def reset(self) -> None:
        """As newly made with the seed in force, for the next sequence. The constraint is the caller's to replace."""
        self.history.clear()
        self.generator = mt19937(self.seed)

    def save_state(self) -> bytes:
        """All that later draws depend on besides the parameters: random numbers and the last tokens."""
        words = np.array(self.generator.getstate()[1], "<u4")
        return words.tobytes() + np.array(self.history.tokens(), "<i4").tobytes()

    def load_state(self, data: bytes) -> None:
        """Go on as the sampler that `save_state` was asked of. Raises UsageError for one of other parameters."""
        data = data if len(data) % 4 == 0 else b""
        words = np.frombuffer(data[: 4 * (N_WORDS + 1)], "<u4").tolist()
        tokens = np.frombuffer(data[4 * (N_WORDS + 1) :], "<i4").tolist()
        fits = len(words) == N_WORDS + 1 and words[-1] <= N_WORDS and len(tokens) <= len(self.history.recent)
        if not fits or not all(0 <= token < self.n_vocab for token in tokens):
            raise UsageError("the state of a sampler with other parameters")
        self.generator.setstate((3, tuple(words), None))
        self.history.clear()
        self.history.extend(tokens)
