"""`llamakit eval`: how well a model does at tasks with known answers."""

from __future__ import annotations

import json as json_module
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from llamakit.cli.console import progress
from llamakit.cli.options import shared as o
from llamakit.cli.options.model import model_path
from llamakit.cli.options.named_model import NamedModelOptions
from llamakit.cli.options.shared import OUTPUT, option
from llamakit.cli.parsing.reader import InvalidArgument

if TYPE_CHECKING:
    from llamakit.tools.evaluation.run import Result


def evaluate(
    *,
    source: NamedModelOptions,
    tasks: Annotated[
        list[str], option("--tasks", help="Files of tasks, or names of files in --data; repeat or list a,b.")
    ] = [],
    data: Annotated[
        str | None, option("--data", env="EVAL_DATA", help="Folder with files of tasks.", show_default="none")
    ] = None,
    versus: Annotated[str | None, option("--vs", help="Another model, for the same tasks.")] = None,
    n_tasks: Annotated[int, option("--n-tasks", "--limit", help="Tasks of each file; 0: all.")] = 0,
    ctx_size: Annotated[
        int, option("-c", "--ctx-size", env="CTX_SIZE", help="Positions for tasks at once.", show_default="2048")
    ] = 0,
    threads: o.Threads = -1,
    cache_type_k: o.CacheTypeK = "f16",
    cache_type_v: o.CacheTypeV = "f16",
    override_kv: o.OverrideKv = [],
    mmap: o.UseMmap = True,
    report_html: Annotated[
        str | None, option("--report", panel=OUTPUT, help="Write a page with pictures to this file.")
    ] = None,
    json: Annotated[bool, option("--json", panel=OUTPUT, help="Print JSON.")] = False,
    verbose: o.Verbose = False,
) -> None:
    """Measure a model on tasks with known answers: HellaSwag, Winogrande, ARC, MMLU, PIQA, BoolQ, OpenBookQA and the
    like, from files in the formats they come in.

    Each answer's log-probability behind the question is what counts: acc goes by their sums, acc_norm by sums divided
    by the answers' lengths. HellaSwag and Winogrande in llama.cpp's formats are scored as llama-perplexity does. With
    --vs, the difference comes with its error and the p of McNemar's test.
    """
    from llamakit.core.gguf.output import file_for
    from llamakit.tools.evaluation import report as r
    from llamakit.tools.evaluation.run import EvalParams, evaluate, find_suites

    names = [name for text in tasks for name in text.split(",") if name]
    if not names:
        raise InvalidArgument("--tasks: which files? HellaSwag, Winogrande, ARC, MMLU, ... in the formats they come in")
    if n_tasks < 0:
        raise InvalidArgument(f"--n-tasks: {n_tasks} is not a number of tasks")
    suites = find_suites(names, data or os.environ.get("LLAMAKIT_EVAL_DATA"), n_tasks)
    params = EvalParams(
        suites, ctx_size, threads if threads > 0 else None, o.parse_overrides(override_kv), mmap, cache_type_k,
        cache_type_v,
    )  # fmt: skip
    runs: list[list[Result]] = []
    with file_for(report_html) as write, progress() as report:
        models = [source.path(report), *([model_path(versus, report)] if versus is not None else [])]
        for model in models:
            runs.append(evaluate(model, params, report))
        write(r.page(models, runs).encode())
    lines = [json_module.dumps(r.as_json(models, runs), indent=2)] if json else table(models, runs)
    sys.stdout.writelines(f"{line}\n" for line in lines)


def table(models: list[str], runs: list[list[Result]]) -> Iterator[str]:
    from pathlib import Path

    from llamakit.tools.evaluation import report as r

    rows = [r.heads([Path(model).name for model in models]), *r.cells(runs)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = (
            f"{cell:{w}}" if i == 0 else f"{cell:>{w}}" for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()
