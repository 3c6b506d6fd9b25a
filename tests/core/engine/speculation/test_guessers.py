"""Guesses from the text, and those of a small model."""

from __future__ import annotations

import pytest

from llamakit.core.engine.speculation import DraftModel, PromptLookup, Want
from llamakit.core.engine.speculation.draft_model import MOST_UNKNOWN
from llamakit.errors import UsageError

from ....running import open_context
from ....tiny import Tiny, write_tiny


@pytest.mark.parametrize(
    "tokens, n, guess",
    [
        ([1, 2, 3, 4, 5, 9, 1, 2, 3], 4, [4, 5, 9, 1]),
        ([1, 2, 3, 4, 5, 9, 1, 2, 3], 2, [4, 5]),
        ([1, 2, 3, 9, 9, 2, 3, 4, 7, 2, 3], 2, [4, 7]),  # the last place counts
        ([7, 1, 2, 3, 5, 5, 1, 2, 9, 3, 1, 2], 2, [9, 3]),
        ([1, 2, 3, 4], 4, []),
        ([1], 4, []),
        ([5, 5, 5, 5], 3, [5]),  # no more are known
    ],
)
def test_what_followed_the_last_tokens_before_is_guessed(tokens, n, guess):
    lookup = PromptLookup()
    for end in (2, len(tokens)):  # as the text grows
        if end <= len(tokens):
            guesses = lookup.guess([Want(3, tokens[: end - 1], tokens[end - 1], n)])
    if len(tokens) == 1:
        guesses = lookup.guess([Want(3, [], tokens[0], n)])
    assert guesses == [guess]


def test_texts_of_other_sequences_are_their_own():
    lookup = PromptLookup()
    lookup.guess([Want(0, [1, 2, 3, 4], 9, 2)])
    assert lookup.guess([Want(1, [1, 2], 3, 2), Want(0, [1, 2, 3, 4, 9, 1, 2], 3, 2)]) == [[], [4, 9]]
    lookup.forget(0)
    assert lookup.guess([Want(0, [1, 2], 3, 2)]) == [[]]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", Tiny())


def greedy(path, tokens, n):
    with open_context(path, n_ctx=1024) as context:
        logits, drawn = context.prefill(tokens), []
        for _ in range(n):
            drawn.append(int(logits.argmax()))
            logits = context.step(drawn[-1])
        return drawn


def test_a_model_guesses_what_it_finds_likeliest_for_many_texts_at_once(path):
    texts = [[1, 5, 6], [1, 7, 8, 9], [2, 3]]
    wanted = [greedy(path, text, 6) for text in texts]
    with open_context(path, n_seq_max=3, n_ctx=512) as context, open_context(path, n_seq_max=3) as target:
        draft = DraftModel(context, target)
        wants = [Want(i, text[:-1], text[-1], n) for i, (text, n) in enumerate(zip(texts, (6, 3, 4), strict=True))]
        assert draft.guess(wants) == [wanted[0][:6], wanted[1][:3], wanted[2][:4]]
        # two guesses were right, then came another token; and another text in its place
        follows = [*texts[0], *wanted[0][:2], 40]
        assert draft.guess([Want(0, follows[:-1], follows[-1], 3)]) == [greedy(path, follows, 3)]
        assert draft.guess([Want(0, [2], 3, 4)]) == [wanted[2][:4]]


def test_a_long_text_is_read_in_parts_before_guesses_come(path):
    text = [3 + i % 60 for i in range(MOST_UNKNOWN + 20)]
    with open_context(path, n_seq_max=2, n_ctx=512) as context, open_context(path, n_seq_max=2) as target:
        draft = DraftModel(context, target)
        want = Want(1, text[:-1], text[-1], 3)
        assert draft.guess([want]) == [[]]
        assert draft.guess([want]) == [greedy(path, text, 3)]


def test_a_draft_model_must_fit(path, tmp_path):
    other = write_tiny(tmp_path / "other.gguf", Tiny(n_vocab=50))
    with open_context(path, n_seq_max=2) as target:
        with open_context(other, n_seq_max=2) as context, pytest.raises(UsageError, match="the same vocabulary"):
            DraftModel(context, target)
        with open_context(path, n_seq_max=1) as context, pytest.raises(UsageError, match="is smaller"):
            DraftModel(context, target)
