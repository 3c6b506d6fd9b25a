"""`llamakit bench`: llama-bench's tests and flags, and the share of what this machine can do at best."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, TextIO, TypeVar

from llamakit.cli.console import log, progress
from llamakit.cli.options.model import hub_name, model_path
from llamakit.cli.options.shared import ArchFile, Verbose, add_arch_files, option
from llamakit.cli.parsing.reader import InvalidArgument

T = TypeVar("T")
TESTS = "Tests (each takes a list a,b or repeats; numbers also first-last, first-last+step, first-last*factor)"
OUTPUT = "Output"
RANGE = re.compile(r"(\d+)-(\d+)(?:([+*])(\d+))?")


def tested(*names: str, help: str, default: str) -> Any:
    return option(*names, help=help, panel=TESTS, show_default=default)


def bench(
    model: Annotated[list[str], tested("-m", "--model", help="GGUF file, or hf:REPO.", default="the demo model")] = [],
    hf_repo: Annotated[list[str], tested("-hf", "-hfr", "--hf-repo", help="ORG/REPO[:QUANT].", default="none")] = [],
    hf_file: Annotated[list[str], tested("-hff", "--hf-file", help="A file of each -hf.", default="by QUANT")] = [],
    hf_token: Annotated[str | None, option("-hft", "--hf-token", help="Access token; without it, HF_TOKEN's.")] = None,
    n_prompt: Annotated[list[str], tested("-p", "--n-prompt", help="Prompt tokens.", default="512")] = [],
    n_gen: Annotated[list[str], tested("-n", "--n-gen", help="Generated tokens.", default="128")] = [],
    pg: Annotated[list[str], tested("-pg", help="PROMPT,GENERATED tokens in one test.", default="none")] = [],
    n_depth: Annotated[list[str], tested("-d", "--n-depth", help="Tokens before the test.", default="0")] = [],
    batch_size: Annotated[list[str], tested("-b", "--batch-size", help="Tokens a decode.", default="2048")] = [],
    ubatch_size: Annotated[list[str], tested("-ub", "--ubatch-size", help="Tokens at once.", default="512")] = [],
    cache_type_k: Annotated[list[str], tested("-ctk", "--cache-type-k", help="f32 f16 bf16 q8_0.", default="f16")] = [],
    cache_type_v: Annotated[
        list[str], tested("-ctv", "--cache-type-v", help="The same of values.", default="f16")
    ] = [],
    embeddings: Annotated[
        list[str], tested("-embd", "--embeddings", help="1: without the head, as for embeddings.", default="0")
    ] = [],
    threads: Annotated[list[str], tested("-t", "--threads", help="Threads.", default="all cores")] = [],
    offline: Annotated[bool, option("--offline", env="OFFLINE", help="Fetch nothing.")] = False,
    arch_file: ArchFile = [],
    repetitions: Annotated[int, option("-r", "--repetitions", help="Runs of each test.")] = 5,
    delay: Annotated[float, option("--delay", help="Seconds before each test.")] = 0.0,
    warmup: Annotated[bool, option("--warmup/--no-warmup", help="Run each test once untimed.")] = True,
    output: Annotated[str, option("-o", "--output", panel=OUTPUT, help="md, csv, json, jsonl or sql.")] = "md",
    output_err: Annotated[str, option("-oe", "--output-err", panel=OUTPUT, help="The same on stderr.")] = "none",
    name_tests: Annotated[bool, option("--progress", panel=OUTPUT, help="Name each test on stderr.")] = False,
    profile: Annotated[
        bool, option("--profile", panel=OUTPUT, help="Time each op instead: where the time of a test goes.")
    ] = False,
    profile_html: Annotated[
        str | None, option("--profile-html", panel=OUTPUT, help="The same, and a page with pictures to this file.")
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Measure how fast a model runs here: prompt processing (pp) and text generation (tg).

    The last column is the share of this machine's own limit, measured beside each test: its int8 peak for pp, its
    memory read bandwidth for tg.
    """
    from llamakit.cli.bench_output import FORMATS
    from llamakit.tools.bench import Grid, Result, Runner

    for name in (output, output_err):
        if name not in FORMATS and name != "none":
            raise InvalidArgument(f"invalid argument: {name} (outputs: {', '.join(FORMATS)})")
    add_arch_files(arch_file)
    if repetitions < 1:
        raise InvalidArgument("-r: at least one repetition is needed")

    specs = [*split(model, str), *hub_specs(split(hf_repo, str), split(hf_file, str))]
    with progress() as report:
        grid = Grid(
            models=[model_path(spec, report, offline, hf_token) for spec in specs or [None]],
            n_prompt=numbers("-p", n_prompt) or [512],
            n_gen=numbers("-n", n_gen) or [128],
            pairs=[pair(text) for text in pg],
            n_depth=numbers("-d", n_depth) or [0],
            n_batch=numbers("-b", batch_size) or [2048],
            n_ubatch=numbers("-ub", ubatch_size) or [512],
            type_k=split(cache_type_k, str) or ["f16"],
            type_v=split(cache_type_v, str) or ["f16"],
            n_threads=[n or None for n in numbers("-t", threads)] or [None],
            embeddings=switches("-embd", embeddings) or [False],
        )
        if profile or profile_html is not None:
            from llamakit.cli.bench_profile import run

            return run(grid, output, profile_html, repetitions, report)
        done: list[Result] = []
        runner = Runner(repetitions, warmup, delay, report, log if name_tests else ignore)
        if output != "none":
            write(FORMATS[output](remember(runner.run(grid), done), grid), sys.stdout)
        else:
            done.extend(runner.run(grid))
        if output_err != "none":
            write(FORMATS[output_err](done, grid), sys.stderr)


def ignore(message: str) -> None:
    pass


def write(lines: Iterable[str], stream: TextIO) -> None:
    for line in lines:
        print(line, file=stream, flush=True)


def remember(items: Iterable[T], seen: list[T]) -> Iterator[T]:
    for item in items:
        seen.append(item)
        yield item


def split(texts: list[str], convert: Callable[[str], T]) -> list[T]:
    return [convert(part) for text in texts for part in text.split(",") if part]


def hub_specs(repos: list[str], files: list[str]) -> list[str | None]:
    """What models of Hugging Face are called in one word, with the file of each where files are named."""
    if files and len(files) != len(repos):
        raise InvalidArgument(f"-hff names {len(files)} files for {len(repos)} repositories (-hf): one each is needed")
    if files:
        repos = [f"{repo.partition(':')[0]}/{file}" for repo, file in zip(repos, files, strict=True)]
    return [hub_name(repo) for repo in repos]


def switches(name: str, texts: list[str]) -> list[bool]:
    """`0,1` -> [False, True]. Raises InvalidArgument for anything else."""
    parts = split(texts, str)
    if not {"0", "1"}.issuperset(parts):
        raise InvalidArgument(f"{name}: {', '.join(parts)} is not of 0 and 1")
    return [part == "1" for part in parts]


def numbers(name: str, texts: list[str]) -> list[int]:
    """`1,2,8-32*2` -> [1, 2, 8, 16, 32]. Raises InvalidArgument for anything else."""
    found: list[int] = []
    for part in split(texts, str):
        match = RANGE.fullmatch(part)
        if match:
            found += expand(int(match[1]), int(match[2]), match[3] or "+", int(match[4] or 1))
        elif part.isdecimal():
            found.append(int(part))
        else:
            raise InvalidArgument(f"{name}: {part!r} is neither a whole number nor a range")
    return found


def expand(first: int, last: int, operator: str, by: int) -> Iterator[int]:
    if by < (2 if operator == "*" else 1) or (operator == "*" and first == 0):
        raise InvalidArgument(f"the range {first}-{last}{operator}{by} has no end")
    while first <= last:
        yield first
        first = first * by if operator == "*" else first + by


def pair(text: str) -> tuple[int, int]:
    """`512,128` -> (512, 128)."""
    parts = text.split(",")
    if len(parts) != 2 or not all(part.isdecimal() for part in parts) or parts == ["0", "0"]:
        raise InvalidArgument(f"-pg: {text!r} is not PROMPT,GENERATED")
    return int(parts[0]), int(parts[1])
