"""`llamakit run`: complete one prompt, streaming the text to stdout and the timings to stderr."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Annotated

from llamakit.cli.console import has_colour, progress
from llamakit.cli.options import grammar as g
from llamakit.cli.options import shared as o
from llamakit.cli.options.adapters import AdapterOptions
from llamakit.cli.options.chat import ChatOptions
from llamakit.cli.options.context import ContextOptions, RopeOptions, check_tensors, context_params
from llamakit.cli.options.interactive import InteractiveOptions
from llamakit.cli.options.long_text import LongTextOptions
from llamakit.cli.options.model import ModelOptions
from llamakit.cli.options.prompt import PromptOptions, read_prompt, unescape
from llamakit.cli.options.sampling import SamplingOptions, sampling_of, sampling_params
from llamakit.cli.options.shared import OUTPUT, option
from llamakit.cli.parsing.reader import InvalidArgument, warn
from llamakit.cli.run_log import INFO, Log, LogOptions

if TYPE_CHECKING:
    from llamakit.tools.completion import Completion

EXIT_INTERRUPTED = 130
PROMPT_COLOUR, PLAIN = "\x1b[33m", "\x1b[0m"


def run(
    *,
    source: ModelOptions,
    context: ContextOptions,
    prompting: PromptOptions,
    n_predict: o.Predict = -1,
    reverse_prompt: o.ReversePrompt = [],
    display_prompt: o.DisplayPrompt = True,
    color: o.Color = "auto",
    verbose_prompt: o.VerbosePrompt = False,
    special: o.Special = False,
    print_token_count: Annotated[
        int, option("-ptc", "--print-token-count", panel=OUTPUT, help="Tell the positions in use every N tokens.")
    ] = -1,
    lengths: LongTextOptions,
    rotation: RopeOptions,
    adapting: AdapterOptions,
    interactive: InteractiveOptions,
    template: ChatOptions,
    sampling: SamplingOptions,
    grammar: g.GrammarText = None,
    grammar_file: g.GrammarFile = None,
    json_schema: g.JsonSchema = None,
    json_schema_file: g.JsonSchemaFile = None,
    regex: g.Regex = None,
    logging: LogOptions,
) -> None:
    """Complete a prompt: the text goes to stdout, everything else to stderr. With -cnv, -i, -if or -st, take turns."""
    check_turns(interactive, verbose_prompt, print_token_count)
    text = read_prompt(prompting, reads_stdin=not interactive.is_wanted)

    from llamakit.tools import completion as c

    opening = context_params(context, rotation, adapting)
    sampling_params(sampling)  # what is wrong with it is said before the model is loaded
    rules = g.read_grammar(grammar, grammar_file, json_schema, json_schema_file, regex)
    params = c.CompletionParams(
        n_predict=n_predict,
        n_keep=lengths.keep,
        context_shift=lengths.context_shift,
        stop=tuple(unescape(text) if prompting.escape else text for text in reverse_prompt),
        show_special=special,
        extend=lengths.extend,
    )
    cache = lengths.cache()
    with ExitStack() as opened:
        log = opened.enter_context(Log.to(logging))
        with progress(log.shows(INFO)) as report:
            path = source.path(report)
            if context.check_tensors:
                check_tensors(path, report)
            constrain = rules.matcher if rules and not interactive.is_wanted else None
            completion = opened.enter_context(
                c.open_completion(path, opening, partial(sampling_of, sampling), params, report, cache, constrain)
            )
        if cache and cache.warning:
            log.warn(cache.warning)
        warn_of_length(completion, log)
        if interactive.is_wanted:
            from typer import Exit

            from llamakit.cli.chat.chat import talk

            code = talk(
                completion, text, interactive, template, sampling_of(sampling, completion.context.model.metadata),
                log=log, grammar=rules, color=color, display_prompt=display_prompt, escape=prompting.escape,
            )  # fmt: skip
            raise Exit(code)
        tokens = completion.encode(text)
        if verbose_prompt:
            show_tokens(completion, tokens, log)
        if display_prompt:
            show_prompt(completion.text_of(tokens), color)
        interrupted = write(completion, tokens, print_token_count, log)
        say_how_it_ended(completion, interrupted, log, shows_timings=logging.perf)
        completion.save()
    if interrupted:
        from typer import Exit

        raise Exit(EXIT_INTERRUPTED)


def check_turns(interactive: InteractiveOptions, verbose_prompt: bool, print_token_count: int) -> None:
    """Options of a conversation alone, and those that it passes over. Raises InvalidArgument."""
    if not interactive.is_wanted and interactive.output_file is not None:
        raise InvalidArgument("-o writes a conversation, and this is none: add -cnv, or send stdout to a file")
    if interactive.is_wanted:
        for name, is_given in (("--verbose-prompt", verbose_prompt), ("-ptc", print_token_count > 0)):
            if is_given:
                warn(f"{name} has no effect in a conversation")


def warn_of_length(completion: Completion, log: Log) -> None:
    n_ctx, n_trained = completion.context.n_ctx, completion.n_ctx_train
    if n_ctx > n_trained:
        log.warn(f"model was trained on only {n_trained} context tokens ({n_ctx} specified)")


def show_tokens(completion: Completion, tokens: list[int], log: Log) -> None:
    log.info(f"prompt: '{completion.text_of(tokens)}'\nnumber of tokens in prompt = {len(tokens)}")
    for token in tokens:
        piece = completion.vocab.piece(token, special=True).decode("utf-8", errors="replace")
        log.info(f"{token:6d} -> '{piece}'")


def show_prompt(text: str, color: str) -> None:
    put(f"{PROMPT_COLOUR}{text}{PLAIN}" if has_colour(color, sys.stdout) else text)


def write(completion: Completion, prompt: list[int], n_between: int, log: Log) -> bool:
    """Print the pieces as they come; True when the user stopped it."""
    try:
        for piece in completion.run(prompt):
            put(piece)
            n_past = len(completion.session.tokens)
            if n_between > 0 and n_past % n_between == 0:
                log.info(f"\nTokens consumed so far = {n_past} / {completion.context.n_ctx}")
    except KeyboardInterrupt:
        return True
    return False


def put(text: str) -> None:
    if sys.stdout is not None and text:
        sys.stdout.write(text)
        sys.stdout.flush()


def say_how_it_ended(completion: Completion, interrupted: bool, log: Log, shows_timings: bool) -> None:
    from llamakit.core.engine.generate import Finish
    from llamakit.tools.completion import timing_lines

    put(" [end of text]\n" if completion.finish is Finish.END_OF_TEXT else "\n")
    if completion.cache and completion.cache.note:
        log.info(completion.cache.note)
    if completion.finish is Finish.CONTEXT_FULL:
        log.warn(f"\ncontext full and {completion.why_full} => stopping")
    if shows_timings:
        log.info("\n" + "\n".join(timing_lines(completion.timings)))
    if interrupted:
        log.info("Interrupted by user")
