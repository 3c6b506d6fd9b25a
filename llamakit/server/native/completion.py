"""/completion: text that goes on from prompts, whole and in chunks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from llamakit.core.engine.generate import Finish, Piece
from llamakit.core.engine.scheduler import Prefilled, ScoredPiece
from llamakit.core.engine.scheduler.job import Usage
from llamakit.server.engine.generation import Generation
from llamakit.server.generation.answer import Answer, Said, merged
from llamakit.server.generation.field import Body
from llamakit.server.generation.fields import CompletionFields, read_fields
from llamakit.server.generation.prompts import read_prompts
from llamakit.server.generation.request import defaults_for, generation_of
from llamakit.server.generation.scores import entries
from llamakit.server.generation.timings import pace, progress, timings
from llamakit.server.models.served import Served, served_for
from llamakit.server.native.settings import generation_settings
from llamakit.server.openai.fields import KNOWN, MODEL
from llamakit.server.respond import ignored, json_object, stream, submitted, unless_gone
from llamakit.server.sse import Event, Events, Style

NATIVE = Style(has_done=False)
STOP_TYPES = {Finish.END_OF_TEXT: "eos", Finish.STOP_TEXT: "word"}  # all else is a limit
NAMES = KNOWN | {"prompt"}


@dataclass(frozen=True)
class Ask:
    """A request for completions, read."""

    served: Served
    fields: CompletionFields
    prompts: tuple[tuple[int, ...], ...]
    model: str  # as answers name it
    headers: dict[str, str]
    more: dict[str, Any] = field(default_factory=dict)  # members of the last object of each answer

    def generations(self) -> list[Generation]:
        progress = self.fields.return_progress and self.fields.stream
        return [generation_of(self.served, self.fields, tokens, tells_progress=progress) for tokens in self.prompts]


async def completion(request: Request) -> Response:
    body = await json_object(request)
    served = await served_for(request, MODEL.read(body))
    return await respond(request, await run_in_threadpool(read, body, served))


def read(body: Body, served: Served) -> Ask:
    """Raises FieldError."""
    prompts = tuple(read_prompts(body.get("prompt"), served.vocab))
    fields = read_fields(body, defaults_for(served), served.vocab)
    return Ask(served, fields, prompts, MODEL.read(body) or served.name, ignored(sorted(body.keys() - NAMES)))


async def respond(request: Request, ask: Ask) -> Response:
    if ask.fields.stream:
        ping = float(ask.fields.sse_ping_interval)
        return await stream(request, chunks(request, ask), NATIVE, ping=ping, headers=ask.headers)
    answered = await unless_gone(request, whole(request, ask))
    has_much = ask.fields.n_probs > 0  # which the event loop should not wait for
    return await run_in_threadpool(reply, ask, answered) if has_much else reply(ask, answered)


class Completion:
    """One answer as it grows, and the objects that tell it."""

    def __init__(self, ask: Ask, index: int, answer: Answer) -> None:
        self.ask, self.index, self.answer = ask, index, answer
        self.has_new_line = self.is_reading = False
        self.pieces: list[Piece] = []

    def push(self, said: Said) -> None:
        self.has_new_line |= "\n" in said.text
        self.pieces += said.pieces

    def base(self, content: str, pieces: Sequence[Piece], is_last: bool) -> dict[str, Any]:
        usage, slot = self.answer.usage, self.answer.stream.generation.slot
        return {
            "index": self.index,
            "content": content,
            "tokens": [piece.token for piece in pieces],
            "id_slot": 0 if slot is None else slot,
            "stop": is_last,
            "tokens_predicted": usage.n_drawn,
            "tokens_evaluated": usage.n_prompt,
        }

    def chunk(self, said: Said) -> dict[str, Any]:
        told = self.base(said.text, said.pieces, False)
        if self.ask.fields.timings_per_token:
            told["timings"] = timings(self.answer.usage)
        return told | self.probabilities(said.pieces)

    def progress(self, n_done: int) -> list[dict[str, Any]]:
        """How far the prompt has come; at first also where it began."""
        usage, told = self.answer.usage, []
        for n in (n_done,) if self.is_reading else (usage.n_cached, n_done):
            figures = {"timings": reading(usage, n), "prompt_progress": progress(usage, n)}
            told.append(self.base("", (), False) | figures)
        self.is_reading = True
        return told

    def last(self, content: str) -> dict[str, Any]:
        """The object that says all, or ends a stream."""
        ask, usage, finish = self.ask, self.answer.usage, self.answer.finish
        pieces = self.pieces if ask.fields.return_tokens and not ask.fields.stream else []
        n_tokens = usage.n_prompt + usage.n_drawn
        told = {
            **self.base(content, pieces, True),
            "model": ask.model,
            "generation_settings": generation_settings(ask.fields, ask.served.vocab.eog_ids),
            "prompt": shown(ask.served, self.answer.stream.generation.tokens),
            "has_new_line": self.has_new_line,
            "truncated": self.is_truncated,
            "stop_type": "none" if finish is None else STOP_TYPES.get(finish, "limit"),
            "stopping_word": self.answer.stop_text or "",
            "tokens_cached": max(n_tokens - 1, usage.n_prompt),
            "timings": timings(usage),
            **ask.more,
        }
        if not ask.fields.stream:
            told |= self.probabilities(self.pieces)
        return chosen(told, ask.fields.response_fields) if ask.fields.response_fields else told

    @property
    def is_truncated(self) -> bool:
        """Whether there was no room for all: the text was cut off, or the context shifted."""
        usage, finish = self.answer.usage, self.answer.finish
        is_cut = finish is Finish.LENGTH and usage.n_drawn != self.ask.fields.n_predict
        return is_cut or finish is Finish.CONTEXT_FULL or usage.n_prompt + usage.n_drawn > self.ask.served.info.n_ctx

    def probabilities(self, pieces: Sequence[Piece]) -> dict[str, Any]:
        if not self.ask.fields.n_probs or not pieces:
            return {}
        scored = [piece for piece in pieces if isinstance(piece, ScoredPiece)]
        is_post = self.ask.fields.post_sampling_probs
        return {"completion_probabilities": entries(self.ask.served.vocab, scored, is_post)}


async def whole(request: Request, ask: Ask) -> list[tuple[Completion, Said]]:
    """Each answer with all of its text."""
    async with submitted(request, ask.served, ask.generations(), ask.fields.n_cmpl, fields=ask.fields) as answers:
        completions = numbered(ask, answers)
        said = await asyncio.gather(*(completion.answer.whole() for completion in completions))
    return list(zip(completions, said, strict=True))


def reply(ask: Ask, answered: Sequence[tuple[Completion, Said]]) -> Response:
    for completion, said in answered:
        completion.push(said)
    told = [completion.last(said.text) for completion, said in answered]
    return JSONResponse(told[0] if len(told) == 1 else told, headers=ask.headers)


async def chunks(request: Request, ask: Ask) -> Events:
    async with submitted(request, ask.served, ask.generations(), ask.fields.n_cmpl, fields=ask.fields) as answers:
        completions = numbered(ask, answers)
        async for i, part in merged([completion.answer.parts() for completion in completions]):
            if isinstance(part, Prefilled):
                for told in completions[i].progress(part.n_done):
                    yield Event(told)
            else:
                completions[i].push(part)
                yield Event(completions[i].chunk(part))
        for completion in completions:
            yield Event(completion.last(""))


def numbered(ask: Ask, answers: list[list[Answer]]) -> list[Completion]:
    flat = [answer for of_prompt in answers for answer in of_prompt]
    return [Completion(ask, i, answer) for i, answer in enumerate(flat)]


def reading(usage: Usage, n_done: int) -> dict[str, Any]:
    """Timings while `n_done` tokens of the prompt are in the cache, and nothing is written."""
    n_read = max(0, n_done - usage.n_cached)
    seconds = time.perf_counter() - (usage.started or usage.submitted) if n_read else 0.0
    return {"cache_n": usage.n_cached, **pace("prompt", n_read, seconds), **pace("predicted", 0, 0.0)}


def shown(served: Served, tokens: Sequence[int]) -> str:
    """A prompt as text, special tokens too."""
    return served.vocab.detokenize(tokens, special=True).decode("utf-8", "replace")


def chosen(told: dict[str, Any], paths: Sequence[str]) -> dict[str, Any]:
    """The members at some paths, named by them; those that are not there are left out."""
    found = {}
    for path in paths:
        value: Any = told
        for name in path.split("/"):
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            found[path] = value
    return found
