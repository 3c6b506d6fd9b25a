"""/generate and /generate_stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from llamakit.core.engine.generate import Finish, Piece
from llamakit.core.engine.scheduler import (
    Cancelled,
    Ended,
    Failed,
    PromptScores,
    SchedulerClosed,
    ScoredPiece,
)
from llamakit.server.engine.generation import Generation
from llamakit.server.engine.stream import Stream
from llamakit.server.generation.field import Body, FieldError, wrong_type
from llamakit.server.generation.request import usual_constraint
from llamakit.server.models.served import Served, served_for
from llamakit.server.respond import ignored, json_object, stream, submitted, unless_gone
from llamakit.server.sse import Event, Events
from llamakit.server.tgi.errors import STREAM, Invalid
from llamakit.server.tgi.limits import GenerateLimits, limits_of
from llamakit.server.tgi.parameters import NAMES, Parameters, read_parameters

if TYPE_CHECKING:
    from llamakit.core.vocab.base import Vocab

COMPUTE = "cpu"


@dataclass(frozen=True)
class Ask:
    """A request for a text, read."""

    served: Served
    inputs: str
    tokens: tuple[int, ...]
    parameters: Parameters
    n_predict: int
    is_stream: bool
    headers: dict[str, str]
    received: float
    validated: float = field(default_factory=time.perf_counter)

    @property
    def generation(self) -> Generation:
        p = self.parameters
        needs_scores = self.is_stream or p.has_details or p.best_of > 1
        sampling = p.sampling if p.is_plain else replace(p.sampling, keeps_others=needs_scores)
        return Generation(
            self.tokens, sampling, p.constraint or usual_constraint(self.served), n_predict=self.n_predict,
            n_logprobs=p.top_n_tokens if needs_scores else None, post_sampling_probs=not p.is_plain,
            n_prompt_logprobs=0 if p.has_input_details else None, show_special=True, adapters=p.adapters,
            stop=p.stop, stops_at_ends=True,
        )  # fmt: skip


async def generate(request: Request) -> Response:
    return await respond(request, await json_object(request), False)


async def generate_stream(request: Request) -> Response:
    return await respond(request, await json_object(request), True)


async def respond(request: Request, body: Body, is_stream: bool) -> Response:
    ask = await ask_for(request, body, is_stream)
    if is_stream:
        return await stream(request, chunks(request, ask), STREAM, headers=ask.headers)
    reply, headers = await unless_gone(request, whole(request, ask))
    return JSONResponse(reply, headers=headers)


async def ask_for(request: Request, body: Body, is_stream: bool) -> Ask:
    received, limits = time.perf_counter(), limits_of(request)
    served = await served_for(request, None)
    return await run_in_threadpool(read, body, served, limits, is_stream, received)


def read(body: Body, served: Served, limits: GenerateLimits, is_stream: bool, received: float) -> Ask:
    """Raises Invalid, FieldError."""
    inputs, given = body.get("inputs"), body.get("parameters")
    given = {} if given is None else given
    if not isinstance(inputs, str):
        raise FieldError("inputs", "is missing") if inputs is None else wrong_type("inputs", "a text", inputs)
    if not isinstance(given, dict):
        raise wrong_type("parameters", "an object", given)
    parameters = read_parameters(given, served, limits, is_stream)
    if not inputs:
        raise Invalid("`inputs` cannot be empty")
    encoded = served.vocab.encode(inputs, parse_special=True)
    tokens = encoded[-parameters.truncate :] if parameters.truncate else encoded
    most_input, most = limits.input_tokens(served), limits.total_tokens(served)
    if len(tokens) > most_input:
        raise Invalid(f"`inputs` must have less than {most_input} tokens. Given: {len(tokens)}")
    n_new = parameters.max_new_tokens
    if n_new is not None and len(tokens) + n_new > most:
        raise Invalid(
            f"`inputs` tokens + `max_new_tokens` must be <= {most}. Given: {len(tokens)} `inputs` tokens and {n_new} "
            "`max_new_tokens`"
        )
    n_truncated = len(encoded) - len(tokens)
    unknown = {*(body.keys() - {"inputs", "parameters", "stream", "model"}), *(given.keys() - NAMES)}
    headers = {
        "x-compute-type": COMPUTE,
        "x-compute-characters": str(len(inputs)),
        **({"x-truncated-tokens": str(n_truncated)} if n_truncated else {}),
        **ignored(sorted(unknown)),
    }
    n_predict = most - len(tokens) if n_new is None else n_new
    return Ask(served, inputs, tuple(tokens), parameters, n_predict, is_stream, headers, received)


class Text:
    """One text as it grows, token by token; it ends where text-generation-inference ends it."""

    def __init__(self, ask: Ask, stream: Stream) -> None:
        self.ask, self.stream = ask, stream
        self.pieces: list[Piece] = []
        self.text = ""
        self.all_text = ""  # with special tokens
        self.finish: str | None = None
        self.is_cut = False  # it ended without a last token
        self.prompt: PromptScores | None = None

    async def grow(self) -> AsyncGenerator[Piece, None]:
        """The pieces as they come; `finish` is set with the last. Raises what goes wrong."""
        async for event in self.stream.events():
            if isinstance(event, PromptScores):
                self.prompt = event
            elif isinstance(event, Piece) and self.finish is None:
                self.push(event)
                yield event
            elif isinstance(event, Failed):
                raise event.error
            elif isinstance(event, Ended) and self.finish is None:
                self.text += event.text
                self.is_cut = True
                self.finish = "eos_token" if event.finish is Finish.END_OF_TEXT else "length"
            elif isinstance(event, Cancelled) and self.finish is None:
                raise SchedulerClosed("the server ends")

    def push(self, piece: Piece) -> None:
        """As the engine ends it, but that the last token allowed comes before a stop text."""
        self.pieces.append(piece)
        self.all_text += piece.text
        if not is_special(self.ask.served.vocab, piece.token):
            self.text += piece.text
        if len(self.pieces) == self.ask.n_predict:
            self.finish = "length"
        elif self.ask.served.vocab.is_eog(piece.token):
            self.finish = "eos_token"
        elif self.ask.parameters.stop and self.all_text.endswith(self.ask.parameters.stop):
            self.finish = "stop_sequence"

    async def whole(self) -> Text:
        async for _ in self.grow():
            pass
        return self

    @property
    def score(self) -> float:
        """The mean of the tokens' log-probabilities."""
        scores = [piece.logprob for piece in self.pieces if isinstance(piece, ScoredPiece)]
        return sum(scores) / len(scores) if scores else 0.0

    @property
    def generated_text(self) -> str:
        return (self.ask.inputs if self.ask.parameters.returns_full_text else "") + self.text

    def details(self) -> dict[str, Any]:
        vocab, seed = self.ask.served.vocab, self.ask.parameters.seed
        told: dict[str, Any] = {
            "finish_reason": self.finish,
            "generated_tokens": len(self.pieces),
            "seed": seed,
            "prefill": prefill(vocab, self.ask.tokens, self.prompt),
            "tokens": [token(vocab, piece) for piece in self.pieces],
        }
        if self.ask.parameters.top_n_tokens:
            told["top_tokens"] = [top_tokens(vocab, piece) for piece in self.pieces]
        return told


async def whole(request: Request, ask: Ask) -> tuple[dict[str, Any], dict[str, str]]:
    async with submitted(request, ask.served, [ask.generation], ask.parameters.best_of, counted="best_of") as answers:
        texts = await asyncio.gather(*(Text(ask, answer.stream).whole() for answer in answers[0]))
    ordered = sorted(texts, key=lambda text: -text.score)
    best, others = ordered[0], ordered[1:]
    reply: dict[str, Any] = {"generated_text": best.generated_text}
    if ask.parameters.has_details:
        details = best.details()
        if others:
            details["best_of_sequences"] = [
                {"generated_text": text.generated_text, **text.details()} for text in others
            ]
        reply["details"] = details
    return reply, {**ask.headers, **times(ask, best)}


async def chunks(request: Request, ask: Ask) -> Events:
    vocab = ask.served.vocab
    async with submitted(request, ask.served, [ask.generation]) as answers:
        text = Text(ask, answers[0][0].stream)
        async for piece in text.grow():
            yield Event({**chunk(vocab, text, piece), **(ending(ask, text) if text.finish else {})})
        if not text.pieces or text.is_cut:
            yield Event({**chunk(vocab, text, Piece(vocab.eos_id or 0, "")), **ending(ask, text)})


def chunk(vocab: Vocab, text: Text, piece: Piece) -> dict[str, Any]:
    told = {"index": len(text.pieces), "token": token(vocab, piece), "generated_text": None, "details": None}
    if text.ask.parameters.top_n_tokens:
        told["top_tokens"] = top_tokens(vocab, piece)
    return told


def ending(ask: Ask, text: Text) -> dict[str, Any]:
    """What the last event says of the whole."""
    details = {
        "finish_reason": text.finish,
        "generated_tokens": len(text.pieces),
        "seed": ask.parameters.seed,
        "input_length": len(ask.tokens),
    }
    return {"generated_text": text.generated_text, "details": details if ask.parameters.has_details else None}


def is_special(vocab: Vocab, token: int) -> bool:
    return vocab.is_control(token)


def token(vocab: Vocab, piece: Piece) -> dict[str, Any]:
    logprob = piece.logprob if isinstance(piece, ScoredPiece) else None
    return {"id": piece.token, "text": piece.text, "logprob": logprob, "special": is_special(vocab, piece.token)}


def spelled(vocab: Vocab, token: int, logprob: float | None) -> dict[str, Any]:
    text = vocab.piece(token, special=True).decode("utf-8", "replace")
    return {"id": token, "text": text, "logprob": logprob}


def top_tokens(vocab: Vocab, piece: Piece) -> list[dict[str, Any]]:
    likeliest = piece.likeliest if isinstance(piece, ScoredPiece) else ()
    return [{**spelled(vocab, id, logprob), "special": is_special(vocab, id)} for id, logprob in likeliest]


def prefill(vocab: Vocab, tokens: Sequence[int], scores: PromptScores | None) -> list[dict[str, Any]]:
    """The prompt's tokens, where they were asked for; the first one has no probability."""
    if scores is None:
        return []
    logprobs = [None, *(score.logprob for score in scores.scores)]
    return [spelled(vocab, token, logprob) for token, logprob in zip(tokens, logprobs, strict=True)]


def times(ask: Ask, text: Text) -> dict[str, str]:
    """Headers that tell how long what took, in milliseconds unless they say seconds."""
    usage, now = text.stream.usage, time.perf_counter()
    begun = usage.started or now
    inference = (usage.ended or now) - begun
    ms = {
        "x-total-time": now - ask.received,
        "x-validation-time": ask.validated - ask.received,
        "x-queue-time": max(0.0, begun - ask.validated),
        "x-inference-time": inference,
        "x-time-per-token": inference / max(1, len(text.pieces)),
    }
    return {
        **{name: str(round(seconds * 1e3)) for name, seconds in ms.items()},
        "x-compute-time": f"{now - ask.received:.6f}",
        "x-prompt-tokens": str(len(ask.tokens)),
        "x-generated-tokens": str(len(text.pieces)),
    }
