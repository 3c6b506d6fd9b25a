"""`llamakit imatrix`: which columns of the weights matter, measured on text, for `llamakit quantize --imatrix`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from llamakit.cli.compat import OF_GENERATION
from llamakit.cli.console import Report, progress
from llamakit.cli.options.adapters import AdapterOptions
from llamakit.cli.options.context import RopeOptions, WindowOptions, check_tensors, context_params
from llamakit.cli.options.named_model import NamedModelOptions
from llamakit.cli.options.shared import option
from llamakit.cli.options.text import PANEL as TEXT
from llamakit.cli.options.text import TextOptions
from llamakit.cli.parsing.reader import InvalidArgument, passes_over, warn
from llamakit.cli.run_log import INFO, Log, LogOptions

if TYPE_CHECKING:
    from llamakit.tools.imatrix import Collector
    from llamakit.tools.imatrix_file import Imatrix

OUTPUT = "Output"
FORMATS = ("gguf", "dat")


@passes_over(OF_GENERATION)
def imatrix(
    *,
    source: NamedModelOptions,
    text_from: TextOptions,
    chunk: Annotated[
        int, option("--chunk", "--from-chunk", panel=TEXT, help="Chunks of the text to leave out at its start.")
    ] = 0,
    chunks: Annotated[int, option("--chunks", panel=TEXT, help="Chunks to compute; -1: all.")] = -1,
    parse_special: Annotated[bool, option("--parse-special", panel=TEXT, help="Read special tokens in text.")] = False,
    output: Annotated[
        str, option("-o", "--output", "--output-file", panel=OUTPUT, help="File to write.")
    ] = "imatrix.gguf",
    output_format: Annotated[
        str | None, option("--output-format", panel=OUTPUT, help="gguf or dat (the older one).", show_default="gguf")
    ] = None,
    output_frequency: Annotated[
        int, option("-ofreq", "--output-frequency", panel=OUTPUT, help="Save every N chunks.")
    ] = 10,
    save_frequency: Annotated[
        int, option("--save-frequency", panel=OUTPUT, help="Keep a copy FILE.at_N every N chunks; 0: none.")
    ] = 0,
    resume: Annotated[
        bool, option("--resume", panel=OUTPUT, help="Go on where the output file of an interrupted run ends.")
    ] = False,
    in_file: Annotated[
        list[str], option("--in-file", panel=OUTPUT, help="Matrix to add to; repeat for more. Without -f: merge them.")
    ] = [],
    process_output: Annotated[
        bool, option("--process-output", panel=OUTPUT, help="Collect for the output head too.")
    ] = False,
    ppl: Annotated[bool, option("--ppl/--no-ppl", panel=OUTPUT, help="Compute the perplexity beside.")] = True,
    show_statistics: Annotated[
        bool, option("--show-statistics", panel=OUTPUT, help="Describe the matrix given by --in-file, and end.")
    ] = False,
    context: WindowOptions,
    rotation: RopeOptions,
    adapting: AdapterOptions,
    logging: LogOptions,
) -> None:
    """Compute an importance matrix: the mean square of each input column of each weight, over a text."""
    if output_format not in (None, *FORMATS):
        raise InvalidArgument(f"--output-format: {output_format!r} is neither gguf nor dat")
    if context.ctx_size < 1 or output_frequency < 1 or chunk < 0:
        raise InvalidArgument("-c and -ofreq must be at least 1, --chunk at least 0")
    if show_statistics:
        show(in_file)
        return
    if output_format is None and not output.endswith(".gguf"):
        warn(f"{output} will be in GGUF format; for the older one, add --output-format dat")

    from llamakit.core.gguf.output import check_writable
    from llamakit.tools import imatrix as tool
    from llamakit.tools.imatrix_file import read_imatrix

    opening = context_params(context, rotation, adapting)
    check_writable(output)
    n_ctx = context.ctx_size
    with Log.to(logging) as log:
        before = [read_imatrix(path) for path in in_file]
        target = Target(output, output_format or "gguf", output_frequency, save_frequency, log)
        if not text_from.is_given:
            if not before:
                raise InvalidArgument("neither a text (-f) nor matrices to merge (--in-file) are given")
            merged = tool.combine(before, n_ctx)
            target.save(merged)
            target.tell(merged)
            return
        text = text_from.read()
        if resume:
            if not text_from.name:
                raise InvalidArgument("--resume goes on with the text of a file: give it with -f")
            if unfinished := tool.read_unfinished(output, text_from.name, n_ctx):
                n_done = unfinished.n_chunks
                log.info(f"{output} has {n_done} chunks: going on behind them")
                before, chunk = [*before, unfinished], chunk + n_done
                chunks = chunks - n_done if chunks > 0 else chunks
                if chunks == 0:
                    return
        settings = tool.Settings(
            n_ctx, opening.n_batch, opening.n_ubatch, opening.n_threads, opening.n_threads_batch, opening.type_k,
            opening.type_v, process_output, with_perplexity=ppl,
        )  # fmt: skip
        with progress(log.shows(INFO)) as report:
            path = source.path(report)
            if context.check_tensors:
                check_tensors(path, report)
            with opening.load(path) as opened, tool.Collector(opened, settings, report) as collector:
                opening.adapt(collector.context)
                tokens = opened.vocab.encode(text, parse_special=parse_special)
                collect(collector, tokens, chunk, chunks, text_from.name, before, target, report if not ppl else None)


class Target:
    """Where matrices are saved, and after how many chunks."""

    def __init__(self, path: str, output_format: str, frequency: int, copy_frequency: int, log: Log) -> None:
        self.path, self.output_format, self.log = path, output_format, log
        self.frequency, self.copy_frequency = frequency, copy_frequency
        self.n_chunks = 0  # when it was last looked whether to save

    def save_if_due(self, n_chunks: int, collect: Callable[[], Imatrix]) -> None:
        """Several chunks may have been computed since the last call."""
        before, self.n_chunks = self.n_chunks, n_chunks
        if n_chunks // self.frequency > before // self.frequency:
            self.save(collect())
        if self.copy_frequency > 0 and n_chunks // self.copy_frequency > before // self.copy_frequency:
            self.save(collect(), f".at_{n_chunks}")

    def save(self, matrix: Imatrix, suffix: str = "") -> None:
        from llamakit.tools.imatrix import save

        save(self.path + suffix, matrix, self.output_format)

    def tell(self, matrix: Imatrix) -> None:
        """Say what was saved."""
        self.log.info(f"saved {len(matrix.entries)} entries of {matrix.n_chunks} chunks in {self.path}")


def collect(
    collector: Collector,
    tokens: list[int],
    first_chunk: int,
    n_chunks: int,
    dataset: str,
    before: list[Imatrix],
    target: Target,
    report: Report | None,
) -> None:
    """Compute, print the running perplexity, save now and then and at the end, also when interrupted."""
    from llamakit.tools.imatrix import unused_experts
    from llamakit.tools.perplexity.statistics import Score

    windows = collector.windows(tokens, first_chunk, n_chunks)
    target.log.info(f"computing over {len(windows)} chunks, n_ctx={windows.n_ctx}, n_seq={collector.n_seq}")
    score, n_done, start = Score(), 0, time.monotonic()
    try:
        for nll in collector.compute(windows):
            n_done += 1
            if n_done == 1:
                target.log.info(f"{(time.monotonic() - start):.2f} seconds per pass - ETA {eta(start, len(windows))}")
            if len(nll):
                score.add(nll)
                print(f"[{n_done}]{score.perplexity:.4f},", end="", flush=True)
            if report:
                report("imatrix", n_done, len(windows))
            if n_done == collector.n_chunks:
                target.save_if_due(n_done, lambda: collector.imatrix([dataset], before))
    except KeyboardInterrupt:
        if n_done:
            target.save(collector.imatrix([dataset], before))
            target.log.info(f"\ninterrupted: {target.path} holds the chunks so far; --resume goes on behind them")
        raise
    matrix = collector.imatrix([dataset], before)
    target.save(matrix)
    if score.n:
        print(f"\nFinal estimate: PPL = {score.perplexity:.4f} +/- {score.error:.5f}")
    for name, share in unused_experts(matrix).items():
        target.log.warn(
            f"warn: {name}: only {100 * share:.2f} % of the experts saw any input; a longer text reaches more"
        )
    target.tell(matrix)


def eta(start: float, n: int) -> str:
    seconds = (time.monotonic() - start) * n
    hours = f"{int(seconds // 3600)} hours " if seconds >= 3600 else ""
    return f"{hours}{seconds % 3600 / 60:.2f} minutes"


def show(in_files: list[str]) -> None:
    """llama-imatrix's two tables."""
    if len(in_files) != 1:
        raise InvalidArgument("--show-statistics describes one matrix: give it with --in-file")

    from llamakit.tools.imatrix_file import read_imatrix
    from llamakit.tools.imatrix_statistics import layer_statistics, tensor_statistics

    rows = tensor_statistics(read_imatrix(in_files[0]))
    print(f"\nComputing statistics for {in_files[0]} ({len(rows)} tensors)\n")
    print(
        f"{'Layer':>5} {'Tensor':<20} {'Σ(Act²)':>12} {'Min':>9} {'Max':>12} {'μ':>9} {'σ':>9} {'% Active':>9} "
        f"{'N':>7} {'Entropy':>9} {'E (norm)':>9} {'ZD':>8} {'CosSim':>8}"
    )
    for row in rows:
        layer = "-" if row.layer is None else str(row.layer)
        print(
            f"{layer:>5} {row.short_name:<20} {row.total:12.2f} {row.least:9.4f} {row.most:12.4f} {row.mean:9.2f} "
            f"{row.deviation:9.2f} {100 * row.active:8.2f}% {row.n:7d} {row.entropy:9.4f} "
            f"{100 * row.relative_entropy:8.2f}% {100 * row.outliers:7.2f}% {row.similarity:8.4f}"
        )
    layers = layer_statistics(rows)
    print(f"\nComputing weighted average statistics per layer ({len(layers)} layers)\n")
    print(f"{'Layer':>5} {'μΣ(Act²)':>14} {'μZD':>10} {'μCosSim':>8}")
    for layer_row in layers:
        print(
            f"{layer_row.layer:5d} {layer_row.total:14.2f} {100 * layer_row.outliers:9.4f}% {layer_row.similarity:8.4f}"
        )
