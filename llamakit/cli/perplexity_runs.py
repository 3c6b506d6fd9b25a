"""The runs behind `llamakit perplexity`: over a text, against a base model, over tasks."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

from llamakit.cli import perplexity_output as out
from llamakit.core.engine.context import Context
from llamakit.core.engine.load import Model
from llamakit.errors import UsageError
from llamakit.tools.completion import ContextParams
from llamakit.tools.perplexity import choices, hellaswag, measure, multiple_choice, winogrande
from llamakit.tools.perplexity.base_file import BaseReader
from llamakit.tools.perplexity.divergence import Comparison, divergences
from llamakit.tools.perplexity.plot import Curve, save
from llamakit.tools.perplexity.statistics import Estimate, Score, Share
from llamakit.tools.perplexity.windows import Windows, cut, cut_strided, strided_length

T = TypeVar("T")
ENOUGH_TASKS = 100  # below which Winogrande prints no final score
TASK_CONTEXTS = 4  # windows' worth of positions for tasks


@dataclass(frozen=True)
class Job:
    """What all runs need."""

    model: str
    n_ctx: int
    opening: ContextParams
    screen: out.Screen
    plot: str | None = None

    @property
    def n_batch(self) -> int:
        return self.opening.n_batch

    def open_model(self) -> Model:
        return self.opening.load(self.model)

    def open_context(self, model: Model, n_ctx: int, n_seq: int) -> Context:
        """For n_seq sequences that share n_ctx positions."""
        p = self.opening
        context = Context(
            model, n_ctx=n_ctx, n_seq_max=n_seq, n_batch=max(1, min(p.n_batch, n_ctx)), n_ubatch=p.n_ubatch,
            n_threads=p.n_threads, n_threads_batch=p.n_threads_batch, type_k=p.type_k, type_v=p.type_v,
            report=self.screen.report,
        )  # fmt: skip
        try:
            p.adapt(context)
        except BaseException:
            context.close()
            raise
        return context

    def warn_of_length(self, model: Model, n_ctx: int) -> None:
        if n_ctx > model.n_ctx_train:
            self.screen.note(
                f"perplexity: model was trained on only {model.n_ctx_train} context tokens ({n_ctx} specified)"
            )


@dataclass
class Run:
    """Progress and outcome of a run: iterate `over` its steps."""

    job: Job
    name: str
    unit: str
    n_steps: int
    is_whole: bool = True
    seconds: float = 0.0
    steps: list[dict[str, Any]] = field(default_factory=list)  # for JSON and the plot

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """The items, until Ctrl-C; counts them on the bar."""
        started, n_done = time.perf_counter(), 0
        self.job.screen.progress(0, self.n_steps, self.unit)
        try:
            for item in items:
                n_done += 1
                self.seconds = time.perf_counter() - started
                yield item
                self.job.screen.progress(n_done, self.n_steps, self.unit)
        except KeyboardInterrupt:
            self.is_whole = False

    def end(self, model: Model, n_computed: int, fields: dict[str, Any], curve: Curve) -> bool:
        """Say how long it took, print the JSON, draw the plot; was the run whole?"""
        screen = self.job.screen
        speed = n_computed / self.seconds if self.seconds else 0.0
        if n_computed:
            screen.note(f"{self.name}: {n_computed} tokens in {self.seconds:.2f} s ({speed:.2f} tokens per second)")
        if not self.is_whole:
            screen.note("Interrupted by user")
        if screen.json:
            about = {"measure": self.name, "model": self.job.model, "model_type": model.description}
            ending = {
                "seconds": self.seconds, "tokens_per_second": speed, "is_whole": self.is_whole, self.unit: self.steps,
            }  # fmt: skip
            print(json.dumps(about | fields | ending, allow_nan=False, indent=2))
        if self.job.plot is not None and curve.values:
            save(self.job.plot, curve)
            screen.note(f"{self.name}: drawn in {self.job.plot}")
        return self.is_whole


def announce_eta(run: Run, results: Iterable[T], per_pass: int) -> Iterator[T]:
    """After the first of the passes, which give `per_pass` results each: how long will all take?"""
    started, results = time.perf_counter(), iter(results)
    first = list(islice(results, 1))
    if first:
        seconds = time.perf_counter() - started
        run.job.screen.note(f"{run.name}: {out.time_left(seconds, run.n_steps / per_pass)}")
    yield from chain(first, results)


def score_text(
    job: Job, text: bytes, n_chunks: int | None, stride: int, output_type: int, base_path: str | None
) -> bool:
    """Perplexity of a text, printed window by window. All log-probabilities go to base_path, if there is one."""
    screen = job.screen
    with ExitStack() as opened:
        model = opened.enter_context(job.open_model())
        windows = cut_text(job, model, text, n_chunks, stride)
        n_seq = max(1, job.n_batch // windows.n_ctx)
        n_used = min(n_seq, len(windows))
        screen.note(
            f"perplexity: calculating perplexity over {len(windows)} chunks, n_ctx={windows.n_ctx}, "
            f"batch_size={min(job.n_batch, n_seq * windows.n_ctx)}, n_seq={n_seq}"
        )
        job.warn_of_length(model, windows.n_ctx)
        context = opened.enter_context(job.open_context(model, n_used * windows.n_ctx, n_used))
        run, score = Run(job, "perplexity", "chunks", len(windows)), Score()
        if base_path is None:
            results = measure.measure(context, windows, n_used)
        else:
            screen.note(f"perplexity: saving all logits to {base_path}")
            results = measure.measure_and_save(context, windows, base_path, n_used)
        for i, nll in enumerate(run.over(announce_eta(run, results, n_used))):
            score.add(nll)
            run.steps.append({"nll": float(nll.mean()), "ppl": score.perplexity, "ppl_error": score.error})
            if output_type == 0:
                screen.value(f"[{i + 1}]{score.perplexity:.4f},")
            elif stride:
                screen.line(f"{i * stride:8d}  {score.perplexity:.4f}")
            else:
                line = f"{i * windows.n_ctx:8d}  {score.perplexity:.4f}  {score.mean:.6f}  {score.mean_error:.6f}"
                screen.line(line)
        screen.end_values()
        if base_path is not None and not run.is_whole:
            screen.note(f"perplexity: {base_path} was not written, as it would lack windows")
        fields: dict[str, Any] = {"n_ctx": windows.n_ctx, "n_scored": score.n}
        if score.n:
            fields |= {"ppl": score.perplexity, "ppl_error": score.error, "nll": score.mean}
            if not stride:  # llama-perplexity gives none: scored tokens of overlapping windows are not independent
                screen.result(f"Final estimate: PPL = {score.perplexity:.4f} +/- {score.error:.5f}")
        curve = Curve(
            f"Perplexity of {model.description}", "chunks", "perplexity",
            [step["ppl"] for step in run.steps], [step["ppl_error"] for step in run.steps],
            [math.exp(step["nll"]) for step in run.steps],
        )  # fmt: skip
        return run.end(model, len(run.steps) * windows.n_ctx, fields, curve)


def cut_text(job: Job, model: Model, text: bytes, n_chunks: int | None, stride: int) -> Windows:
    job.screen.note("perplexity: tokenizing the input ..")
    started, vocab = time.perf_counter(), model.vocab
    tokens = vocab.encode(text)
    job.screen.note(f"perplexity: tokenization took {1e3 * (time.perf_counter() - started):g} ms")
    if stride:
        n_ctx = strided_length(job.n_ctx, stride)
        job.screen.note(f"perplexity: have {len(tokens)} tokens. Calculation chunk = {n_ctx}")
        return cut_strided(tokens, n_ctx, stride, n_chunks)
    return cut(tokens, job.n_ctx, n_chunks, vocab.bos_id if vocab.add_bos else None)


def compare(job: Job, base_path: str, n_chunks: int | None) -> bool:
    """A model against the base model of a file, on the file's text."""
    screen = job.screen
    with ExitStack() as opened:
        base = opened.enter_context(BaseReader(base_path))
        model = opened.enter_context(job.open_model())
        vocab = model.vocab
        windows = base.windows(vocab.bos_id if vocab.add_bos else None, n_chunks)
        n_seq = max(1, job.n_batch // windows.n_ctx)
        n_used = min(n_seq, len(windows))
        screen.note(
            f"kl_divergence: computing over {len(windows)} chunks, n_ctx={windows.n_ctx}, "
            f"batch_size={min(job.n_batch, n_seq * windows.n_ctx)}, n_seq={n_seq}"
        )
        job.warn_of_length(model, windows.n_ctx)
        context = opened.enter_context(job.open_context(model, n_used * windows.n_ctx, n_used))
        run, total = Run(job, "kl_divergence", "chunks", len(windows)), Comparison()
        results = announce_eta(run, divergences(context, windows, base, n_used), n_used)
        for i, divergence in enumerate(run.over(results), start=1):
            if i == 1:
                screen.line("\n" + out.HEADER)
            total.add(divergence)
            step = {
                "kld": float(divergence.kld.mean()),
                "mean_kld": total.kld.mean,
                "mean_kld_error": total.kld.mean_error,
            }
            run.steps.append(step | {"ppl": total.ppl.perplexity, "same_top": total.same_top.value})
            screen.line(out.comparison_row(i, total))
        screen.line()
        if total.ppl.n >= out.ENOUGH:
            screen.line("\n".join(out.comparison_summary(total)))
        fields: dict[str, Any] = {"base": base_path, "n_ctx": windows.n_ctx, "n_scored": total.ppl.n}
        curve = Curve(
            f"{model.description} against {Path(base_path).name}", "chunks", "mean KL divergence",
            [step["mean_kld"] for step in run.steps], [step["mean_kld_error"] for step in run.steps],
            [step["kld"] for step in run.steps],
        )  # fmt: skip
        fields |= out.comparison_fields(total) if total.ppl.n else {}
        return run.end(model, len(run.steps) * windows.n_ctx, fields, curve)


def hellaswag_lines(total: Share, outcome: choices.Outcome, task: Any) -> str:
    low, high = total.wilson()
    return f"{total.n}\t{100 * total.value:3.8f}%\t[{100 * low:3.4f}%, {100 * high:3.4f}%]"


def winogrande_line(total: Share, outcome: choices.Outcome, task: Any) -> str:
    first, second = outcome.scores
    return f"{total.n}\t{100 * total.value:.4f}\t{first:10.6f}  {second:10.6f}  {outcome.choice + 1}  {task.right + 1}"


def multiple_choice_line(total: Share, outcome: choices.Outcome, task: Any) -> str:
    return f"{total.n}\t{100 * total.value:.8f}"


@dataclass(frozen=True)
class Kind:
    """A kind of tasks: how they are read and drawn, and what is printed."""

    name: str
    select: Callable[[bytes, int], Sequence[Any]]
    encode: Callable[[Any, Any], choices.Task]
    header: str
    line: Callable[[Share, choices.Outcome, Any], str]


def as_text(data: bytes) -> str:
    return data.decode("utf-8", errors="surrogateescape")


KINDS = {
    "hellaswag": Kind(
        "hellaswag_score",
        lambda data, n: hellaswag.select(hellaswag.parse(as_text(data)), n),
        hellaswag.encode,
        "task\tacc_norm\t95% confidence interval",
        hellaswag_lines,
    ),
    "winogrande": Kind(
        "winogrande_score",
        lambda data, n: winogrande.select(winogrande.parse(as_text(data)), n),
        winogrande.encode,
        "",
        winogrande_line,
    ),
    "multiple_choice": Kind(
        "multiple_choice_score",
        lambda data, n: multiple_choice.select(multiple_choice.parse(data), n),
        multiple_choice.encode,
        "task\tacc_norm",
        multiple_choice_line,
    ),
}


def answer_tasks(job: Job, name: str, data: bytes, n_tasks: int) -> bool:
    """The share of tasks that a model gets right, printed task by task."""
    kind, screen = KINDS[name], job.screen
    chosen = kind.select(data, n_tasks)
    if not chosen:
        raise UsageError(f"--{name.replace('_', '-')}: there are no tasks to answer")
    with ExitStack() as opened:
        model = opened.enter_context(job.open_model())
        screen.note(f"{kind.name} : tokenizing {len(chosen)} selected tasks")
        tasks = [kind.encode(task, model.vocab) for task in chosen]
        n_ctx = choices.n_cells(tasks, TASK_CONTEXTS * job.n_ctx)
        context = opened.enter_context(job.open_context(model, n_ctx, choices.n_sequences(tasks)))
        screen.note(f"{kind.name} : calculating {name} score over selected tasks.")
        screen.line("\n" + kind.header if kind.header else "")
        run, total = Run(job, kind.name, "tasks", len(tasks)), Share()
        results = zip(choices.choose(context, tasks), tasks, strict=True)
        for outcome, task in run.over(results):
            total.n += 1
            total.count += outcome.is_right
            step = {"scores": list(outcome.scores), "choice": outcome.choice, "is_right": outcome.is_right}
            run.steps.append(step | {"accuracy": total.value, "accuracy_error": total.estimate.error})
            screen.line(kind.line(total, outcome, task))
        screen.line()
        n_tokens = sum(len(tokens) for task in tasks[: total.n] for tokens in task.sequences)
        fields = final_score(name, total, tasks, screen) if total.n else {}
        curve = Curve(
            f"{name} of {model.description}", "tasks", "share of right answers",
            [step["accuracy"] for step in run.steps], [step["accuracy_error"] for step in run.steps],
        )  # fmt: skip
        return run.end(model, n_tokens, fields, curve)


def final_score(name: str, total: Share, tasks: Sequence[choices.Task], screen: out.Screen) -> dict[str, Any]:
    """Print the last lines that a kind of tasks has; the score's fields."""
    value, error = (100 * number for number in total.estimate)
    fields: dict[str, Any] = {"n_tasks": total.n, "accuracy": out.pair(total.estimate), "interval": total.wilson()}
    if name == "winogrande" and total.n >= ENOUGH_TASKS:
        screen.result(f"Final Winogrande score({total.n} tasks): {value:.4f} +/- {error:.4f}")
    if name == "multiple_choice":
        n_answers = sum(len(task.sequences) for task in tasks[: total.n])
        chance = total.n / n_answers
        chance_error = (chance * (1 - chance) / max(1, total.n - 1)) ** 0.5
        screen.result(f"Final result: {value:.4f} +/- {error:.4f}")
        screen.result(f"Random chance: {100 * chance:.4f} +/- {100 * chance_error:.4f}")
        fields["chance"] = out.pair(Estimate(chance, chance_error))
    return fields
