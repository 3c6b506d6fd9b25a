"""What the scheduler is asked for, made of what a client wants: samplers and grammars are built here."""

from __future__ import annotations

import hashlib
import pickle
import threading
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

from llamakit.core.engine.scheduler import Request
from llamakit.core.grammar.fuel import limited
from llamakit.core.grammar.grammar import Grammar
from llamakit.core.sampling.chain import Sampler, kernel_names
from llamakit.core.sampling.params import RANDOM_SEED
from llamakit.core.sampling.reasoning_budget import ReasoningBudget
from llamakit.core.sampling.seed import choose_seed

if TYPE_CHECKING:
    from llamakit.core.grammar.rules import Rules
    from llamakit.core.sampling.chain import Constraint as Matcher
    from llamakit.core.vocab.base import Vocab
    from llamakit.server.engine.generation import Budget, Generation

MOST_STEPS = 400_000  # to compile a grammar: some seconds, in which no other new one is
MOST_GRAMMARS = 32  # kept for the next request that has the same rules


class Requests:
    """Makes requests for one model. Any thread may call."""

    def __init__(self, vocab: Vocab, n_vocab: int) -> None:
        self.vocab, self.n_vocab = vocab, n_vocab
        self._grammars: OrderedDict[bytes, Grammar] = OrderedDict()
        self._lock = threading.Lock()
        self._kernels: set[str] = set()  # that samplers have used: they are loaded

    def is_quick(self, g: Generation) -> bool:
        """Whether nothing has to be compiled first."""
        return g.constraint is None and self._kernels.issuperset(kernel_names(g.sampling))

    def of(self, g: Generation, n: int = 1) -> list[Request]:
        """n continuations of a prompt, their seeds counting up.

        Raises UsageError for what the sampler cannot, GrammarError for rules that cannot be compiled.
        """
        seed = choose_seed(g.sampling.seed)
        return [self.request(g, (seed + place) % RANDOM_SEED if n > 1 else seed) for place in range(n)]

    def request(self, g: Generation, seed: int) -> Request:
        sampler = Sampler(
            replace(g.sampling, seed=seed), self.n_vocab, self.vocab.eog_ids, constraint=self.matcher(g),
            vocab=self.vocab, budget=budget(g.budget), constraint_is_lazy=g.constraint_sleeps,
        )  # fmt: skip
        self._kernels.update(kernel_names(g.sampling))
        return Request(
            g.tokens, sampler, n_predict=g.n_predict, stop=g.stop, n_keep=g.n_keep, n_logprobs=g.n_logprobs,
            show_special=g.show_special, use_cache=g.use_cache, n_prompt_logprobs=g.n_prompt_logprobs,
            scores_after_sampling=g.post_sampling_probs, tells_progress=g.tells_progress, salt=g.salt,
            adapters=None if g.adapters is None else tuple((str(i), scale) for i, scale in g.adapters), slot=g.slot,
            n_discard=g.n_discard, stops_at_ends=g.stops_at_ends, t_max_predict=g.t_max_predict,
            n_indent=g.n_indent, speculate=g.speculate, n_ctx=g.n_ctx,
            n_draft_max=g.n_draft_max, n_draft_min=g.n_draft_min,
        )  # fmt: skip

    def matcher(self, g: Generation) -> Matcher | None:
        if g.constraint is None:
            return None
        with limited(MOST_STEPS):
            grammar = self.grammar(g.constraint.rules)
            if g.constraint.triggers is None:
                return grammar.matcher(self.vocab)
            return grammar.lazy_matcher(self.vocab, g.constraint.triggers)

    def grammar(self, rules: Rules) -> Grammar:
        """Compiled, or remembered."""
        key = hashlib.sha256(pickle.dumps(rules)).digest()
        with self._lock:
            grammar = self._grammars.get(key)
            if grammar is not None:
                self._grammars.move_to_end(key)
                return grammar
        grammar = Grammar(rules)
        with self._lock:
            self._grammars[key] = grammar
            while len(self._grammars) > MOST_GRAMMARS:
                self._grammars.popitem(last=False)
        return grammar


def budget(b: Budget | None) -> ReasoningBudget | None:
    if b is None:
        return None
    made = ReasoningBudget(b.starts, b.ends, b.forced_end, b.n_tokens)
    if b.is_open:
        made.begin()
    return made
