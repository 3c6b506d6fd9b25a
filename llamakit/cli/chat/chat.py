"""`llamakit chat`: talk with a model. What `run -cnv` and `run -i` hand over to is here too."""

from __future__ import annotations

from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING

import typer

from llamakit.cli.console import progress
from llamakit.cli.options import shared as o
from llamakit.cli.options.adapters import AdapterOptions
from llamakit.cli.options.chat import ChatOptions, chat_template_of, template_variables
from llamakit.cli.options.context import ContextOptions, RopeOptions, check_tensors, context_params
from llamakit.cli.options.grammar import GrammarFile, GrammarText, JsonSchema, JsonSchemaFile, Regex, read_grammar
from llamakit.cli.options.interactive import InteractiveOptions
from llamakit.cli.options.long_text import LongTextOptions
from llamakit.cli.options.model import ModelOptions
from llamakit.cli.options.prompt import PromptOptions, read_prompt, unescape
from llamakit.cli.options.sampling import SamplingOptions, sampling_of, sampling_params
from llamakit.cli.run_log import INFO, Log, LogOptions

if TYPE_CHECKING:
    from llamakit.api.grammar import LlamaGrammar
    from llamakit.core.sampling.params import SamplingParams
    from llamakit.tools.chat.draws import Draws
    from llamakit.tools.chat.interaction import Interaction
    from llamakit.tools.chat.speaker import Speaker
    from llamakit.tools.completion import Completion

TEMPLATE_KEY = "tokenizer.chat_template"


def chat(
    *,
    source: ModelOptions,
    interactive: InteractiveOptions,
    template: ChatOptions,
    prompting: PromptOptions,
    n_predict: o.Predict = -1,
    reverse_prompt: o.ReversePrompt = [],
    display_prompt: o.DisplayPrompt = True,
    color: o.Color = "auto",
    special: o.Special = False,
    lengths: LongTextOptions,
    grammar: GrammarText = None,
    grammar_file: GrammarFile = None,
    json_schema: JsonSchema = None,
    json_schema_file: JsonSchemaFile = None,
    regex: Regex = None,
    sampling: SamplingOptions,
    context: ContextOptions,
    rotation: RopeOptions,
    adapting: AdapterOptions,
    logging: LogOptions,
) -> None:
    """Talk with a model. -sys is the system message, -p your first one; /help lists what else you can say."""
    first = read_prompt(prompting, reads_stdin=False)
    stops = [unescape(text) if prompting.escape else text for text in reverse_prompt]
    limits = read_grammar(grammar, grammar_file, json_schema, json_schema_file, regex)

    from llamakit.tools import completion as c

    opening = context_params(context, rotation, adapting)
    sampling_params(sampling)  # what is wrong with it is said before the model is loaded
    draw = partial(sampling_of, sampling)
    cache = lengths.cache(saves_all=True)
    params = c.CompletionParams(
        n_predict, lengths.keep, lengths.context_shift, tuple(stops), special, extend=lengths.extend
    )
    with ExitStack() as opened:
        log = opened.enter_context(Log.to(logging))
        with progress(log.shows(INFO)) as report:
            path = source.path(report)
            if context.check_tensors:
                check_tensors(path, report)
            completion = opened.enter_context(c.open_completion(path, opening, draw, params, report, cache))
        if cache and cache.warning:
            log.warn(cache.warning)
        code = talk(
            completion, first, interactive, template, draw(completion.context.model.metadata), log=log,
            grammar=limits, color=color, display_prompt=display_prompt, escape=prompting.escape,
        )  # fmt: skip
    raise typer.Exit(code)


def talk(
    completion: Completion,
    first: str | bytes,
    interactive: InteractiveOptions,
    template: ChatOptions,
    sampling: SamplingParams,
    *,
    log: Log,
    grammar: LlamaGrammar | None = None,
    color: str = "auto",
    display_prompt: bool = True,
    escape: bool = True,
) -> int:
    """Take turns with the model until the person leaves; returns the exit code.

    `first` is the person's first message; without a template, the text that the model goes on from. `escape`: the texts
    of `interactive` are written with escapes.
    """
    from llamakit.cli.chat.commands import WORDS
    from llamakit.cli.chat.input import history_file, open_input
    from llamakit.cli.chat.loop import ChatLoop
    from llamakit.cli.chat.raw import RawLoop
    from llamakit.cli.chat.screen import Screen
    from llamakit.tools.chat.conversation import Conversation
    from llamakit.tools.chat.draws import Draws

    i = interactive
    draws = Draws(sampling, completion.vocab, completion.context.n_vocab)
    draws.grammar = grammar
    screen = Screen(color, i.show_timings, not log.shows(INFO), i.markdown, i.show_thinking)
    history = history_file() if i.history else None
    source = open_input(i.multiline_input, i.simple_io, screen, () if i.is_raw else WORDS, history)
    with closing(source):
        if i.is_raw:
            interaction = open_interaction(completion, first, i, draws, escape)
            turns = RawLoop(interaction, source, screen, shows_affixes=not i.conversation)
            code = turns.run(display_prompt, i.interactive_first)
        else:
            conversation = Conversation(open_speaker(completion, template, draws))
            if TEMPLATE_KEY not in completion.context.model.metadata and chat_template_of(template) is None:
                log.warn("the model has no chat template: chatml is used; --chat-template names another one")
            conversation.set_system(i.system(escape))
            loop = ChatLoop(conversation, source, screen, draws, completion.context.model.path.name, i.output_file)
            raw = first.encode("utf-8", errors="surrogateescape") if isinstance(first, str) else first
            code = loop.run(raw.decode("utf-8", errors="replace"), i.single_turn, display_prompt)
    if completion.cache is not None:
        completion.cache.save_prompt(completion.session)
    completion.save()
    return code


def open_speaker(completion: Completion, template: ChatOptions, draws: Draws) -> Speaker:
    """The model with its template, or the one asked for."""
    from llamakit.core.chat.output.format import ReasoningFormat
    from llamakit.tools.chat import open

    params = open.TemplateParams(
        override=chat_template_of(template),
        use_jinja=template.jinja,
        variables=template_variables(template),
        reasoning=None if template.skip_chat_parsing else ReasoningFormat(template.reasoning_format),
        budget=template.reasoning_budget,
        budget_message=template.reasoning_budget_message or "",
    )
    return open.open_speaker(completion, params, draws)


def open_interaction(
    completion: Completion, prompt: str | bytes, interactive: InteractiveOptions, draws: Draws, escape: bool
) -> Interaction:
    """The model with a text of its own to go on from."""
    from llamakit.tools.chat.interaction import Interaction, RawParams
    from llamakit.tools.chat.speaker import UNTIL_CONTEXT_IS_FULL

    session, cache, i = completion.session, completion.cache, interactive
    prefix, suffix = (unescape(text) if escape else text for text in (i.in_prefix, i.in_suffix))
    p = RawParams(completion.params.n_predict, completion.params.stop, prefix, suffix, i.in_prefix_bos)
    interaction = Interaction(session, p, draws.plain if draws.grammar else None)
    if i.interactive_first and not prompt and cache is None and not completion.vocab.add_bos:
        return interaction  # the person's text is the first
    tokens = completion.encode(prompt)
    if completion.params.context_shift and p.n_predict != UNTIL_CONTEXT_IS_FULL:
        session.n_keep = completion.n_keep(len(tokens))
    if cache is None:
        interaction.add_prompt(tokens)
    else:
        interaction.add_prompt(tokens, n_computed=len(tokens) - len(cache.begin(session, tokens)))
        interaction.when_read = partial(cache.save_prompt, session)
    return interaction
