"""llama-cpp-python's names and meaning: evaluating, sampling, generating."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit import Llama
from llamakit.errors import ModelError, UsageError
from tests.api.model import PROMPT, TINY, take


# evaluating
def test_scores_hold_all_rows_with_logits_all_else_the_last(llm, llm_all):
    for half in (PROMPT[:3], PROMPT[3:]):
        llm.eval(half)
        llm_all.eval(half)
    assert llm.scores.shape == llm_all.scores.shape == (5, TINY.n_vocab)
    assert llm.scores.dtype == llm_all.scores.dtype == np.float32
    np.testing.assert_array_equal(llm.scores[-1], llm_all.scores[-1])
    assert not llm.scores[:-1].any()
    assert (np.abs(llm_all.scores).max(axis=1) > 0).all()
    assert len(llm.eval_logits) == 1 and len(llm_all.eval_logits) == 5
    np.testing.assert_array_equal(llm.eval_logits[-1], llm.scores[-1])


def test_what_was_evaluated_is_kept(llm):
    llm.eval(PROMPT[:2])
    llm.eval(np.array(PROMPT[2:]))
    assert llm.n_tokens == 5
    assert list(llm.eval_tokens) == llm.input_ids[:5].tolist() == PROMPT


def test_reset_begins_anew(llm):
    llm.eval(PROMPT)
    first = llm.scores[-1]
    llm.eval(PROMPT)
    assert np.abs(llm.scores[-1] - first).max() > 0
    llm.reset()
    assert llm.scores.shape == (0, TINY.n_vocab) and not llm.eval_tokens
    llm.eval(PROMPT)
    np.testing.assert_array_equal(llm.scores[-1], first)


def test_fewer_tokens_forget_those_behind(llm):
    llm.eval(PROMPT)
    llm.n_tokens = 3
    llm.eval(PROMPT[3:])
    again = llm.scores[-1]
    llm.reset()
    llm.eval(PROMPT)
    np.testing.assert_array_equal(llm.scores[-1], again)


def test_evaluating_nothing_changes_nothing(llm):
    llm.eval([])
    assert llm.n_tokens == 0
    with pytest.raises(UsageError, match="0 tokens were evaluated"):
        llm.sample()


@pytest.mark.parametrize("tokens, error", [([TINY.n_vocab], UsageError), ([-1], UsageError), ([5] * 65, ModelError)])
def test_what_cannot_be_evaluated_adds_nothing(llm, tokens, error):
    llm.eval(PROMPT)
    with pytest.raises(error):
        llm.eval(tokens)
    assert llm.n_tokens == 5


# sampling
def test_greedy_takes_the_largest_logit(llm):
    llm.eval(PROMPT)
    assert llm.sample(temp=0) == llm.scores[-1].argmax()


def test_sample_at_an_index_needs_its_logits(llm, llm_all):
    llm.eval(PROMPT)
    llm_all.eval(PROMPT)
    assert llm_all.sample(temp=0, idx=2) == llm_all.scores[2].argmax()
    assert llm.sample(temp=0, idx=4) == llm_all.sample(temp=0)
    with pytest.raises(UsageError, match="logits_all"):
        llm.sample(idx=2)
    for idx in (-1, 5):
        with pytest.raises(UsageError, match=f"no logits of token {idx}"):
            llm_all.sample(idx=idx)


def test_a_seed_fixes_the_tokens(llm):
    first = take(llm.generate(PROMPT, temp=2.0), 20)
    assert take(llm.generate(PROMPT, temp=2.0), 20) == first
    llm.set_seed(2)
    assert take(llm.generate(PROMPT, temp=2.0), 20) != first
    with pytest.raises(UsageError, match="seed"):
        llm.set_seed(2**32)


def test_a_temperature_below_zero_draws_from_the_whole_vocabulary(llm):
    llm.eval(PROMPT)
    seen = set()
    for seed in range(60):
        llm.set_seed(seed)
        seen.add(llm.sample(temp=-1, top_k=1))
    assert len(seen) > 20


def test_processors_see_the_tokens_and_change_the_logits(llm):
    seen = []

    def only_token_9(tokens, logits):
        seen.append(tokens.tolist())
        logits[:] = -np.inf
        logits[9] = 0
        return logits

    assert take(llm.generate(PROMPT, logits_processor=[only_token_9]), 3) == [9, 9, 9]
    assert seen == [PROMPT, [*PROMPT, 9], [*PROMPT, 9, 9]]
    assert np.isfinite(llm.scores[-1]).all()


def test_a_constraint_is_obeyed(llm):
    class Only:
        def fill_mask(self, mask):
            mask[:] = 0
            mask[0] = 1 << 11

        def accept(self, token):
            assert token == 11

    assert take(llm.generate(PROMPT, grammar=Only()), 2) == [11, 11]


@pytest.mark.parametrize(
    "options",
    [{"typical_p": 0.2}, {"tfs_z": 0.2}, {"mirostat_mode": 1}, {"mirostat_mode": 2, "mirostat_tau": 0.1}],
)
def test_other_stages_change_what_is_drawn(llm, options):
    llm.set_seed(3)
    plain = take(llm.generate(PROMPT, temp=1.5), 20)
    llm.reset()
    assert take(llm.generate(PROMPT, temp=1.5, **options), 20) != plain


def test_values_that_make_no_sense_are_refused_at_once(llm):
    with pytest.raises(UsageError, match="mirostat is 3"):
        llm.generate(PROMPT, mirostat_mode=3)


def test_repeats_are_penalized_among_generated_tokens(llm):
    free = take(llm.generate(PROMPT, temp=0), 30)
    assert len(set(free)) < 30
    llm.reset()
    assert len(set(take(llm.generate(PROMPT, temp=0, presence_penalty=100.0), 30))) == 30


# generating
def test_generate_is_eval_and_sample_again_and_again(llm):
    tokens = take(llm.generate(PROMPT, temp=0), 6)
    llm.reset()
    llm.eval(PROMPT)
    for token in tokens:
        assert llm.sample(temp=0) == token
        llm.eval([token])


def counted(llm):
    """Lengths of what is really computed."""
    lengths, decode = [], llm.shared._context.decode

    def counting(chunks):
        lengths.extend(len(chunk.tokens) for chunk in chunks)
        return decode(chunks)

    llm.shared._context.decode = counting
    return lengths


def test_a_common_prefix_is_not_computed_again(llm):
    lengths = counted(llm)
    fresh = take(llm.generate(PROMPT, temp=0), 3)
    assert lengths == [5, 1, 1]
    cases = [
        ([*PROMPT[:3], 99], [1]),  # three tokens are shared
        ([*PROMPT[:3], 99], []),  # the same again: its logits are there
        (PROMPT[:2], [1]),  # a prefix of what is there: its last token is computed for its logits
        ([99, 98], [2]),
        (PROMPT, [5]),
    ]
    for prompt, wanted in cases:
        lengths.clear()
        token = next(llm.generate(prompt, temp=0))
        assert lengths == wanted, prompt
        assert llm.n_tokens == len(prompt)
    assert token == fresh[0]


def test_without_reset_tokens_are_added(llm):
    llm.eval(PROMPT[:3])
    token = next(llm.generate(PROMPT[3:], temp=0, reset=False))
    assert list(llm.eval_tokens) == PROMPT
    llm.reset()
    assert next(llm.generate(PROMPT, temp=0)) == token


def test_sent_tokens_come_behind_the_last_one(llm):
    generator = llm.generate(PROMPT, temp=0)
    first = next(generator)
    after = generator.send([80, 81])
    assert list(llm.eval_tokens) == [*PROMPT, first, 80, 81]
    assert after == llm.scores[-1].argmax()


def test_stopping_criteria_end_the_generation(llm):
    def at_eight(tokens, logits):
        assert logits.shape == (TINY.n_vocab,)
        return len(tokens) >= 8

    assert len(list(llm.generate(PROMPT, stopping_criteria=at_eight))) == 3


def test_a_full_context_is_an_error(llm):
    generator = llm.generate(PROMPT)
    assert len(take(generator, 60)) == 60
    with pytest.raises(ModelError, match="the context is 64"):
        next(generator)


def test_n_tokens_can_only_be_made_less(llm):
    llm.eval(PROMPT)
    for n in (-1, len(PROMPT) + 1):
        with pytest.raises(UsageError, match="5 tokens were evaluated"):
            llm.n_tokens = n
    with pytest.raises(UsageError, match="whole number"):
        llm.n_tokens = 2.5
    llm.n_tokens = len(PROMPT)
    assert llm.n_tokens == len(PROMPT)
    llm.n_tokens = 0
    assert llm.scores.shape == (0, TINY.n_vocab)


def test_tokens_behind_a_completion_have_the_logits_of_all(llm_all):
    llm_all(PROMPT, max_tokens=4, temperature=0)
    llm_all.eval([7])
    rows, tokens = llm_all.scores.copy(), list(llm_all.eval_tokens)
    llm_all.reset()
    llm_all.eval(tokens)
    np.testing.assert_array_equal(llm_all.scores, rows)


def test_a_generator_does_not_go_on_in_the_sequence_of_another(llm):
    first = llm.generate(PROMPT, temp=0)
    next(first)
    second = llm.generate([1, 80, 81], temp=0)
    tokens = take(second, 3)
    with pytest.raises(UsageError, match="another one has begun"):
        next(first)
    assert take(llm.generate([1, 80, 81], temp=0), 3) == tokens


def test_a_completion_beside_a_generator_leaves_it_alone(llm):
    tokens = take(llm.generate(PROMPT, temp=0), 4)
    seen = []
    for token in llm.generate(PROMPT, temp=0):
        llm("the cat", max_tokens=2)
        seen.append(token)
        if len(seen) == 4:
            break
    assert seen == tokens


def test_logits_become_log_probabilities_along_an_axis():
    logits = [[1000.0, 1000.0], [0.0, np.log(3.0)]]
    got = Llama.logits_to_logprobs(logits)
    assert got.dtype == np.float32
    np.testing.assert_allclose(np.exp(got), [[0.5, 0.5], [0.25, 0.75]], rtol=1e-6)
    np.testing.assert_allclose(np.exp(Llama.logits_to_logprobs(logits, axis=0)).sum(axis=0), [1, 1], rtol=1e-6)


def test_the_common_beginning_of_two_sequences_is_counted():
    assert Llama.longest_token_prefix([1, 2, 3], (1, 2, 4)) == 2
    assert Llama.longest_token_prefix([], [1]) == 0
