"""A server whose model says what a test writes: the web's side of everything, without an engine."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from llamakit.core.chat.load import load_template
from llamakit.core.engine.generate import Finish, Piece
from llamakit.core.engine.scheduler import Ended, Event, Failed, ScoredPiece
from llamakit.core.engine.scheduler.event import PromptScores, Score
from llamakit.core.engine.scheduler.job import Usage
from llamakit.core.sampling.params import SamplingParams
from llamakit.core.vocab import load_vocab
from llamakit.core.vocab.stream import TextStream
from llamakit.server.app import create_app
from llamakit.server.engine.engine import Engine
from llamakit.server.engine.generation import Generation
from llamakit.server.engine.messages import Cancel, FromEngine, ModelInfo, Ready, Submit, ToEngine, Told
from llamakit.server.models.models import OneModel
from llamakit.server.models.served import Served
from llamakit.server.settings import ChatSettings, ModelSettings

from ..core.vocab.vocabs import bpe_metadata
from .serving import Reply, Running, listening

SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>", "<tool_call>", "</tool_call>")
# ChatML, with tools and thoughts in Hermes' manner.
TEMPLATE = """{%- if tools %}<|im_start|>system
Tools:{% for tool in tools %} {{ tool | tojson }}{% endfor %} Call as <tool_call>JSON</tool_call>.<|im_end|>
{% endif %}{%- for m in messages %}<|im_start|>{{ m.role }}
{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content or '' }}
{%- for call in m.tool_calls or [] %}{% set f = call.function %}<tool_call>{"name": "{{ f.name }}", "arguments": {{
f.arguments | tojson if f.arguments is mapping else f.arguments }}}</tool_call>{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}{% endif %}"""
LOGPROB, OTHER = -0.25, (43, -2.5)  # of every token; and what else was likely


@dataclass
class Script:
    """What is said next, one text a stream, again and again the last one; and what was asked."""

    texts: deque[str | Exception] = field(default_factory=deque)
    finish: Finish = Finish.END_OF_TEXT
    asked: list[Generation] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    is_silent: bool = False  # nothing comes at all

    def says(self, *texts: str | Exception, finish: Finish = Finish.END_OF_TEXT) -> None:
        self.texts, self.finish, self.is_silent = deque(texts), finish, False
        self.asked.clear()
        self.cancelled.clear()


class ScriptedChannel:
    def __init__(self, script: Script, vocab: Any) -> None:
        self.script, self.vocab = script, vocab

    def start(self, receive: Callable[[FromEngine], None], lost: Callable[[str, bool], None]) -> None:
        self.receive, self.loop = receive, asyncio.get_running_loop()
        n = self.vocab.n_tokens
        receive(Ready(ModelInfo("tiny.gguf", "llama", "tiny", "F32", n, 8, 2048, 5, 6, 1024, 64, 64, 4, False)))

    def send(self, message: ToEngine) -> None:
        if isinstance(message, Cancel):
            self.script.cancelled += message.ids
        if not isinstance(message, Submit) or self.script.is_silent:
            return
        for id in message.ids:
            self.script.asked.append(message.generation)
            text = self.script.texts.popleft() if len(self.script.texts) > 1 else self.script.texts[0]
            for event in self.events(message.generation, text):
                usage = Usage(len(message.generation.tokens), n_cached=1, n_drawn=3, started=1, first_drawn=2, ended=3)
                self.loop.call_soon(self.receive, Told([(id, event)], [(id, usage)], None))

    def events(self, g: Generation, text: str | Exception) -> Iterator[Event]:
        if isinstance(text, Exception):
            yield Failed(text)
            return
        if g.n_prompt_logprobs is not None:
            yield PromptScores(tuple(Score(token, LOGPROB, (OTHER,)) for token in g.tokens[1:]))
        stream, finish = TextStream(self.vocab, special=g.show_special), self.script.finish
        for i, token in enumerate(self.vocab.encode(text, add_special=False, parse_special=True)):
            if i == g.n_predict:
                finish = Finish.LENGTH
                break
            said = stream.push(token)
            top = ((token, LOGPROB), OTHER)[: g.n_logprobs or 0]
            yield Piece(token, said) if g.n_logprobs is None else ScoredPiece(token, said, LOGPROB, top)
        yield Ended(finish, stream.flush())

    def sleep(self) -> None:
        pass

    def wake(self) -> None:
        pass

    async def close(self) -> None:
        pass


@dataclass(frozen=True)
class Scripted(Running):
    script: Script

    def says(self, *texts: str | Exception, finish: Finish = Finish.END_OF_TEXT) -> None:
        self.script.says(*texts, finish=finish)

    def chat(self, content: str = "Hi", **fields: Any) -> Reply:
        return self.ask("/v1/chat/completions", {"messages": [{"role": "user", "content": content}], **fields})


@contextmanager
def scripted(template: str | None = TEMPLATE, **settings: Any) -> Iterator[Scripted]:
    """`settings` are those of ChatSettings, and `model`'s of ModelSettings."""
    metadata, script = bpe_metadata(specials=SPECIALS, eos_token_id=2), Script()
    vocab = load_vocab(metadata)
    model = ModelSettings("tiny.gguf", ("tiny",), chat=ChatSettings(**settings))
    engine = Engine(ScriptedChannel(script, vocab))
    served = Served(model, engine, metadata, vocab, load_template(metadata, vocab, template), SamplingParams())
    with listening(create_app(OneModel(served))) as url:
        yield Scripted(url, served, None, script)
