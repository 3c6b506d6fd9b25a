"""The states of a reasoning budget, alone and in a sampler."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.sampling import SamplingParams
from llamakit.core.sampling.chain import Sampler
from llamakit.core.sampling.reasoning_budget import ReasoningBudget, TagFinder, Thinking

START, END, MESSAGE = [10, 11], [20, 21], [30, 31]
FORCED = [*MESSAGE, *END]


def make_budget(n, **options):
    return ReasoningBudget([START], [END, [25]], FORCED, n, **options)


def accept(budget, *tokens):
    for token in tokens:
        budget.accept(token)
    return budget.state


def forced_tokens(budget):
    tokens = []
    while budget.forced is not None:
        tokens.append(budget.forced)
        budget.accept(tokens[-1])
    return tokens


def test_nothing_is_forced_before_thoughts_begin():
    budget = make_budget(2)
    assert accept(budget, 1, 2, 10, 3, 11, 20, 21) is Thinking.IDLE
    assert budget.forced is None and not budget.is_thinking


def test_a_used_up_budget_forces_message_and_end():
    budget = make_budget(3)
    assert accept(budget, *START, 1, 2) is Thinking.COUNTING
    assert budget.forced is None
    assert accept(budget, 3) is Thinking.FORCING
    assert forced_tokens(budget) == FORCED
    assert budget.state is Thinking.DONE and budget.end_tag == tuple(END)


def test_a_budget_of_nothing_forces_at_once():
    budget = make_budget(0)
    accept(budget, *START)
    assert forced_tokens(budget) == FORCED


@pytest.mark.parametrize("end", [END, [25]])
def test_thoughts_may_end_by_themselves(end):
    budget = make_budget(5)
    assert accept(budget, *START, 1, *end) is Thinking.DONE
    assert budget.end_tag == tuple(end)


def test_an_endless_budget_only_watches():
    budget = make_budget(-1)
    assert accept(budget, *START, *range(100, 1000)) is Thinking.COUNTING
    assert accept(budget, *END) is Thinking.DONE


def test_thoughts_that_begin_again_have_a_new_budget():
    budget = make_budget(2)
    accept(budget, *START, 1, 2)
    forced_tokens(budget)
    assert accept(budget, 5, *START, 1) is Thinking.COUNTING
    assert budget.end_tag is None
    assert accept(budget, 2) is Thinking.FORCING


def test_a_character_is_finished_first():
    budget = make_budget(2, ends_character=lambda token: token not in (7, 8))
    assert accept(budget, *START, 1, 7) is Thinking.WAITING
    assert budget.forced is None
    assert accept(budget, 8) is Thinking.WAITING
    assert accept(budget, 9) is Thinking.FORCING


def test_thoughts_can_be_ended_from_outside():
    budget = make_budget(100)
    assert not budget.force()
    accept(budget, *START)
    assert budget.force() and not budget.force()
    assert forced_tokens(budget) == FORCED


def test_reset_forgets_everything():
    budget = make_budget(1)
    accept(budget, *START, 1)
    budget.reset()
    assert accept(budget, 11, 1) is Thinking.IDLE
    assert accept(budget, *START, 1) is Thinking.FORCING


@pytest.mark.parametrize(
    "tags, tokens, found",
    [
        ([[1, 2]], [1, 2, 2, 1, 2], [(1, 2), (1, 2)]),
        ([[1, 1]], [1, 1, 1, 1, 1], [(1, 1), (1, 1)]),
        ([[2], [1, 2]], [1, 2, 3, 2], [(1, 2), (2,)]),
        ([[1, 2, 3]], [1, 1, 2, 1, 2, 3], [(1, 2, 3)]),
        ([], [1, 2], []),
        ([[]], [1, 2], []),
    ],
)
def test_tags_are_found_the_longest_first(tags, tokens, found):
    finder = TagFinder(tags)
    assert [tag for token in tokens if (tag := finder.push(token)) is not None] == found


class Watching:
    """A constraint that allows all, and notes what it hears."""

    def __init__(self):
        self.heard, self.n_masks = [], 0

    def fill_mask(self, mask):
        self.n_masks += 1
        mask[:] = 0xFFFFFFFF

    def accept(self, token):
        self.heard.append(token)


@pytest.mark.parametrize("options", [{}, {"temperature": 0}, {"mirostat": 2}])
def test_a_sampler_obeys_the_budget(options):
    budget = make_budget(2)
    sampler = Sampler(SamplingParams(seed=1, **options), 40, budget=budget)
    logits = np.random.default_rng(0).normal(size=40).astype(np.float32)
    logits[[20, 25]] = -np.inf  # it does not end by itself, and may be made to all the same
    for token in START:
        sampler.accept(token)
    tokens = []
    for _ in range(6):
        tokens.append(sampler.sample(logits))
        sampler.accept(tokens[-1])
    assert tokens[2:] == FORCED


def test_a_lazy_constraint_sleeps_while_the_model_thinks():
    constraint = Watching()
    sampler = Sampler(SamplingParams(seed=1), 40, constraint=constraint, budget=make_budget(1), constraint_is_lazy=True)
    logits = np.zeros(40, np.float32)
    for token in [5, *START, 6]:
        sampler.sample(logits)
        sampler.accept(token)
    for _ in FORCED:
        sampler.accept(sampler.sample(logits))
    sampler.sample(logits)
    sampler.accept(7)
    assert constraint.heard == [5, *START, *END, 7]
    assert constraint.n_masks == 4
