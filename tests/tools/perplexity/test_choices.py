"""Choosing among endings: the log-probabilities behind it, and the three kinds of tasks."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from llamakit.core.sampling.logprobs import logprobs
from llamakit.errors import UsageError
from llamakit.tools.perplexity import hellaswag, multiple_choice, winogrande
from llamakit.tools.perplexity.choices import Endings, choose, n_cells, n_common, n_sequences
from llamakit.tools.perplexity.draws import below, draw, draw_in_order

from ...fake_engine import ByteVocab
from ...running import open_context
from .models import write_model

ASSETS = Path(__file__).parents[4] / "shared/assets"


# drawing
def test_tasks_drawn_are_those_of_llama_cpp():
    """The first of 400 and of 1266 that llama-perplexity's scores belong to."""
    assert draw_in_order(400, 5) == [166, 398, 287, 372, 0]
    assert draw(1266, 5) == [527, 1261, 910, 1177, 0]


@pytest.mark.parametrize("method", [draw, draw_in_order])
@pytest.mark.parametrize("n, wanted", [(1, 1), (7, 3), (7, 7), (7, 9), (500, 499)])
def test_no_task_is_drawn_twice(method, n, wanted):
    drawn = method(n, wanted)
    assert len(set(drawn)) == len(drawn) == min(n, wanted) and set(drawn) <= set(range(n))
    assert n < 100 or drawn != sorted(drawn)


def test_numbers_that_would_favour_some_are_drawn_again():
    """3 * 2^30 possible results of 2^32 numbers: every fourth number is one too many."""

    class Numbers:
        def __init__(self, *values):
            self.values = list(values)

        def getrandbits(self, n):
            return self.values.pop(0)

    n = 3 << 30
    numbers = Numbers(0, 4, 8)
    assert [n * value % 2**32 < 2**32 % n for value in (0, 4, 8)] == [True, True, True]
    numbers.values.append(3)
    assert below(n, numbers) == 3 * n >> 32 and not numbers.values


# choosing
@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "tiny.gguf")


def naive_scores(context, tokens, n_shared):
    context.cache.clear()
    rows = [context.step(token) for token in tokens]
    return np.mean([logprobs(rows[i - 1], [tokens[i]])[0] for i in range(n_shared, len(tokens))])


def random_tasks(n, seed=0, longest=150):
    rng = np.random.default_rng(seed)
    tasks = []
    for _ in range(n):
        shared = rng.integers(4, 260, rng.integers(1, longest)).tolist()
        ends = [rng.integers(4, 260, rng.integers(1, 20)).tolist() for _ in range(rng.integers(2, 6))]
        sequences = [[*shared, 4 + i, *end] for i, end in enumerate(ends)]
        tasks.append(Endings(sequences, n_common(sequences), frozenset({0})))
    return tasks


@pytest.mark.parametrize("n_ctx, n_seq_max", [(256, 32), (1024, 9), (2048, 64)])
def test_scores_are_those_of_each_sequence_alone(path, n_ctx, n_seq_max):
    tasks = random_tasks(8)
    with open_context(path, n_ctx=n_cells(tasks, n_ctx), n_seq_max=n_seq_max) as context:
        outcomes = list(choose(context, tasks))
        assert len(outcomes) == 8
        for task, outcome in zip(tasks, outcomes, strict=True):
            wanted = [naive_scores(context, tokens, task.n_shared) for tokens in task.sequences]
            np.testing.assert_allclose(outcome.scores, wanted, rtol=1e-6)
            assert outcome.choice == np.argmax(wanted) and outcome.is_right == (outcome.choice == 0)


def test_a_context_of_the_size_that_tasks_need_takes_them(path):
    sequences = [[4] * 130 + [5] * i for i in range(1, 41)]
    tasks = [Endings(sequences, n_common(sequences), frozenset())]
    assert n_sequences(tasks) == 40
    with open_context(path, n_ctx=n_cells(tasks), n_seq_max=40) as context:
        assert len(list(choose(context, tasks))) == 1


def test_a_task_that_does_not_fit_says_what_it_needs(path):
    sequences = [[4] * 300, [4] * 299 + [5]]
    tasks = [Endings(sequences, n_common(sequences), frozenset())]
    with open_context(path, n_ctx=128, n_seq_max=2) as context, pytest.raises(UsageError, match="positions"):
        next(choose(context, tasks))


@pytest.mark.parametrize(
    "sequences, n", [(["abc", "abd"], 2), (["abc", "abcd"], 2), (["abcd", "abcd"], 3), (["ab", "ac", "ad"], 1)]
)
def test_common_tokens_leave_something_to_score(sequences, n):
    assert n_common(sequences) == n


@pytest.mark.parametrize("sequences", [["abc", "bcd"], ["a", "ab"], ["", "ab"]])
def test_choices_that_begin_differently_are_refused(sequences):
    with pytest.raises(UsageError, match="share no token"):
        n_common(sequences)


# HellaSwag
def story(context="It rains", right="2", endings=("a", "b", "c", "d")):
    return "\n".join([context, right, *endings])


def test_stories_have_six_lines():
    first, second = hellaswag.parse(f"{story()}\n{story('Ça va', '0')}\n")
    assert first == hellaswag.Story("It rains", ("a", "b", "c", "d"), 2)
    task = hellaswag.encode(second, ByteVocab())
    assert bytes(task.sequences[3][1:]).decode() == "Ça va d" and task.right == {0}
    assert task.n_shared == len("Ça va ".encode()) + 1


@pytest.mark.parametrize(
    "text, message",
    [("", "6 lines"), (story() + "\nmore", "has 7"), (story(right="4"), "line 2: '4'"), (story(right="x"), "'x'")],
)
def test_stories_that_are_none_are_refused(text, message):
    with pytest.raises(UsageError, match=message):
        hellaswag.parse(text)


# Winogrande
LINES = '0,The _ is red.,cat,dog,2\r\n1,"She said, that _ ran far away.",Ann,Eve,1\r\n2,A _ is,a,b,1'


def test_a_last_line_without_a_newline_is_no_task_as_in_llama_cpp():
    first, second = winogrande.parse(LINES)
    assert first == winogrande.Sentence("The ", " is red.", ("cat", "dog"), 1)
    assert second == winogrande.Sentence("She said, that ", " ran far away.", ("Ann", "Eve"), 0)


@pytest.mark.parametrize(
    "line, message", [("0,a _ b,c,1", "4 fields"), ("0,a b,c,d,1", "no _"), ("0,a _,c,d,3", "answer is '3'")]
)
def test_sentences_that_are_none_are_refused_by_their_line(line, message):
    with pytest.raises(UsageError, match=f"line 2: .*{message}"):
        winogrande.parse(f"0,The _ is,cat,dog,2\n{line}\n")


@dataclass
class Letters:
    """A token a letter: their log-probabilities are told by the test."""

    def encode(self, text):
        return list(text)


def test_the_word_does_not_count_where_enough_follows_it():
    task = winogrande.encode(winogrande.Sentence("a ", " xyz!", ("cat", "dog"), 0), Letters())
    assert (task.n_shared, task.starts, task.counts_word) == (2, (5, 5), False)
    first, second = -np.arange(1.0, 10), -np.arange(11.0, 19)  # c a t _ x y z ! and one more, d o g _ x y z !
    assert task.scores([first, second]) == [-(4 + 5 + 6 + 7) / 4, -(14 + 15 + 16 + 17) / 4]


def test_the_word_counts_where_little_follows_it_as_llama_cpp_counts_it():
    """There the second word's first letter is foreseen from the end of the first sentence."""
    task = winogrande.encode(winogrande.Sentence("a ", "!", ("no", "we"), 1), Letters())
    assert (task.n_shared, task.counts_word) == (2, True)
    assert list(task.sequences[0]) == list("a no!w") and list(task.sequences[1]) == list("a we!")
    assert task.scores([np.array([-1.0, -2, -3, -50]), np.array([-10.0, -20, -30])]) == [-1.5, -35]
    assert task.is_right(1) and not task.is_right(0)


# multiple choice
def text_bytes(text):
    raw = text.encode()
    return struct.pack("<I", len(raw)) + raw


def answers_bytes(answers, right):
    labels = [int(i in right) for i in range(len(answers))]
    return (
        struct.pack("<I", len(answers)) + b"".join(map(text_bytes, answers)) + struct.pack(f"<{len(labels)}i", *labels)
    )


def choices_file(*tasks):
    bodies = [text_bytes(q) + answers_bytes(a, right) + answers_bytes(a[:1], {0}) for q, a, right in tasks]
    positions = np.cumsum([4 + 4 * len(bodies), *map(len, bodies)])[:-1]
    return struct.pack(f"<{1 + len(bodies)}I", len(bodies), *positions) + b"".join(bodies)


QUESTIONS = [("Is it?", ("yes", "no", "pèut-être"), {2}), ("Who", ("me", "you"), {0})]


def test_questions_are_read_from_their_positions():
    first, second = multiple_choice.parse(choices_file(*QUESTIONS))
    assert first == multiple_choice.Question("Is it?", ("yes", "no", "pèut-être"), frozenset({2}))
    assert bytes(multiple_choice.encode(second, ByteVocab()).sequences[1][1:]) == b"Who you"
    assert multiple_choice.select([first, second], 0) == multiple_choice.select([first, second], 2) == [first, second]
    assert len(multiple_choice.select([first, second], 1)) == 1


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "no multiple-choice tasks"),
        (b"\0\0\0\0", "no multiple-choice tasks"),
        (b"text, not tasks", "no multiple-choice tasks"),
        (choices_file(*QUESTIONS)[:60], "file ends"),
        (choices_file(("", ("a",), {0})), "without a question"),
        (choices_file(("q", (), set())), "0 answers"),
        (choices_file(("q", ("a", ""), {0})), "answer is empty"),
    ],
)
def test_questions_that_are_none_are_refused(data, message):
    with pytest.raises(UsageError, match=message):
        multiple_choice.parse(data)


@pytest.mark.skipif(not ASSETS.exists(), reason="needs the shared assets beside the repository")
def test_the_shared_tasks_are_read():
    stories = hellaswag.parse((ASSETS / "hellaswag/hellaswag_val_400.txt").read_text().removesuffix("\n"))
    assert len(hellaswag.select(stories, 50)) == 50 and len(stories) == 400
    raw = (ASSETS / "winogrande/winogrande-eval.csv").read_bytes().removesuffix(b"\n")
    assert len(winogrande.parse(raw.decode())) == 1266  # as llama-perplexity says
