"""HellaSwag: which of four endings does a story have? Files of six lines a task, as llama.cpp's."""

from __future__ import annotations

from dataclasses import dataclass

from llamakit.core.vocab.base import Vocab
from llamakit.errors import UsageError
from llamakit.tools.perplexity.choices import Endings, n_common
from llamakit.tools.perplexity.draws import draw_in_order

N_ENDINGS = 4
N_LINES = 2 + N_ENDINGS  # context, number of the right ending, endings
DEFAULT_TASKS = 400


@dataclass(frozen=True, slots=True)
class Story:
    context: str
    endings: tuple[str, ...]
    right: int


def parse(text: str) -> list[Story]:
    """All tasks of a file. Raises UsageError for lines that are none, naming the first."""
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    if not lines or len(lines) % N_LINES:
        raise UsageError(f"HellaSwag tasks have {N_LINES} lines each, and the file has {len(lines)}")
    stories = []
    for i in range(0, len(lines), N_LINES):
        right = lines[i + 1].strip()
        if right not in map(str, range(N_ENDINGS)):
            raise UsageError(f"line {i + 2}: {right!r} is not the number of an ending, 0 to {N_ENDINGS - 1}")
        stories.append(Story(lines[i], tuple(lines[i + 2 : i + N_LINES]), int(right)))
    return stories


def select(stories: list[Story], n_tasks: int = DEFAULT_TASKS) -> list[Story]:
    """The tasks that llama-perplexity takes, in its order: it shuffles even where it takes all."""
    return [stories[i] for i in draw_in_order(len(stories), n_tasks)]


def encode(story: Story, vocab: Vocab) -> Endings:
    sequences = [vocab.encode(f"{story.context} {ending}") for ending in story.endings]
    return Endings(sequences, n_common(sequences), frozenset({story.right}))
