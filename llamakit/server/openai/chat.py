"""Chat completions, whole and in chunks."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from llamakit.core.chat.output.output import Delta, Message
from llamakit.core.engine.generate import Piece
from llamakit.core.engine.scheduler import Prefilled, ScoredPiece
from llamakit.server.errors import Refused
from llamakit.server.generation.answer import merged
from llamakit.server.generation.chat_fields import CHAT_FIELDS, read_chat, unread_variables, without_chat
from llamakit.server.generation.chat_request import ChatRequest, chat_answers, chat_request, n_prompt_tokens
from llamakit.server.generation.field import Body, FieldError, Flag, Texts, names_of
from llamakit.server.generation.fields import read_fields
from llamakit.server.generation.message import ChatAnswer, Spoken
from llamakit.server.generation.request import defaults_for
from llamakit.server.generation.scores import entries
from llamakit.server.generation.timings import progresses, timings, token_counts
from llamakit.server.models.served import Served, served_for
from llamakit.server.openai.fields import KNOWN, MODEL, TOP_LOGPROBS, VERBOSE, includes_usage
from llamakit.server.openai.objects import envelope
from llamakit.server.respond import ignored, json_object, stream, unless_gone
from llamakit.server.sse import Event, Events

log = logging.getLogger(__name__)

LOGPROBS = Flag("logprobs", "Tell the log-probabilities of the answer's tokens.")
MODALITIES = Texts("modalities", "text alone.")
DEFAULT_TOP = 20
NAMES = KNOWN | names_of((*CHAT_FIELDS, LOGPROBS, TOP_LOGPROBS))


@dataclass(frozen=True)
class Ask:
    """A request for chat completions, read."""

    request: ChatRequest
    has_usage: bool
    has_logprobs: bool
    is_legacy: bool  # calls in the older form: one, as function_call
    is_verbose: bool
    ignored: dict[str, str]

    @property
    def served(self) -> Served:
        return self.request.served


async def chat_completions(request: Request) -> Response:
    body = await json_object(request)
    served = await served_for(request, MODEL.read(body))
    ask = await run_in_threadpool(read, body, served)
    fields = ask.request.fields
    if fields.stream:
        return await stream(request, chunks(request, ask), ping=fields.sse_ping_interval, headers=ask.ignored)
    return JSONResponse(await unless_gone(request, whole(request, ask)), headers=ask.ignored)


async def chat_input_tokens(request: Request) -> dict[str, Any]:
    """How many tokens the prompt of a chat has."""
    body = await json_object(request)
    served = await served_for(request, MODEL.read(body))
    n_tokens = await run_in_threadpool(lambda: n_prompt_tokens(served, read_chat(body, served)))
    return {"object": "response.input_tokens", "input_tokens": n_tokens}


def read(body: Body, served: Served) -> Ask:
    """Raises FieldError and the like for what makes no sense."""
    if "audio" in (MODALITIES.read(body) or ()):
        raise Refused(501, "audio output is not supported: the model writes text alone", "modalities")
    chat = read_chat(body, served)
    has_logprobs, n_top = LOGPROBS.read(body) or False, TOP_LOGPROBS.read(body)
    if n_top is not None and not has_logprobs:
        raise FieldError(TOP_LOGPROBS.name, "top_logprobs requires logprobs to be set to true")
    n_vocab = served.vocab.n_tokens
    if n_top is not None and n_top > n_vocab:
        raise FieldError(TOP_LOGPROBS.name, f"Value must be between 0 <= value <= {n_vocab}, but got {n_top}")
    fields = read_fields(without_chat(body), defaults_for(served), served.vocab, is_strict=True)
    n_logprobs = (DEFAULT_TOP if n_top is None else n_top) if has_logprobs else fields.n_probs or None
    asked = chat_request(served, chat, fields, n_logprobs=n_logprobs, tells_progress=fields.return_progress)
    return Ask(
        asked,
        includes_usage(body),
        n_logprobs is not None,
        body.get("tools") is None and body.get("functions") is not None,
        VERBOSE.read(body) or log.isEnabledFor(logging.DEBUG),
        ignored([*sorted(body.keys() - NAMES), *unread_variables(body, served.template)]),
    )


async def whole(request: Request, ask: Ask) -> dict[str, Any]:
    async with chat_answers(request, ask.request) as answers:
        pieces = [await answer.whole() for answer in answers]
    choices = [choice(ask, i, answer, pieces[i]) for i, answer in enumerate(answers)]
    usages = [answer.answer.usage for answer in answers]
    told = {
        **envelope(ask.served, "chat.completion", "chatcmpl-"),
        "choices": choices,
        "usage": token_counts(usages),
        "timings": timings(usages[0]),
    }
    return told | verbose(ask, answers) if ask.is_verbose else told


def choice(ask: Ask, index: int, answer: ChatAnswer, pieces: list[Piece]) -> dict[str, Any]:
    message = answer.message
    return {
        "index": index,
        "message": legacy_message(message) if ask.is_legacy else message.as_json(),
        "logprobs": logprobs(ask, pieces),
        "finish_reason": finish_reason(ask, answer),
    }


def finish_reason(ask: Ask, answer: ChatAnswer) -> str:
    reason = answer.finish_reason
    return "function_call" if ask.is_legacy and reason == "tool_calls" else reason


def logprobs(ask: Ask, pieces: Sequence[Piece]) -> dict[str, Any] | None:
    if not ask.has_logprobs:
        return None
    scored = [piece for piece in pieces if isinstance(piece, ScoredPiece)]
    return {"content": entries(ask.served.vocab, scored, ask.request.fields.post_sampling_probs)}


def legacy_message(message: Message) -> dict[str, Any]:
    told = message.as_json()
    for call in told.pop("tool_calls", ())[:1]:
        told["function_call"] = call["function"]
    return told


def legacy_delta(delta: Delta) -> dict[str, Any]:
    call = delta.tool_call
    if call is None:
        return delta.as_json()
    if call.index:
        return {}
    return {"function_call": {**({"name": call.name} if call.name else {}), "arguments": call.arguments}}


async def chunks(request: Request, ask: Ask) -> Events:
    writer = ChunkWriter(ask)
    async with chat_answers(request, ask.request) as answers:
        async for index, part in merged([to_the_end(answer) for answer in answers]):
            for told in writer.chunks(index, answers[index], part):
                yield Event(told)
    for told in writer.end(answers):
        yield Event(told)


async def to_the_end(answer: ChatAnswer) -> AsyncIterator[Spoken | Prefilled | None]:
    """The parts, then None."""
    async for part in answer.parts():
        yield part
    yield None


class ChunkWriter:
    """The chunks of one stream. The last one is held back: it tells what all of them cost."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.base = envelope(ask.served, "chat.completion.chunk", "chatcmpl-")
        self.begun: set[int] = set()
        self.held: dict[str, Any] | None = None

    def chunk(
        self, index: int, delta: dict[str, Any], pieces: Sequence[Piece] = (), reason: str | None = None
    ) -> dict[str, Any]:
        scores = logprobs(self.ask, pieces)
        told = {"index": index, "delta": delta, "logprobs": scores, "finish_reason": reason}
        return {**self.base, "choices": [told]}

    def chunks(self, index: int, answer: ChatAnswer, part: Spoken | Prefilled | None) -> Iterator[dict[str, Any]]:
        """What a part of an answer, or its end, lets be sent."""
        usage = answer.answer.usage
        if isinstance(part, Prefilled):
            opening = self.chunk(index, {"role": "assistant", "content": None})
            for step in progresses(usage, part.n_done, index not in self.begun):
                yield {**opening, "prompt_progress": step}
            self.begun.add(index)
            return
        if index not in self.begun:
            self.begun.add(index)
            yield self.chunk(index, {"role": "assistant", "content": None})
        if part is None:
            if self.held is not None:
                yield self.held
            self.held = self.chunk(index, {}, answer.last_pieces, finish_reason(self.ask, answer))
            return
        delta = legacy_delta(part.delta) if self.ask.is_legacy else part.delta.as_json()
        told = self.chunk(index, delta, part.pieces)
        if self.ask.request.fields.timings_per_token:
            told["timings"] = timings(usage)
        yield told

    def end(self, answers: list[ChatAnswer]) -> Iterator[dict[str, Any]]:
        last = self.held or {}
        usages = [answer.answer.usage for answer in answers]
        if self.ask.has_usage:
            yield last
            last = {**self.base, "choices": [], "usage": token_counts(usages)}
        last["timings"] = timings(usages[0])
        yield last | verbose(self.ask, answers) if self.ask.is_verbose else last


def verbose(ask: Ask, answers: list[ChatAnswer]) -> dict[str, Any]:
    """What the model had before it, and what it wrote."""
    answer, tokens = answers[0], ask.request.generation.tokens
    prompt = ask.served.vocab.detokenize(tokens, special=True, clean_up_spaces=False)
    return {
        "__verbose": {
            "prompt": prompt.decode("utf-8", "replace"),
            "content": answer.raw,
            "tokens_evaluated": answer.answer.usage.n_prompt,
            "tokens_predicted": answer.answer.usage.n_drawn,
            "chat_format": ask.request.opening.form.name,
        }
    }
