"""llama-cpp-python's half below the text: a sequence of token ids that grows by `eval`, `sample` and `generate`."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from llamakit.api.arguments import functions, whole_number
from llamakit.api.drawing import Criterion, Processor, processed
from llamakit.api.shared import CLOSED, SharedContext
from llamakit.api.state import LlamaState
from llamakit.api.turns import Turns
from llamakit.core.engine.context import Chunk, Context, Outputs
from llamakit.core.engine.generate import n_common
from llamakit.core.sampling.chain import Constraint, Sampler
from llamakit.core.sampling.order import DEFAULT_ORDER, with_tail_free
from llamakit.core.sampling.params import SamplingParams
from llamakit.errors import ModelError, UsageError

if TYPE_CHECKING:
    from llamakit.core.grammar.grammar import Grammar

Floats = npt.NDArray[np.float32]
Tokens = npt.NDArray[np.int32]
WHOLE_VOCABULARY: Mapping[str, Any] = {
    "temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "typical_p": 1.0, "tfs_z": 1.0, "mirostat": 0,
}  # fmt: skip


class Watched(Enum):
    """Whether a trace is on (see `looking.py`)."""

    NO = "what is kept is the model's own"
    NOW = "one is on"
    BEFORE = "one was, and the last logits are what its hooks have made of them"


class TokenApi:
    """The tokens evaluated so far and their logits. Without a context there is nothing to evaluate with.

    `n_tokens` are evaluated; setting it to less forgets those behind. `input_ids[:n_tokens]` are their ids.
    A completion leaves its tokens here when it ends, unless another thread is evaluating a sequence of its own.
    Threads may go on with what others have left, but one works here at a time: while a call, or a generator that has
    not ended, of another one does, what would change the sequence raises UsageError.
    """

    def __init__(
        self, shared: SharedContext | None, n_ctx: int, n_vocab: int, seed: int, logits_all: bool,
        last_n_tokens_size: int,
    ) -> None:  # fmt: skip
        self._shared, self._n_ctx, self._n_vocab = shared, n_ctx, n_vocab
        self.logits_all, self.last_n_tokens_size = logits_all, last_n_tokens_size
        self.set_seed(seed)
        self._n_tokens = 0
        self.input_ids: Tokens = np.zeros(n_ctx, np.int32)
        # n_tokens when `_last` was computed; -1: others have computed the tokens, and kept no logits
        self._n_scored = 0
        self._watched = Watched.NO
        self._turns = Turns()
        self._n_generators = 0  # that have begun: the last of them goes on
        self._last: Floats = np.zeros(n_vocab, np.float32)
        self._rows = new_rows(n_ctx, n_vocab) if logits_all and shared else None

    @property
    def n_tokens(self) -> int:
        """How many tokens are evaluated. It can be made less: UsageError for other numbers."""
        return self._n_tokens

    @n_tokens.setter
    def n_tokens(self, n: int) -> None:
        n = whole_number("n_tokens", n)
        if not 0 <= n <= self._n_tokens:
            raise UsageError(f"n_tokens cannot be {n}: {self._n_tokens} tokens were evaluated; more are by `eval`")
        with self._turns.use():
            self._n_tokens = n

    @staticmethod
    def longest_token_prefix(a: Sequence[int], b: Sequence[int]) -> int:
        """How many tokens two sequences have in common at their start."""
        return n_common(a, b)

    @staticmethod
    def logits_to_logprobs(logits: npt.ArrayLike, axis: int = -1) -> Floats:
        """log(softmax(logits)) along an axis, float32 of the same shape."""
        rows = np.asarray(logits, np.float32)
        rows = rows - rows.max(axis=axis, keepdims=True)
        result: Floats = rows - np.log(np.exp(rows).sum(axis=axis, keepdims=True))
        return result

    def n_ctx(self) -> int:
        """Positions that the sequence can have."""
        return self._n_ctx

    def n_vocab(self) -> int:
        return self._n_vocab

    def set_seed(self, seed: int) -> None:
        """Of the samplers made from now on; -1 and 0xFFFFFFFF choose a random one for each."""
        SamplingParams(seed=seed)  # checks it
        self.seed = seed

    def constraint(self, grammar: Grammar | Constraint | None) -> Constraint | None:
        """What holds a sequence to a grammar. Token ids alone know no texts: `Llama` knows more."""
        if grammar is None or isinstance(grammar, Constraint):
            return grammar
        raise UsageError("a grammar needs a vocabulary; give what `Grammar.matcher` makes")

    def reset(self) -> None:
        """Begin a new sequence."""
        self.n_tokens = 0

    def eval(self, tokens: Sequence[int]) -> None:
        """Add tokens to the sequence and compute their logits.

        Raises UsageError for an id that is no token, ModelError when they do not fit n_ctx: then nothing was added.
        """
        if len(tokens):
            with self._turns.use():
                self._renew()
                if self._rows is not None:
                    self._evaluate_again()
                self._evaluate(tokens)

    def _evaluate(self, tokens: Sequence[int]) -> None:
        n_past, n = self.n_tokens, len(tokens)
        with self.alone() as context:
            self._catch_up(context)
            logits = context.decode([Chunk(tokens, 0, Outputs.LAST if self._rows is None else Outputs.ALL)])
            self.input_ids[n_past : n_past + n] = tokens
            self.shared.hold(self.input_ids[: n_past + n])
        if self._rows is not None:
            self._rows[n_past : n_past + n] = logits
        self._last = logits[-1]
        self._n_tokens = self._n_scored = n_past + n

    def _catch_up(self, context: Context) -> Tokens:
        """Have the evaluated tokens in the cache, and no others: it may have been used for something else."""
        tokens = self.input_ids[: self.n_tokens].copy()  # a completion may leave others there meanwhile
        n_left = self.shared.begin_like(tokens)
        if n_left < len(tokens):
            context.decode([Chunk(tokens[n_left:].tolist(), 0, Outputs.NONE)])
            self.shared.hold(tokens)
        return tokens

    def has_free_sequence(self) -> bool:
        """May a completion of this thread change it? Not while anybody works on it, or where another thread did."""
        return self._turns.is_free

    def _take_over(self, tokens: Sequence[int]) -> None:
        """Let the sequence be what a completion of this thread has computed."""

        def change() -> None:
            self._n_tokens, self._n_scored = len(tokens), -1
            self.input_ids[: len(tokens)] = tokens

        self._turns.leave(change)

    def _evaluate_again(self) -> None:
        """Where others have computed the tokens: those whose logits are to be kept."""
        if self._n_scored < 0 < self.n_tokens:
            with self._turns.use():
                n_known = self.n_tokens - 1 if self._rows is None else 0
                tokens = self.input_ids[n_known : self.n_tokens].tolist()
                self._n_tokens = n_known
                self._evaluate(tokens)

    # while others look on
    def begin_watched(self) -> None:
        """Have all tokens computed again that are needed from now on: somebody looks on, and may change them."""
        self._n_scored, self._watched = -1, Watched.NOW

    def end_watched(self, had_hooks: bool) -> None:
        """The logits stay what hooks have made of them; whatever goes on from here does so without."""
        self._watched = Watched.BEFORE if had_hooks and self._n_scored >= 0 else Watched.NO

    def _renew(self) -> None:
        """Do not go on from logits that hooks have changed."""
        if self._watched is Watched.BEFORE:
            self._n_scored, self._watched = -1, Watched.NO

    @property
    def scores(self) -> Floats:
        """Logits of the evaluated tokens; without logits_all, rows but the last are zero.   (n_tokens, n_vocab)"""
        self._evaluate_again()
        if self._rows is not None:
            return self._rows[: self.n_tokens]
        rows = np.zeros((self.n_tokens, self._n_vocab), np.float32)
        if 0 < self.n_tokens == self._n_scored:
            rows[-1] = self._last
        return rows

    @property
    def eval_tokens(self) -> deque[int]:
        return deque(self.input_ids[: self.n_tokens].tolist(), maxlen=self._n_ctx)

    @property
    def eval_logits(self) -> deque[list[float]]:
        """Logits of all tokens with logits_all, else of the last."""
        return deque(self.scores.tolist() if self.logits_all else self.scores[-1:].tolist(), maxlen=self._n_ctx)

    # sampling
    def sample(
        self,
        top_k: int = 40,
        top_p: float = 0.95,
        min_p: float = 0.05,
        typical_p: float = 1.0,
        temp: float = 0.80,
        repeat_penalty: float = 1.0,
        frequency_penalty: float = 0.0,
        presence_penalty: float = 0.0,
        tfs_z: float = 1.0,
        mirostat_mode: int = 0,
        mirostat_eta: float = 0.1,
        mirostat_tau: float = 5.0,
        penalize_nl: bool = True,
        logits_processor: Iterable[Processor] | None = None,
        grammar: Grammar | Constraint | None = None,
        idx: int | None = None,
    ) -> int:
        """A token to follow the last one, or the one at `idx`. The seed begins anew and nothing counts as repeated."""
        params = self.sampling_params(SamplingParams(
            top_k=top_k, top_p=top_p, min_p=min_p, typical_p=typical_p, temperature=temp,
            repeat_penalty=repeat_penalty, frequency_penalty=frequency_penalty, presence_penalty=presence_penalty,
            tfs_z=tfs_z, mirostat=mirostat_mode, mirostat_tau=mirostat_tau, mirostat_eta=mirostat_eta,
        ))  # fmt: skip
        with self._turns.use():
            sampler = Sampler(params, self._n_vocab, constraint=self.constraint(grammar))
            return self._sample(sampler, idx, logits_processor)

    def generate(
        self,
        tokens: Sequence[int],
        top_k: int = 40,
        top_p: float = 0.95,
        min_p: float = 0.05,
        typical_p: float = 1.0,
        temp: float = 0.80,
        repeat_penalty: float = 1.0,
        reset: bool = True,
        frequency_penalty: float = 0.0,
        presence_penalty: float = 0.0,
        tfs_z: float = 1.0,
        mirostat_mode: int = 0,
        mirostat_tau: float = 5.0,
        mirostat_eta: float = 0.1,
        penalize_nl: bool = True,
        logits_processor: Iterable[Processor] | None = None,
        stopping_criteria: Criterion | None = None,
        grammar: Grammar | Constraint | None = None,
    ) -> Generator[int, Sequence[int] | None, None]:
        """Yield the tokens that follow `tokens`, for ever: end-of-generation tokens too. Tokens sent to the generator
        come behind the last one it gave.

        With `reset` the sequence becomes `tokens`, and what it begins with already is not computed again; without,
        they are added. The penalties see generated tokens only. Raises ModelError when n_ctx is full.
        """
        params = self.sampling_params(SamplingParams(
            top_k=top_k, top_p=top_p, min_p=min_p, typical_p=typical_p, temperature=temp,
            repeat_penalty=repeat_penalty, frequency_penalty=frequency_penalty, presence_penalty=presence_penalty,
            tfs_z=tfs_z, mirostat=mirostat_mode, mirostat_tau=mirostat_tau, mirostat_eta=mirostat_eta,
        ))  # fmt: skip
        return self.generate_with(params, tokens, reset, logits_processor, stopping_criteria, grammar)

    def sampling_params(self, wanted: SamplingParams) -> SamplingParams:
        """What is wanted, as llama-cpp-python means it: with a tail-free stage, and penalties over as many tokens as
        `last_n_tokens_size` says. Below 0, the temperature draws from the whole vocabulary as it is."""
        seed = self.seed if wanted.seed is None else wanted.seed
        order, n_last = with_tail_free(DEFAULT_ORDER), self.last_n_tokens_size
        params = replace(wanted, samplers=order, seed=seed, repeat_last_n=n_last)
        return params if wanted.temperature >= 0 else replace(params, **WHOLE_VOCABULARY)

    def generate_with(
        self,
        params: SamplingParams,
        tokens: Sequence[int],
        reset: bool = True,
        logits_processor: Iterable[Processor] | None = None,
        stopping_criteria: Criterion | None = None,
        grammar: Grammar | Constraint | None = None,
    ) -> Generator[int, Sequence[int] | None, None]:
        """`generate` with the sampling said at once."""
        sampler = Sampler(params, self._n_vocab, constraint=self.constraint(grammar))
        with self._turns.use():
            self._n_generators += 1
            number = self._n_generators
            new = self._keep_prefix(list(tokens)) if reset else list(tokens)
            while True:
                self.eval(new)
                token = self._sample(sampler, None, logits_processor)
                if stopping_criteria is not None and stopping_criteria(self.input_ids[: self.n_tokens], self._last):
                    return
                sent = yield token
                self._turns.resume()
                if number != self._n_generators:
                    raise UsageError("this `generate` cannot go on: another one has begun on the same sequence")
                new = [token, *(sent or ())]

    def _keep_prefix(self, tokens: list[int]) -> list[int]:
        """Forget what `tokens` do not begin with; returns those left to evaluate: one at least, for its logits."""
        self._renew()
        n = 0
        while n < min(self.n_tokens, len(tokens)) and self.input_ids[n] == tokens[n]:
            n += 1
        if n == len(tokens) == self.n_tokens == self._n_scored:
            return []
        self._n_tokens = max(0, min(n, len(tokens) - 1))
        return tokens[self.n_tokens :]

    def _sample(self, sampler: Sampler, idx: int | None, processors: Iterable[Processor] | None) -> int:
        logits = self._logits_of(self.n_tokens - 1 if idx is None else idx)
        for process in functions("logits_processor", processors):
            logits = processed(process, self.input_ids[: self.n_tokens], logits)
        token = sampler.sample(logits)
        sampler.accept(token)
        return token

    def _logits_of(self, i: int) -> Floats:
        self._evaluate_again()
        if not 0 <= i < self.n_tokens:
            raise UsageError(f"no logits of token {i}: {self.n_tokens} tokens were evaluated")
        if self._rows is not None:
            row: Floats = self._rows[i]
            return row
        if i != self._n_scored - 1:
            raise UsageError(f"the logits of token {i} were not kept; open the model with logits_all=True")
        return self._last

    # the sequence as it is
    def save_state(self) -> LlamaState:
        """To go on from later."""
        self._renew()
        with self.alone() as context:
            tokens = self._catch_up(context)
            data = context.save_state(tokens.tolist())
        scores = self.scores.copy() if self._n_scored >= 0 else np.empty((0, self._n_vocab), np.float32)
        return LlamaState(tokens, scores, len(tokens), data, len(data), self.seed)

    def load_state(self, state: LlamaState) -> None:
        """Go on from a state. Raises StateError for one that is damaged, or of another model."""
        if not isinstance(state, LlamaState):
            raise UsageError(f"state is {state!r:.60}; it must be what save_state gave")
        with self._turns.use():
            self._renew()
            is_watched = self._watched is Watched.NOW
            if is_watched or not self.shared.learn(state.llama_state):
                with self.shared.alone() as context:
                    context.load_state(state.llama_state)
                    self.shared.hold(state.input_ids[: state.n_tokens])
                    if is_watched:  # nobody has seen how that was computed
                        context.cache.clear()
            n = self._n_tokens = state.n_tokens
            self.input_ids[:n] = state.input_ids[:n]
            rows = state.scores[-n:] if n else state.scores[:0]
            if self._rows is not None and len(rows) == n:
                self._rows[:n] = rows
            self._n_scored = n if len(rows) and not is_watched else -1
            self._last = rows[-1].copy() if len(rows) else self._last
            self.seed = state.seed

    @property
    def shared(self) -> SharedContext:
        """The context, as all threads use it. Raises UsageError when there is none."""
        if self._shared is None:
            raise UsageError(CLOSED)
        return self._shared

    def alone(self) -> AbstractContextManager[Context]:
        """The context for this thread, when others have what they asked for. Raises UsageError when closed."""
        return self.shared.alone(self.input_ids[: self.n_tokens].tolist())


def new_rows(n_ctx: int, n_vocab: int) -> Floats:
    """(n_ctx, n_vocab) zeros; the system gives their pages when they are written."""
    try:
        return np.zeros((n_ctx, n_vocab), np.float32)
    except MemoryError:
        n_bytes = 4 * n_ctx * n_vocab
        raise ModelError(f"logits_all needs {n_bytes:,} bytes for n_ctx={n_ctx}; use a smaller n_ctx") from None


def or_minus_one(token: int | None) -> int:
    """A token's id as llama.cpp gives it: -1 where there is none."""
    return -1 if token is None else token
