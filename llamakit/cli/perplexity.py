"""`llamakit perplexity`: llama-perplexity's measures and flags; results on stdout, notes on stderr."""

from __future__ import annotations

from typing import Annotated

import typer

from llamakit.cli.compat import OF_GENERATION
from llamakit.cli.console import progress
from llamakit.cli.options import shared as o
from llamakit.cli.options.adapters import AdapterOptions
from llamakit.cli.options.context import RopeOptions, WindowOptions, check_tensors, context_params
from llamakit.cli.options.named_model import NamedModelOptions
from llamakit.cli.options.shared import option
from llamakit.cli.options.text import TextOptions
from llamakit.cli.parsing.reader import InvalidArgument, passes_over
from llamakit.cli.run import EXIT_INTERRUPTED
from llamakit.cli.run_log import INFO, Log, LogOptions

MEASURES = "Measures (perplexity, if no other is named)"
TASKS = ("hellaswag", "winogrande", "multiple_choice")

Chunks = Annotated[int, option("--chunks", panel=MEASURES, help="Windows to compute; -1: all.")]
Stride = Annotated[
    int, option("--ppl-stride", panel=MEASURES, help="Let windows overlap, and score the last N tokens of each.")
]
OutputType = Annotated[
    int, option("--ppl-output-type", panel=MEASURES, help="0: values on one line; 1: a line each, with its position.")
]
BaseFile = Annotated[
    str | None,
    option(
        "--kl-divergence-base",
        "--save-all-logits",
        panel=MEASURES,
        help="File for all log-probabilities; with --kl-divergence it is read, else written. llama.cpp's format.",
    ),
]
KLDivergence = Annotated[
    bool, option("--kl-divergence", panel=MEASURES, help="How far is the model from that of the base file?")
]
HellaSwag = Annotated[bool, option("--hellaswag", panel=MEASURES, help="Choose endings of stories from -f.")]
HellaSwagTasks = Annotated[int, option("--hellaswag-tasks", panel=MEASURES, help="Tasks to draw.")]
Winogrande = Annotated[bool, option("--winogrande", panel=MEASURES, help="Choose words for gaps from -f.")]
WinograndeTasks = Annotated[int, option("--winogrande-tasks", panel=MEASURES, help="Tasks to draw; 0: all.")]
MultipleChoice = Annotated[bool, option("--multiple-choice", panel=MEASURES, help="Choose answers, from -bf.")]
MultipleChoiceTasks = Annotated[int, option("--multiple-choice-tasks", panel=MEASURES, help="Tasks to draw; 0: all.")]
Parallel = Annotated[
    int, option("-np", "--parallel", help="Accepted: as many sequences are computed together as tasks need.")
]
Seed = Annotated[int, option("-s", "--seed", help="Accepted: drawn tasks are always the same, llama.cpp's.")]
Json = Annotated[bool, option("--json", panel=o.OUTPUT, help="One JSON object on stdout, at the end.")]
Plot = Annotated[str | None, option("--plot", panel=o.OUTPUT, help="Draw the curve over chunks or tasks: .svg, .html.")]


@passes_over(OF_GENERATION)
def perplexity(
    *,
    source: NamedModelOptions,
    text_from: TextOptions,
    chunks: Chunks = -1,
    ppl_stride: Stride = 0,
    ppl_output_type: OutputType = 0,
    kl_divergence_base: BaseFile = None,
    kl_divergence: KLDivergence = False,
    hellaswag: HellaSwag = False,
    hellaswag_tasks: HellaSwagTasks = 400,
    winogrande: Winogrande = False,
    winogrande_tasks: WinograndeTasks = 0,
    multiple_choice: MultipleChoice = False,
    multiple_choice_tasks: MultipleChoiceTasks = 0,
    context: WindowOptions,
    rotation: RopeOptions,
    adapting: AdapterOptions,
    parallel: Parallel = -1,
    seed: Seed = -1,
    json: Json = False,
    plot: Plot = None,
    logging: LogOptions,
) -> None:
    """Measure a model on a text: perplexity, distance from another model, or right answers to tasks.

    Windows of a text are computed -b tokens at a time. Ctrl-C ends the run with what is known by then.
    """
    chosen = {"hellaswag": hellaswag, "winogrande": winogrande, "multiple_choice": multiple_choice}
    tasks = [name for name in TASKS if chosen[name]]
    if len(tasks) + kl_divergence > 1:
        raise InvalidArgument("choose one of --kl-divergence, --hellaswag, --winogrande and --multiple-choice")
    if context.ctx_size < 1:
        raise InvalidArgument("-c: perplexity needs windows of a fixed length, above 0")
    if context.batch_size < 1 or context.ubatch_size < 1:
        raise InvalidArgument("-b, -ub: at least one token must be computed at a time")
    if ppl_output_type not in (0, 1):
        raise InvalidArgument(f"--ppl-output-type: {ppl_output_type} is not 0 or 1")
    if ppl_stride < 0:
        raise InvalidArgument(f"--ppl-stride: {ppl_stride} is less than 0")
    if kl_divergence and kl_divergence_base is None:
        raise InvalidArgument("--kl-divergence needs the file of a base model: --kl-divergence-base FILE")
    if ppl_stride and kl_divergence_base is not None and not kl_divergence:
        raise InvalidArgument("--ppl-stride: windows that overlap cannot be saved; leave out --kl-divergence-base")
    opening = context_params(context, rotation, adapting)
    text = b"" if kl_divergence else text_from.read()

    from llamakit.cli import perplexity_runs as runs
    from llamakit.cli.perplexity_output import Screen
    from llamakit.tools.perplexity.plot import check_name

    if plot is not None:
        check_name(plot)
    with Log.to(logging) as log, progress(log.shows(INFO)) as report:
        path = source.path(report)
        if context.check_tensors:
            check_tensors(path, report)
        job = runs.Job(path, context.ctx_size, opening, Screen(report, json, log), plot)
        n_chunks = chunks if chunks > 0 else None
        if tasks:
            counts = {
                "hellaswag": hellaswag_tasks,
                "winogrande": winogrande_tasks,
                "multiple_choice": multiple_choice_tasks,
            }
            is_whole = runs.answer_tasks(job, tasks[0], text, counts[tasks[0]])
        elif kl_divergence and kl_divergence_base is not None:
            is_whole = runs.compare(job, kl_divergence_base, n_chunks)
        else:
            is_whole = runs.score_text(job, text, n_chunks, ppl_stride, ppl_output_type, kl_divergence_base)
    if not is_whole:
        raise typer.Exit(EXIT_INTERRUPTED)
