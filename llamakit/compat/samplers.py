"""Stands for `llama_cpp._internals.LlamaSampler`: a chain that is put together stage by stage."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from llamakit.compat.contexts import LlamaContext
from llamakit.compat.internals import LlamaModel
from llamakit.core.sampling.chain import Sampler
from llamakit.core.sampling.params import SamplingParams
from llamakit.core.vocab.vocabulary import Vocab


class LlamaSampler:
    """Stages in the order they were added; `add_greedy` or `add_dist` chooses the token. Each stage can be there once.

    Raises ValueError for a stage that is there already, UsageError for values that make no sense.
    """

    def __init__(self) -> None:
        self.params = SamplingParams(samplers=())
        self.grammar: tuple[Vocab, Any] | None = None
        self._model: LlamaModel | None = None  # of the first draw
        self._sampler: Sampler | None = None  # made then
        self._accepted: list[int] = []  # before it

    def add_greedy(self) -> None:
        """The likeliest token of what the stages before have left; a temperature among them changes nothing."""
        others = tuple(name for name in self.params.samplers if name != "temperature")
        self._set(samplers=(*others, "temperature"), temperature=0.0, dynatemp_range=0.0)

    def add_dist(self, seed: int) -> None:
        self._set(seed=seed)

    def add_softmax(self) -> None:
        """Nothing: the draw needs no probabilities beforehand."""

    def add_top_k(self, k: int) -> None:
        self._add("top_k", top_k=k)

    def add_top_p(self, p: float, min_keep: int = 1) -> None:
        self._add("top_p", top_p=p, min_keep=min_keep)

    def add_min_p(self, p: float, min_keep: int = 1) -> None:
        self._add("min_p", min_p=p, min_keep=min_keep)

    def add_typical(self, p: float, min_keep: int = 1) -> None:
        self._add("typ_p", typical_p=p, min_keep=min_keep)

    def add_temp(self, temp: float) -> None:
        self._add("temperature", temperature=temp)

    def add_temp_ext(self, t: float, delta: float, exponent: float) -> None:
        self._add("temperature", temperature=t, dynatemp_range=delta, dynatemp_exponent=exponent)

    def add_xtc(self, p: float, t: float, min_keep: int, seed: int) -> None:
        self._add("xtc", xtc_probability=p, xtc_threshold=t, min_keep=min_keep, seed=seed)

    def add_top_n_sigma(self, n: float) -> None:
        self._add("top_n_sigma", top_n_sigma=n)

    def add_mirostat(self, n_vocab: int, seed: int, tau: float, eta: float, m: int) -> None:
        self._set(mirostat=1, seed=seed, mirostat_tau=tau, mirostat_eta=eta)

    def add_mirostat_v2(self, seed: int, tau: float, eta: float) -> None:
        self._set(mirostat=2, seed=seed, mirostat_tau=tau, mirostat_eta=eta)

    def add_penalties(
        self, n_vocab: int, penalty_last_n: int, penalty_repeat: float, penalty_freq: float, penalty_present: float
    ) -> None:
        self._add(
            "penalties", repeat_last_n=penalty_last_n, repeat_penalty=penalty_repeat, frequency_penalty=penalty_freq,
            presence_penalty=penalty_present,
        )  # fmt: skip

    def add_dry(
        self,
        model: LlamaModel | None,
        dry_multiplier: float,
        dry_base: float,
        dry_allowed_length: int,
        dry_penalty_last_n: int,
        seq_breakers: Sequence[str] = (),
    ) -> None:
        self._add(
            "dry", dry_multiplier=dry_multiplier, dry_base=dry_base, dry_allowed_length=dry_allowed_length,
            dry_penalty_last_n=dry_penalty_last_n, dry_sequence_breakers=tuple(seq_breakers),
        )  # fmt: skip

    def add_logit_bias(self, n_vocab: int, logit_bias: Mapping[int, float]) -> None:
        self._set(logit_bias=dict(logit_bias))

    def add_infill(self, model: LlamaModel | None) -> None:
        self._add("infill")

    def add_grammar(self, model: LlamaModel, grammar: Any) -> None:
        """Only what a LlamaGrammar allows."""
        self.set_grammar(model.vocab, grammar)

    def set_grammar(self, vocab: Vocab, grammar: Any) -> None:
        self.grammar, self._sampler = (vocab, grammar), None

    def get_seed(self) -> int:
        """The seed in force; that asked for, before the first token."""
        seed = self.params.seed if self._sampler is None else self._sampler.seed
        return 0xFFFFFFFF if seed is None else seed

    def sample(self, ctx: LlamaContext, idx: int = -1) -> int:
        """Choose and accept the next token, from the logits of a token of the last batch."""
        if self._sampler is None:
            self._model, self._sampler = ctx.model, self._made(ctx.model)
        token = self._sampler.sample(ctx.logits_of(idx))
        self._sampler.accept(token)
        return token

    def accept(self, token: int) -> None:
        """What stands before the next token, though it was not chosen here."""
        if self._sampler is None:
            self._accepted.append(token)
        else:
            self._sampler.accept(token)

    def reset(self) -> None:
        self._accepted.clear()
        if self.grammar is not None:
            self._sampler = None  # its grammar begins anew with it
        elif self._sampler is not None:
            self._sampler.reset()

    def clone(self) -> LlamaSampler:
        """Another one in the same state. Raises NotImplementedError amid a grammar."""
        twin = copy.copy(self)
        twin._accepted = self._accepted.copy()
        if self._sampler is not None and self._model is not None:
            if self.grammar is not None:
                raise NotImplementedError("a sampler amid a grammar cannot be cloned")
            twin._sampler = self._made(self._model)
            twin._sampler.load_state(self._sampler.save_state())
        return twin

    def close(self) -> None:
        self._sampler = None

    def _made(self, model: LlamaModel) -> Sampler:
        grammar = None if self.grammar is None else self.grammar[1].matcher(self.grammar[0])
        vocab = model.vocab
        sampler = Sampler(self.params, model.opened.n_vocab, vocab.eog_ids, constraint=grammar, vocab=vocab)
        for token in self._accepted:
            sampler.accept(token)
        return sampler

    def _add(self, stage: str, **values: Any) -> None:
        if stage in self.params.samplers:
            raise ValueError(f"the chain has {stage} already")
        self._set(samplers=(*self.params.samplers, stage), **values)

    def _set(self, **values: Any) -> None:
        self.params, self._sampler = replace(self.params, **values), None
