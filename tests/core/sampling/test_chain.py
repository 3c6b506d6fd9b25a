"""The whole sampler: seeds, the order of its stages, memory, constraints, and logits that are no numbers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from llamakit.core.sampling import SamplingParams
from llamakit.core.sampling.chain import Sampler, kernel_names
from llamakit.errors import LlamakitError, UsageError

N_VOCAB = 1000
PLAIN = {"top_k": 0, "top_p": 1.0, "min_p": 0.0, "temperature": 1.0}  # every stage off but the draw


def make_logits(seed=0, n=N_VOCAB, spread=3.0):
    return (np.random.default_rng(seed).normal(size=n) * spread).astype(np.float32)


def generate(sampler, n=50):
    tokens = []
    for i in range(n):
        tokens.append(sampler.sample(make_logits(i)))
        sampler.accept(tokens[-1])
    return tokens


def truncated(logits, p):
    """Probabilities of all tokens after top-k, top-p, min-p and temperature, one after the other."""
    probs = np.zeros(len(logits))
    kept = np.argsort(-logits, kind="stable")[: p.top_k]
    x = logits[kept].astype(np.float64)
    weights = np.exp(x - x[0])
    n = np.searchsorted(np.cumsum(weights) / weights.sum(), p.top_p) + 1
    kept, x = kept[:n], x[:n]
    near = x >= x[0] + math.log(p.min_p)
    kept, x = kept[near], x[near]
    weights = np.exp((x - x[0]) / p.temperature)
    probs[kept] = weights / weights.sum()
    return probs


def test_draws_follow_the_truncated_probabilities():
    n_draws, params = 20_000, SamplingParams(seed=5, top_k=20, top_p=0.9, min_p=0.1, temperature=1.2)
    logits = make_logits(spread=1.5)
    want = truncated(logits, params) * n_draws
    sampler = Sampler(params, N_VOCAB)
    got = np.bincount([sampler.sample(logits) for _ in range(n_draws)], minlength=N_VOCAB)
    kept = want > 0
    assert kept.sum() > 5 and got[~kept].sum() == 0
    chi_square = ((got - want)[kept] ** 2 / want[kept]).sum()
    freedom = kept.sum() - 1
    assert chi_square < freedom + 4 * math.sqrt(2 * freedom)


def test_the_first_random_numbers_are_those_of_std_mt19937():
    """Two tokens of equal logits: token 0 when the draw is at most a half. The outputs are those of C++'s generator."""
    outputs = np.random.RandomState(42).randint(0, 1 << 32, 40, np.uint32).astype(np.float64)
    draws = (outputs[0::2] + outputs[1::2] * 2.0**32) / 2.0**64
    sampler = Sampler(SamplingParams(seed=42, **PLAIN), 2)
    assert [sampler.sample(np.zeros(2, np.float32)) for _ in draws] == [int(u > 0.5) for u in draws]


def test_a_seed_gives_the_same_tokens_again_and_another_seed_others():
    first = generate(Sampler(SamplingParams(seed=7), N_VOCAB))
    assert generate(Sampler(SamplingParams(seed=7), N_VOCAB)) == first
    assert generate(Sampler(SamplingParams(seed=8), N_VOCAB)) != first


def test_reset_starts_over():
    sampler = Sampler(SamplingParams(seed=7, repeat_penalty=1.5, repeat_last_n=20), N_VOCAB)
    first = generate(sampler)
    assert generate(sampler) != first
    sampler.reset()
    assert generate(sampler) == first


@pytest.mark.parametrize("asked", [None, -1, 0xFFFFFFFF])
def test_a_random_seed_is_chosen_and_can_be_used_again(asked):
    sampler = Sampler(SamplingParams(seed=asked), N_VOCAB)
    assert sampler.seed != Sampler(SamplingParams(seed=asked), N_VOCAB).seed
    assert generate(Sampler(SamplingParams(seed=sampler.seed), N_VOCAB)) == generate(sampler)


def test_greedy_takes_the_largest_after_the_penalties():
    sampler = Sampler(SamplingParams(temperature=0, presence_penalty=100), N_VOCAB)
    logits = make_logits()
    best = np.argsort(-logits)
    sampler.accept_prompt([int(best[0])])
    for token in best[1:5]:
        assert sampler.sample(logits) == token
        sampler.accept(int(token))


def test_penalties_forget_what_is_further_back_than_repeat_last_n():
    sampler = Sampler(SamplingParams(temperature=0, presence_penalty=100, repeat_last_n=2), N_VOCAB)
    logits = make_logits()
    best = int(np.argmax(logits))
    sampler.accept(best)
    for other in (1, 2):
        assert sampler.sample(logits) != best
        sampler.accept(other)
    assert sampler.sample(logits) == best


def test_the_callers_logits_do_not_change():
    logits = make_logits()
    before = logits.copy()
    logits.flags.writeable = False
    params = SamplingParams(repeat_penalty=2.0, logit_bias={3: 5.0})
    sampler = Sampler(params, N_VOCAB)
    sampler.accept(4)
    sampler.sample(logits)
    np.testing.assert_array_equal(logits, before)


def test_ignore_eos_never_ends():
    logits = make_logits()
    logits[[10, 20]] += 50
    assert Sampler(SamplingParams(), N_VOCAB, eog_ids={10, 20}).sample(logits) in (10, 20)
    assert Sampler(SamplingParams(ignore_eos=True), N_VOCAB, eog_ids={10, 20}).sample(logits) not in (10, 20)


class Only:
    """A constraint that allows some tokens, and notes what it is told."""

    def __init__(self, *tokens):
        self.tokens, self.accepted = tokens, []

    def fill_mask(self, mask):
        mask[:] = 0
        for token in self.tokens:
            mask[token // 32] |= np.uint32(1 << token % 32)

    def accept(self, token):
        self.accepted.append(token)


@pytest.mark.parametrize("temperature", [0, 0.8])
def test_a_constraint_decides_what_may_come(temperature):
    constraint = Only(31, 32, 999)
    sampler = Sampler(SamplingParams(temperature=temperature), N_VOCAB, constraint=constraint)
    sampler.accept_prompt([1, 2, 3])
    tokens = generate(sampler)
    assert set(tokens) <= {31, 32, 999}
    assert constraint.accepted == tokens


def test_a_constraint_that_allows_nothing_is_an_error():
    for temperature in (0, 0.8):
        sampler = Sampler(SamplingParams(temperature=temperature), N_VOCAB, constraint=Only())
        with pytest.raises(UsageError, match="no token may come next"):
            sampler.sample(make_logits())


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("where", [slice(None), 0, 999])
@pytest.mark.parametrize("options", [{}, {"temperature": 0}, {"top_k": 0}])
def test_fault_35_logits_that_are_no_numbers_are_an_error(bad, where, options):
    sampler = Sampler(SamplingParams(**options), N_VOCAB)
    logits = make_logits()
    logits[where] = bad
    with pytest.raises(LlamakitError, match="non-finite logits"):
        sampler.sample(logits)
    sampler.sample(make_logits())  # and the sampler goes on


def test_fault_35_all_logits_minus_infinity_are_an_error():
    with pytest.raises(LlamakitError, match="non-finite logits"):
        Sampler(SamplingParams(), N_VOCAB).sample(np.full(N_VOCAB, -np.inf, np.float32))


@pytest.mark.parametrize(
    "options",
    [{"temperature": 3e38}, {"temperature": 1e-300}, {"top_p": 0.0}, {"min_p": 1e-300}, {"top_k": 1 << 24},
     {"min_keep": 1 << 24, "top_k": 0}, {"frequency_penalty": 3e38}, {"repeat_penalty": 1e-30}, {"top_k": -5},
     {"samplers": ("penalties",) * 5, "repeat_penalty": 1e-30}, {"samplers": ("penalties",), "presence_penalty": -3e38},
     {"xtc_probability": 1.0, "xtc_threshold": 0.0, "top_n_sigma": 0.5}, {"typical_p": 0.0}, {"tfs_z": 0.0},
     {"mirostat": 1, "mirostat_tau": 1e6}, {"mirostat": 2, "mirostat_tau": -1e6}, {"mirostat": 2, "mirostat_eta": -1e6},
     {"dynatemp_range": 3e38, "dynatemp_exponent": 3e38}, {"adaptive_target": 1.0, "samplers": ("adaptive_p",)},
     {"dry_multiplier": -3e38, "dry_base": 3e38, "dry_allowed_length": 0, "dry_sequence_breakers": ()}],
)  # fmt: skip
def test_extreme_options_still_give_a_token(options):
    sampler = Sampler(SamplingParams(**options), N_VOCAB)
    sampler.accept_prompt([1, 2, 3] * 10)
    for _ in range(3):
        token = sampler.sample(make_logits())
        assert 0 <= token < N_VOCAB
        sampler.accept(token)


@pytest.mark.parametrize(
    "bad", [np.zeros(N_VOCAB - 1, np.float32), np.zeros(N_VOCAB), np.zeros(2 * N_VOCAB, np.float32)[::2]]
)
def test_logits_of_another_shape_are_refused(bad):
    with pytest.raises(ValueError, match="contiguous float32 logits"):
        Sampler(SamplingParams(), N_VOCAB).sample(bad)


def test_a_bias_on_a_token_that_does_not_exist_is_an_error():
    with pytest.raises(UsageError, match="logit_bias: there is no token 1000"):
        Sampler(SamplingParams(logit_bias={1000: 1.0}), N_VOCAB)


@pytest.mark.parametrize(
    "options, names",
    [
        ({"temperature": 0}, ["begin", "greedy"]),
        ({"temperature": 1, "top_p": 1}, ["begin", "top_k", "min_p", "draw"]),
        ({"repeat_penalty": 1.1}, ["begin", "penalties", "top_k", "top_p", "min_p", "temperature", "draw"]),
    ],
)
def test_a_chain_has_only_the_stages_that_change_something(options, names):
    assert [name.partition(".")[2] for name in kernel_names(SamplingParams(**options))] == names


def test_a_state_goes_on_as_its_sampler_would():
    params = SamplingParams(seed=3, repeat_penalty=1.3, repeat_last_n=5)
    rows = np.random.default_rng(0).normal(size=(30, 50)).astype(np.float32)

    def draw(sampler, rows):
        tokens = []
        for row in rows:
            tokens.append(sampler.sample(row))
            sampler.accept(tokens[-1])
        return tokens

    sampler = Sampler(params, 50)
    draw(sampler, rows[:12])
    state, other = sampler.save_state(), Sampler(replace(params, seed=4), 50)
    draw(other, rows[3:7])
    other.load_state(state)
    assert draw(other, rows[12:]) == draw(sampler, rows[12:])


@pytest.mark.parametrize("change", [lambda s: s[:-1], lambda s: s[:100], lambda s: s + b"\xff" * 4, lambda s: b""])
def test_a_state_that_does_not_fit_is_refused(change):
    sampler = Sampler(SamplingParams(repeat_penalty=1.3), 50)
    with pytest.raises(UsageError, match="other parameters"):
        sampler.load_state(change(sampler.save_state()))


@pytest.mark.parametrize("options", [{}, {"top_k": 0}, {"top_k": 0, "top_p": 1.0, "min_p": 0.0}, {"temperature": 0}])
def test_left_are_the_probabilities_of_the_draw(options):
    params = SamplingParams(seed=1, **options)
    sampler, logits = Sampler(params, N_VOCAB), make_logits()
    token = sampler.sample(logits)
    ids, probs = sampler.left(N_VOCAB)
    if options == {"temperature": 0}:
        assert (ids.tolist(), probs.tolist()) == ([token], [1.0])
        return
    assert token in ids and probs.sum() == pytest.approx(1)
    assert (np.diff(probs) <= 0).all()
    if params.top_k:
        want = truncated(logits, params)
        np.testing.assert_allclose(probs, want[ids], rtol=1e-4)
    first, second = sampler.left(2)
    assert (first.tolist(), second.tolist()) == (ids[:2].tolist(), probs[:2].tolist())


def test_greedy_can_leave_the_others_for_their_scores():
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))
    options = {"samplers": ("penalties", "temperature"), "temperature": 0.0, "presence_penalty": 2.0}
    sampler, usual = (Sampler(SamplingParams(keeps_others=keeps, **options), 4) for keeps in (True, False))
    for each in sampler, usual:
        each.accept(0)
        assert each.sample(logits) == 1
    penalized = logits.astype(np.float64) - [2, 0, 0, 0]
    want = penalized - np.log(np.exp(penalized).sum())
    own, ids, scores = sampler.scores_left(1, 3)
    assert ids.tolist() == [1, 2, 0]
    np.testing.assert_allclose([own, *scores], [want[1], *want[[1, 2, 0]]], rtol=1e-6)
    assert sampler.scores_left(7, 0)[0] == -np.inf
    own, ids, scores = usual.scores_left(1, 3)
    assert (own, ids.tolist(), scores.tolist()) == (0, [1], [0])


def test_a_chain_runs_in_the_users_order():
    logits = np.log(np.array([0.4, 0.3, 0.2, 0.1], np.float32))
    late = Sampler(SamplingParams(samplers=("top_k", "top_p"), top_k=2, top_p=0.6), 4)  # 0.4 / 0.7 is not enough
    early = Sampler(SamplingParams(samplers=("top_p", "top_k"), top_k=3, top_p=0.35), 4)
    late.sample(logits), early.sample(logits)
    assert late.left(9)[0].tolist() == [0, 1] and early.left(9)[0].tolist() == [0]
    hot = SamplingParams(samplers=("temperature", "min_p"), temperature=3.0, min_p=0.4)
    for params, n in ((hot, 4), (replace(hot, samplers=("min_p", "temperature")), 3)):
        sampler = Sampler(params, 4)
        sampler.sample(logits)
        assert len(sampler.left(9)[0]) == n


def test_greedy_minds_stages_that_reorder_what_was_truncated_before():
    logits = np.array([3.0, 2.0, 1.0], np.float32)
    options = {"temperature": 0, "presence_penalty": 100, "top_k": 1}
    for order, token in (("top_k", "penalties"), 0), (("penalties", "top_k"), 1):
        sampler = Sampler(SamplingParams(samplers=(*order, "temperature"), **options), 3)
        sampler.accept(0)
        assert sampler.sample(logits) == token


def test_a_stage_that_is_not_in_the_order_does_not_run():
    logits = make_logits()
    sampler = Sampler(SamplingParams(samplers=("min_p",), min_p=0.01, top_k=1, temperature=0), N_VOCAB)
    assert len({sampler.sample(logits) for _ in range(200)}) > 1


def test_greedy_takes_the_best_of_what_the_stages_before_the_temperature_leave():
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))
    xtc = {"xtc_probability": 1.0, "xtc_threshold": 0.1, "temperature": 0.0}
    assert Sampler(SamplingParams(**xtc), 4).sample(logits) == 2
    assert Sampler(SamplingParams(samplers=("temperature", "xtc"), **xtc), 4).sample(logits) == 0
    assert Sampler(SamplingParams(mirostat=2, temperature=0), 4).sample(logits) == 0


@pytest.mark.parametrize(
    "options",
    [
        {"mirostat": 1},
        {"mirostat": 2},
        {"xtc_probability": 0.5},
        {"samplers": ("xtc", "adaptive_p"), "xtc_probability": 0.5, "adaptive_target": 0.3},
        {"dry_multiplier": 2.0, "dry_allowed_length": 1, "dry_sequence_breakers": (), "dry_penalty_last_n": -1},
        {"repeat_penalty": 1.5, "repeat_last_n": -1},
    ],
)
def test_stages_with_a_memory_can_be_reset_and_saved(options):
    sampler = Sampler(SamplingParams(seed=3, **options), N_VOCAB)
    first = generate(sampler)
    sampler.reset()
    assert generate(sampler) == first
    state, other = sampler.save_state(), Sampler(SamplingParams(seed=4, **options), N_VOCAB)
    other.load_state(state)
    assert generate(other) == generate(sampler)


def test_all_tokens_count_with_minus_one():
    options = {"temperature": 0, "presence_penalty": 100}
    logits = make_logits()
    best = int(np.argmax(logits))
    for last_n, seen in ((64, True), (-1, False)):
        sampler = Sampler(SamplingParams(repeat_last_n=last_n, **options), N_VOCAB)
        sampler.accept(best)
        sampler.accept_prompt([1] * 500)
        assert (sampler.sample(logits) == best) is seen


def test_newlines_can_be_spared_by_the_penalties():
    class Vocab:
        def encode(self, text, *, add_special):
            assert text == "\n" and not add_special
            return [9, 5]  # a space in front, as some vocabularies put it

    logits = np.zeros(10, np.float32)
    logits[[5, 6]] = 2, 1
    for spared, token in ((True, 5), (False, 0)):
        params = SamplingParams(temperature=0, presence_penalty=10, penalize_nl=not spared)
        sampler = Sampler(params, 10, vocab=Vocab())
        sampler.accept_prompt([5, 6])
        assert sampler.sample(logits) == token


@pytest.mark.parametrize(
    "options, names",
    [
        ({"mirostat": 2}, ["temperature", "mirostat_2"]),
        ({"xtc_probability": 0.1, "tfs_z": 0.5}, ["top_k", "top_p", "min_p", "xtc", "temperature", "draw"]),
        ({"temperature": 0, "typical_p": 0.5, "top_n_sigma": 1.0}, ["top_n_sigma", "top_k", "typical_p", "greedy"]),
        ({"temperature": 0, "top_n_sigma": 1.0, "repeat_penalty": 1.1}, ["penalties", "greedy"]),
        ({"samplers": ("adaptive_p", "top_k")}, ["top_k", "adaptive_p"]),
        ({}, ["top_k", "top_p", "min_p", "temperature", "draw"]),
    ],
)
def test_no_more_kernels_are_loaded_than_are_run(options, names):
    loaded = kernel_names(SamplingParams(**options))
    assert [name.partition(".")[2] for name in loaded] == ["begin", *names]
