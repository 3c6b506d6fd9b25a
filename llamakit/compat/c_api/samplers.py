"""Functions of samplers. One alone is a chain of one stage; adding it to a chain adds its stage there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llamakit.api.grammar import LlamaGrammar
from llamakit.compat.c_api.types import llama_sampler_chain_params
from llamakit.compat.c_api.vocabs import vocab_of
from llamakit.compat.contexts import LlamaContext
from llamakit.compat.pointers import at, free, keep, pointer_to
from llamakit.compat.samplers import LlamaSampler
from llamakit.core.sampling.params import SamplingParams
from llamakit.errors import UsageError


class Chain(LlamaSampler):
    """One that knows how its stages are added to another."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Callable[[LlamaSampler], None]] = []

    def add(self, step: Callable[[LlamaSampler], None]) -> None:
        step(self)
        self.steps.append(step)

    def remove(self, i: int) -> Callable[[LlamaSampler], None]:
        """Be without a step, and return it. Raises IndexError where there is none."""
        removed = self.steps.pop(i)
        left, self.steps = self.steps, []
        self.params, self.grammar, self._sampler = SamplingParams(samplers=()), None, None
        for step in left:
            self.add(step)
        return removed


def of_one(step: Callable[[LlamaSampler], None]) -> int:
    chain = Chain()
    chain.add(step)
    return keep(chain)


def llama_sampler_chain_default_params() -> llama_sampler_chain_params:
    return llama_sampler_chain_params(no_perf=True)


def llama_sampler_chain_init(params: llama_sampler_chain_params) -> int:
    return keep(Chain())


def llama_sampler_chain_add(chain: Any, smpl: Any) -> None:
    """The chain takes a sampler over. Raises ValueError for a stage that is there already."""
    for step in at(smpl, Chain).steps:
        at(chain, Chain).add(step)
    free(smpl)


def llama_sampler_chain_n(chain: Any) -> int:
    return len(at(chain, Chain).steps)


def llama_sampler_chain_get(chain: Any, i: int) -> int | None:
    """One like a stage of the chain; the chain itself for -1, None where there is no such stage."""
    found = at(chain, Chain)
    if i == -1:
        return pointer_to(found)
    return of_one(found.steps[i]) if 0 <= i < len(found.steps) else None


def llama_sampler_chain_remove(chain: Any, i: int) -> int | None:
    """Take a stage out of the chain; None where there is no such stage."""
    found = at(chain, Chain)
    return of_one(found.remove(i)) if 0 <= i < len(found.steps) else None


def llama_sampler_free(smpl: Any) -> None:
    free(smpl)


def llama_sampler_init_greedy() -> int:
    return of_one(LlamaSampler.add_greedy)


def llama_sampler_init_dist(seed: int) -> int:
    return of_one(lambda chain: chain.add_dist(seed))


def llama_sampler_init_top_k(k: int) -> int:
    return of_one(lambda chain: chain.add_top_k(k))


def llama_sampler_init_top_p(p: float, min_keep: int) -> int:
    return of_one(lambda chain: chain.add_top_p(p, min_keep))


def llama_sampler_init_min_p(p: float, min_keep: int) -> int:
    return of_one(lambda chain: chain.add_min_p(p, min_keep))


def llama_sampler_init_typical(p: float, min_keep: int) -> int:
    return of_one(lambda chain: chain.add_typical(p, min_keep))


def llama_sampler_init_temp(t: float) -> int:
    return of_one(lambda chain: chain.add_temp(t))


def llama_sampler_init_temp_ext(t: float, delta: float, exponent: float) -> int:
    return of_one(lambda chain: chain.add_temp_ext(t, delta, exponent))


def llama_sampler_init_xtc(p: float, t: float, min_keep: int, seed: int) -> int:
    return of_one(lambda chain: chain.add_xtc(p, t, min_keep, seed))


def llama_sampler_init_top_n_sigma(n: float) -> int:
    return of_one(lambda chain: chain.add_top_n_sigma(n))


def llama_sampler_init_mirostat(n_vocab: int, seed: int, tau: float, eta: float, m: int) -> int:
    return of_one(lambda chain: chain.add_mirostat(n_vocab, seed, tau, eta, m))


def llama_sampler_init_mirostat_v2(seed: int, tau: float, eta: float) -> int:
    return of_one(lambda chain: chain.add_mirostat_v2(seed, tau, eta))


def llama_sampler_init_penalties(
    n_vocab: int, penalty_last_n: int, penalty_repeat: float, penalty_freq: float, penalty_present: float
) -> int:
    return of_one(
        lambda chain: chain.add_penalties(n_vocab, penalty_last_n, penalty_repeat, penalty_freq, penalty_present)
    )


def llama_sampler_init_dry(
    vocab: Any,
    dry_multiplier: float,
    dry_base: float,
    dry_allowed_length: int,
    dry_penalty_last_n: int,
    seq_breakers: Any,
    num_breakers: int,
) -> int:
    """seq_breakers: an array of char pointers."""
    breakers = tuple(seq_breakers[i].decode() for i in range(num_breakers))
    return of_one(
        lambda chain: chain.add_dry(None, dry_multiplier, dry_base, dry_allowed_length, dry_penalty_last_n, breakers)
    )


def llama_sampler_init_infill(vocab: Any) -> int:
    return of_one(lambda chain: chain.add_infill(None))


def llama_sampler_init_logit_bias(n_vocab: int, n_logit_bias: int, logit_bias: Any) -> int:
    """logit_bias: an array of llama_logit_bias."""
    biases = {logit_bias[i].token: logit_bias[i].bias for i in range(n_logit_bias)}
    return of_one(lambda chain: chain.add_logit_bias(n_vocab, biases))


def llama_sampler_init_grammar(vocab: Any, grammar_str: bytes, grammar_root: bytes) -> int:
    """Raises GrammarError for a text that is no grammar, UsageError unless it begins with the rule `root`."""
    if grammar_root != b"root":
        raise UsageError(f"a grammar begins with the rule root here, not {grammar_root.decode()}")
    rules, words = LlamaGrammar.from_string(grammar_str.decode()), vocab_of(vocab)
    return of_one(lambda chain: chain.set_grammar(words, rules))


def llama_sampler_sample(smpl: Any, ctx: Any, idx: int) -> int:
    """Choose and accept a token, from the logits of a token of the last batch."""
    return at(smpl, LlamaSampler).sample(at(ctx, LlamaContext), idx)


def llama_sampler_accept(smpl: Any, token: int) -> None:
    at(smpl, LlamaSampler).accept(token)


def llama_sampler_reset(smpl: Any) -> None:
    at(smpl, LlamaSampler).reset()


def llama_sampler_clone(smpl: Any) -> int:
    return keep(at(smpl, LlamaSampler).clone())


def llama_sampler_get_seed(smpl: Any) -> int:
    return at(smpl, LlamaSampler).get_seed()
