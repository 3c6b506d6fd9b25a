"""`llamakit quantize --target-size ... --calibrate ...`: the types of tensors by measurement."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from llamakit.cli.parsing.reader import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable

    from llamakit.cli.console import Report
    from llamakit.tools.measured.search import Outcome, Target
    from llamakit.tools.quantize.file_types import FileType
    from llamakit.tools.quantize.plan import Options

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*((?:[KMG]I?)?)B?", re.IGNORECASE)


def parse_target(size: str | None, bpw: float | None, calibrate: str | None) -> Target | None:
    """What --target-size or --target-bpw ask for; None for neither. Raises InvalidArgument for half a wish."""
    if size is None and bpw is None:
        if calibrate is not None:
            raise InvalidArgument("--calibrate needs a target: --target-size or --target-bpw")
        return None
    if size is not None and bpw is not None:
        raise InvalidArgument("--target-size and --target-bpw cannot be used together")
    if calibrate is None:
        raise InvalidArgument("a target needs a text to measure on: --calibrate FILE")

    from llamakit.tools.measured.search import Target

    if bpw is not None:
        if not bpw > 0:
            raise InvalidArgument(f"--target-bpw: {bpw} is not above 0")
        return Target(bpw=bpw)
    assert size is not None
    match = SIZE.fullmatch(size.strip())
    if match is None:
        raise InvalidArgument(f"--target-size: {size!r} is no size such as 90MB or 1.5GiB")
    return Target(n_bytes=int(float(match[1]) * UNITS[match[2].upper()]))


def with_type(words: list[str]) -> list[str]:
    """`[OUT.gguf] [NTHREADS]` with a type in place: measuring will say which. Raises InvalidArgument for a type."""
    from llamakit.tools.quantize.file_types import find_file_type

    output, rest = words[:1], words[1:]
    if not output or find_file_type(output[0]) is not None:
        raise InvalidArgument("with a target, give IN.gguf OUT.gguf and no TYPE")
    if rest and not rest[0].isdecimal():
        raise InvalidArgument(f"{rest[0]!r}: with a target there is no TYPE, only a number of threads")
    return [*output, "Q8_0", *rest]


def search(
    model: str,
    output: str,
    target: Target,
    calibrate: str,
    options: Options,
    n_threads: int | None,
    report_path: str | None,
    report: Report | None,
    say: Callable[[str], None],
) -> tuple[FileType, Options]:
    """The best mix as options of `make_plan`, and the file type nearest to it; prints what it is worth."""
    from llamakit.core.engine.load import load_model
    from llamakit.tools.measured.report import save
    from llamakit.tools.measured.search import Search, Settings
    from llamakit.tools.measured.standard import closest_file_type

    if options.prune_layers or options.overrides:
        raise InvalidArgument("a target cannot be combined with --prune-layers or --override-kv: do these first")
    text = read_text(calibrate)
    with as_floats(model, output, options) as floats, load_model(floats) as source:
        with Search(source, text, options, Settings(n_threads=n_threads), report=report) as measuring:
            outcome = measuring.run(target)
    for line in lines(outcome):
        say(line)
    if report_path is not None:
        save(report_path, outcome, f"{Path(model).name}: {outcome.mix.n_bytes / 1e6:.1f} MB by measurement")
        say(f"report: {report_path}")
    types = {c.name: outcome.mix.types[c.name] for c in outcome.choices if len(c.candidates) > 1}
    file_type = closest_file_type(outcome.standard, outcome.mix.n_bytes)
    return file_type, replace(options, types=types, imatrix=outcome.imatrix)


@contextmanager
def as_floats(model: str, output: str, options: Options) -> Iterator[str]:
    """The model itself, or a copy in F16 for the time of measuring where it is quantized already.

    Refuses at once what would be refused after all the measuring.
    """
    from llamakit.core.gguf.reader import GGUFReader
    from llamakit.tools.quantize.file_types import parse_file_type
    from llamakit.tools.quantize.plan import FLOATS, Options, check, make_plan
    from llamakit.tools.quantize.run import quantize_file, refuse_inputs

    with GGUFReader(model) as reader:
        plan = make_plan(reader, parse_file_type("F16"), Options(allow_requantize=options.allow_requantize))
        check(plan)
        refuse_inputs(plan, reader, output)
        is_float = all(tensor.source.type in FLOATS or tensor.is_copied for tensor in plan.tensors)
    if is_float:
        yield model
        return
    with tempfile.TemporaryDirectory(prefix="llamakit-", dir=Path(model).parent) as folder:
        copy = str(Path(folder) / "source.gguf")
        quantize_file(model, copy, parse_file_type("F16"), Options(allow_requantize=True))
        yield copy


def lines(outcome: Outcome) -> Iterator[str]:
    """The mix and its rivals on the held-out text, as a table."""
    from llamakit.tools.measured.report import held_out_rows

    yield f"{outcome.n_measured} measurements; all changes together do {outcome.additivity:.2f} times their sum"
    head = ("on held-out text", "MB", "bpw", "KL divergence", "perplexity", "source's")
    for row in (head, *held_out_rows(outcome)):
        yield f"{row[0]:<18}{row[1]:>9}{row[2]:>8}{row[3]:>24}{row[4]:>12}{row[5]:>12}"


def read_text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise InvalidArgument(f"{path}: cannot read the text: {error.strerror}") from None
