"""A model, or two, at suites of tasks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llamakit.errors import UsageError
from llamakit.tools.evaluation.formats import Suite, read_suite
from llamakit.tools.evaluation.question import Ways
from llamakit.tools.perplexity import choices
from llamakit.tools.perplexity.choices import Outcome
from llamakit.tools.perplexity.statistics import Share

if TYPE_CHECKING:
    Report = Callable[[str, int, int], None]

TASK_WINDOW = 2048  # positions for tasks that are computed together
DATA_VARIABLE = "LLAMAKIT_EVAL_DATA"


@dataclass(frozen=True)
class EvalParams:
    """What to evaluate on, and how the model is opened."""

    suites: Sequence[Suite]
    n_ctx: int = 0  # 0: enough for every task
    n_threads: int | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    use_mmap: bool = True
    type_k: str = "f16"
    type_v: str = "f16"


@dataclass(frozen=True)
class Result:
    """One model at one suite: whether each task was right, by the sums of log-probabilities, and by those that are
    divided by the answers' lengths (None where the suite has its own way)."""

    suite: Suite
    right: tuple[bool, ...]
    right_by_length: tuple[bool, ...] | None

    @property
    def accuracy(self) -> Share:
        return Share(len(self.right), sum(self.right))

    @property
    def accuracy_by_length(self) -> Share | None:
        if self.right_by_length is None:
            return None
        return Share(len(self.right_by_length), sum(self.right_by_length))

    @property
    def groups(self) -> dict[str, Share]:
        """By the tasks' groups, where there are any."""
        found: dict[str, list[bool]] = {}
        for group, is_right in zip(self.suite.groups, self.right, strict=True):
            found.setdefault(group, []).append(is_right)
        return {name: Share(len(each), sum(each)) for name, each in found.items() if name}


@dataclass(frozen=True)
class Difference:
    """Two models at the same tasks: how much better B is, with the error of the difference of pairs."""

    difference: float
    error: float
    only_a: int  # tasks that A alone had right
    only_b: int

    @property
    def p_value(self) -> float:
        """Of McNemar's test, exact: how likely a difference so large is, were they equally good."""
        n, k = self.only_a + self.only_b, min(self.only_a, self.only_b)
        return min(1.0, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n) if n else 1.0


def find_suites(names: Sequence[str], folder: str | None, n_tasks: int) -> list[Suite]:
    """Of paths, or names of files in the folder: `arc` is arc.jsonl, arc_challenge.jsonl, ... where it is the only one.

    Raises UsageError for what is not there, or means several files.
    """
    return [read_suite(find_file(name, folder), Path(name).stem, n_tasks) for name in names]


def find_file(name: str, folder: str | None) -> Path:
    if Path(name).exists():
        return Path(name)
    if folder is None:
        raise UsageError(f"tasks {name}: no such file; --data names a folder with files of tasks")
    base = Path(folder)
    exact = [path for path in (base / name, *sorted(base.rglob(f"{name}.*"))) if path.is_file()]
    found = exact or sorted(path for path in base.rglob(f"{name}*") if path.is_file())
    if not found:
        raise UsageError(f"tasks {name}: there is no such file in {folder}")
    if len(found) > 1:
        raise UsageError(f"tasks {name}: means {', '.join(str(path.relative_to(base)) for path in found[:5])}")
    return found[0]


def evaluate(model_path: str, params: EvalParams, report: Report | None = None) -> list[Result]:
    """A model at all suites. Raises what `load_model` and `Context` do."""
    from llamakit.core.engine.context import Context
    from llamakit.core.engine.load import load_model

    with ExitStack() as opened:
        model = opened.enter_context(load_model(model_path, params.overrides, params.use_mmap))
        tasks = [[suite.encode(item, model.vocab) for item in suite.items] for suite in params.suites]
        everything = [task for each in tasks for task in each]
        if not everything:
            raise UsageError("there are no tasks")
        context = opened.enter_context(
            Context(
                model, n_ctx=choices.n_cells(everything, params.n_ctx or TASK_WINDOW), n_threads=params.n_threads,
                n_seq_max=choices.n_sequences(everything), type_k=params.type_k, type_v=params.type_v, report=report,
            )
        )  # fmt: skip
        results, n_done = [], 0
        for suite, each in zip(params.suites, tasks, strict=True):
            outcomes = []
            for outcome in choices.choose(context, each):
                outcomes.append(outcome)
                n_done += 1
                if report is not None:
                    report("tasks", n_done, len(everything))
            results.append(result_of(suite, each, outcomes))
        return results


def result_of(suite: Suite, tasks: Sequence[choices.Task], outcomes: Sequence[Outcome]) -> Result:
    by_length = None
    if all(isinstance(task, Ways) for task in tasks):
        by_length = tuple(
            is_right_by_length(task, outcome)
            for task, outcome in zip(tasks, outcomes, strict=True)
            if isinstance(task, Ways)
        )
    return Result(suite, tuple(outcome.is_right for outcome in outcomes), by_length)


def is_right_by_length(task: Ways, outcome: Outcome) -> bool:
    shares = [score / length for score, length in zip(outcome.scores, task.lengths, strict=True)]
    return task.is_right(shares.index(max(shares)))


def difference(a: Result, b: Result) -> Difference:
    pairs = list(zip(a.right, b.right, strict=True))
    only_a = sum(x and not y for x, y in pairs)
    only_b = sum(y and not x for x, y in pairs)
    n = len(pairs)
    mean = (only_b - only_a) / n
    variance = (only_a + only_b) / n - mean * mean
    return Difference(mean, math.sqrt(variance / (n - 1)) if n > 1 else math.nan, only_a, only_b)
