"""A model made ready to talk: its template, its samplers, and how its answers are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llamakit.core.chat.load import load_template
from llamakit.core.chat.output import output
from llamakit.core.chat.output.format import THINK, ReasoningFormat
from llamakit.core.chat.output.parser import Parser
from llamakit.core.chat.output.registry import format_of
from llamakit.core.chat.prompt import chat_prompt
from llamakit.core.vocab.stream import TextStream
from llamakit.tools.chat.answer import Plain, Reader
from llamakit.tools.chat.draws import Draws, Thoughts
from llamakit.tools.chat.events import Delta
from llamakit.tools.chat.speaker import ChatParams, Prompt, Speaker, Voice

if TYPE_CHECKING:
    from llamakit.core.chat.message import Message
    from llamakit.core.sampling.chain import Sampler
    from llamakit.core.vocab.base import Vocab
    from llamakit.tools.completion import Completion


@dataclass(frozen=True, slots=True)
class TemplateParams:
    """What a person may say of the template and of thinking."""

    override: str | None = None  # a template's name or text, in place of the model's own
    use_jinja: bool = True
    variables: Mapping[str, Any] = field(default_factory=dict)
    reasoning: ReasoningFormat | None = ReasoningFormat.AUTO  # None: the text is not looked into
    budget: int = -1  # tokens to think; negative: any number
    budget_message: str = ""  # what ends thoughts that are too long


class ThinkingReader:
    """Tells thinking from saying by the model's own format."""

    def __init__(self, parser: Parser) -> None:
        self.parser = parser

    def push(self, text: str) -> Iterable[Delta]:
        return map(as_delta, self.parser.push(text))

    def finish(self) -> Iterable[Delta]:
        return map(as_delta, self.parser.finish())


def as_delta(delta: output.Delta) -> Delta:
    return Delta(delta.reasoning_content or delta.content, is_thinking=bool(delta.reasoning_content))


def open_speaker(completion: Completion, template_params: TemplateParams, draws: Draws) -> Speaker:
    """The model of an open completion, by whose parameters its answers end. Raises TemplateError."""
    t, c, vocab = template_params, completion.params, completion.vocab
    template = load_template(completion.context.model.reader.metadata, vocab, t.override, t.use_jinja)
    form = format_of(template.source, has_tools=False)
    tags = form.thinking or THINK
    thoughts = Thoughts(
        start=encode(vocab, tags.start),
        end=encode(vocab, tags.end),
        forced_end=encode(vocab, t.budget_message + tags.end),
        budget=t.budget,
    )
    if form.turn is not None or any(map(vocab.is_control, thoughts.start)):
        completion.session.text = TextStream(vocab, special=True)  # marks that are told by their texts

    def render(messages: Sequence[Message]) -> Prompt:
        return chat_prompt(template, list(messages), **t.variables)

    def new_sampler(number: int, prompt: Prompt) -> Sampler:
        return draws.thinking(number, thoughts, tags.is_open(prompt.text))

    def new_reader(prompt: Prompt) -> Reader:
        if t.reasoning is None:
            return Plain()
        return ThinkingReader(Parser(form, t.reasoning, starts_thinking=tags.is_open(prompt.text)))

    params = ChatParams(c.n_predict, c.n_keep, c.context_shift, c.stop)
    return Speaker(completion.session, Voice(render, new_sampler, new_reader), params)


def encode(vocab: Vocab, text: str) -> list[int]:
    return vocab.encode(text, add_special=False, parse_special=True)
