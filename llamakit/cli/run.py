"""`llamakit run`: complete one prompt, streaming the text to stdout and the timings to stderr."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from llamakit.cli import options as o
from llamakit.cli.console import is_terminal, log, progress
from llamakit.errors import UsageError

if TYPE_CHECKING:
    from llamakit.tools.completion import Completion

EXIT_INTERRUPTED = 130
PROMPT_COLOUR, PLAIN = "\x1b[33m", "\x1b[0m"


def run(
    model: o.Model = None,
    prompt: o.Prompt = None,
    file: o.PromptFile = None,
    binary_file: o.BinaryFile = None,
    escape: o.Escape = True,
    n_predict: o.Predict = -1,
    keep: o.Keep = 0,
    context_shift: o.ContextShift = False,
    reverse_prompt: o.ReversePrompt = [],
    display_prompt: o.DisplayPrompt = True,
    color: o.Color = "auto",
    verbose_prompt: o.VerbosePrompt = False,
    special: o.Special = False,
    ctx_size: o.CtxSize = None,
    batch_size: o.BatchSize = 2048,
    ubatch_size: o.UbatchSize = 512,
    threads: o.Threads = -1,
    threads_batch: o.ThreadsBatch = None,
    cache_type_k: o.CacheTypeK = "f16",
    cache_type_v: o.CacheTypeV = "f16",
    override_kv: o.OverrideKv = [],
    mmap: o.UseMmap = True,
    seed: o.Seed = -1,
    temp: o.Temperature = 0.8,
    top_k: o.TopK = 40,
    top_p: o.TopP = 0.95,
    min_p: o.MinP = 0.05,
    repeat_penalty: o.RepeatPenalty = 1.0,
    repeat_last_n: o.RepeatLastN = 64,
    presence_penalty: o.PresencePenalty = 0.0,
    frequency_penalty: o.FrequencyPenalty = 0.0,
    ignore_eos: o.IgnoreEos = False,
    log_disable: o.LogDisable = False,
    verbose: o.Verbose = False,
) -> None:
    """Complete a prompt: the text goes to stdout, everything else to stderr."""
    text = read_prompt(prompt, file, binary_file, escape)
    overrides = o.parse_overrides(override_kv)

    from llamakit.core.sampling.params import SamplingParams
    from llamakit.tools import completion as c

    context_params = c.ContextParams(
        n_ctx=ctx_size,
        n_batch=batch_size,
        n_ubatch=ubatch_size,
        n_threads=threads if threads > 0 else None,
        n_threads_batch=threads_batch if threads_batch and threads_batch > 0 else None,
        type_k=cache_type_k,
        type_v=cache_type_v,
        use_mmap=mmap,
        overrides=overrides,
    )
    sampling = SamplingParams(
        seed=seed,
        temperature=temp,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repeat_penalty=repeat_penalty,
        repeat_last_n=repeat_last_n if repeat_last_n >= 0 else ctx_size or c.DEFAULT_CONTEXT,
        presence_penalty=presence_penalty,
        frequency_penalty=frequency_penalty,
        ignore_eos=ignore_eos,
    )
    params = c.CompletionParams(n_predict, keep, context_shift, tuple(reverse_prompt), special)

    with ExitStack() as opened:
        with progress(not log_disable) as report:
            path = model or o.demo_model(report)
            completion = opened.enter_context(c.open_completion(path, context_params, sampling, params, report))
        tokens = completion.encode(text)
        if verbose_prompt:
            show_tokens(completion, tokens)
        if display_prompt:
            show_prompt(completion.text_of(tokens), color)
        interrupted = write(completion.run(tokens))
        say_how_it_ended(completion, interrupted, quiet=log_disable)
    if interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)


def read_prompt(prompt: str | None, file: str | None, binary_file: str | None, escape: bool) -> str | bytes:
    """The text to go on from: -p, else -f, else -bf, else standard input unless a person sits there."""
    if prompt is not None:
        return unescape(prompt) if escape else prompt
    if file is not None:
        text = read_file(file).decode("utf-8", errors="replace").removesuffix("\n")
        return unescape(text) if escape else text
    if binary_file is not None:
        return read_file(binary_file)
    if sys.stdin is None or sys.stdin.isatty():
        return ""
    return sys.stdin.buffer.read().decode("utf-8", errors="replace").removesuffix("\n")


def read_file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


def unescape(text: str) -> str:
    r"""Read \n \r \t \' \" \\ and \xHH (a byte of UTF-8) as llama.cpp does; other backslashes stay."""
    raw = text.encode("utf-8", errors="surrogateescape")
    return re.sub(rb"\\(?:x([0-9A-Fa-f]{2})|([nrt'\"\\]))", unescape_one, raw).decode("utf-8", errors="replace")


def unescape_one(match: re.Match[bytes]) -> bytes:
    if match[1]:
        return bytes([int(match[1], 16)])
    return {b"n": b"\n", b"r": b"\r", b"t": b"\t"}.get(match[2], match[2])


def show_tokens(completion: Completion, tokens: list[int]) -> None:
    log(f"prompt: '{completion.text_of(tokens)}'\nnumber of tokens in prompt = {len(tokens)}")
    for token in tokens:
        piece = completion.vocab.piece(token, special=True).decode("utf-8", errors="replace")
        log(f"{token:6d} -> '{piece}'")


def show_prompt(text: str, color: str) -> None:
    plain = color == "off" or not is_terminal(sys.stdout) or "NO_COLOR" in os.environ
    put(text if plain else f"{PROMPT_COLOUR}{text}{PLAIN}")


def write(pieces: Iterator[str]) -> bool:
    """Print the pieces as they come; True when the user stopped it."""
    try:
        for piece in pieces:
            put(piece)
    except KeyboardInterrupt:
        return True
    return False


def put(text: str) -> None:
    if sys.stdout is not None and text:
        sys.stdout.write(text)
        sys.stdout.flush()


def say_how_it_ended(completion: Completion, interrupted: bool, quiet: bool) -> None:
    from llamakit.core.engine.generate import Finish
    from llamakit.tools.completion import timing_lines

    put(" [end of text]\n" if completion.finish is Finish.END_OF_TEXT else "\n")
    if quiet:
        return
    if completion.finish is Finish.CONTEXT_FULL:
        why = (
            f"n_predict == {completion.params.n_predict}"
            if completion.params.context_shift
            else "context shift is disabled"
        )
        log(f"\ncontext full and {why} => stopping")
    log("\n" + "\n".join(timing_lines(completion.timings)))
    if interrupted:
        log("Interrupted by user")
