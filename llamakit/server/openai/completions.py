"""Completions of plain prompts: OpenAI's older API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from llamakit.core.chat.output.constraint import Constraint
from llamakit.core.engine.generate import Piece
from llamakit.core.engine.scheduler import Prefilled, ScoredPiece
from llamakit.server.engine.generation import Generation
from llamakit.server.generation.answer import Answer, Said, merged
from llamakit.server.generation.chat_fields import RESPONSE_FORMAT, read_answer_form
from llamakit.server.generation.field import Body, FieldError, Flag, Text, Whole, names_of
from llamakit.server.generation.fields import CompletionFields, read_fields
from llamakit.server.generation.prompts import read_prompts
from llamakit.server.generation.request import defaults_for, generation_of
from llamakit.server.generation.scores import LegacyScores, entries
from llamakit.server.generation.structure import rules_of_schema
from llamakit.server.generation.timings import progresses, summed, timings, token_counts
from llamakit.server.models.served import Served, served_for
from llamakit.server.openai.fields import KNOWN, MODEL, VERBOSE, includes_usage
from llamakit.server.openai.infill import infill_tokens
from llamakit.server.openai.objects import envelope
from llamakit.server.respond import ignored, json_object, stream, submitted, unless_gone
from llamakit.server.sse import Event, Events

ECHO = Flag("echo", "Begin the answer with the prompt; with logprobs, of its tokens too.")
SUFFIX = Text("suffix", "Text that comes after what is written, for models that fill in.")
COMPLETION_FIELDS = (ECHO, SUFFIX)
NAMES = KNOWN | names_of((*COMPLETION_FIELDS, RESPONSE_FORMAT)) | {"prompt", "best_of"}
HIDDEN = {"logprobs", "n_probs"}  # from `read_fields`, which takes them for one


@dataclass(frozen=True)
class Ask:
    """A request for completions, read. `n` of the `n_drawn` answers to each prompt are told, the likeliest ones."""

    served: Served
    fields: CompletionFields
    generations: list[Generation]
    n: int
    n_drawn: int
    echoes: list[str] | None  # the prompts' texts
    n_legacy: int | None  # logprobs in the older form, with so many of the likeliest tokens
    has_content: bool  # logprobs in llama-server's form
    has_usage: bool
    is_verbose: bool
    ignored: dict[str, str]


async def completions(request: Request) -> Response:
    body = await json_object(request)
    served = await served_for(request, MODEL.read(body))
    ask = await run_in_threadpool(read, body, served)
    if ask.fields.stream:
        return await stream(request, chunks(request, ask), ping=ask.fields.sse_ping_interval, headers=ask.ignored)
    return JSONResponse(await unless_gone(request, whole(request, ask)), headers=ask.ignored)


def read(body: Body, served: Served) -> Ask:
    """Raises FieldError and the like for what makes no sense."""
    vocab, defaults = served.vocab, defaults_for(served)
    plain = {name: value for name, value in body.items() if name not in HIDDEN}
    fields = read_fields(plain, defaults, vocab, is_strict=True)
    best_of = Whole("best_of", "", least=fields.n_cmpl, most=defaults.n_cmpl_max)
    n_drawn = best_of.read(body) or fields.n_cmpl
    if fields.stream and n_drawn > fields.n_cmpl:
        raise FieldError("best_of", "cannot be streamed: which answer is best shows at the end")
    n_legacy = Whole("logprobs", "", least=0, most=vocab.n_tokens).read(body)
    n_probs = Whole("n_probs", "", least=0, most=vocab.n_tokens).read(body) or 0
    n_scores = max(n_legacy or 0, n_probs) if n_legacy is not None or n_probs else None
    has_echo = ECHO.read(body) or False
    tokens = read_tokens(body, served)
    others = {
        "constraint": fields.constraint or read_constraint(body),
        "n_logprobs": 0 if n_scores is None and n_drawn > fields.n_cmpl else n_scores,
        "n_prompt_logprobs": n_scores if has_echo else None,
        "tells_progress": fields.return_progress,
    }
    return Ask(
        served,
        fields,
        [generation_of(served, fields, ids, **others) for ids in tokens],
        fields.n_cmpl,
        n_drawn,
        echoes(body["prompt"], tokens, served) if has_echo else None,
        n_legacy,
        n_probs > 0,
        includes_usage(body),
        VERBOSE.read(body) or False,
        ignored(sorted(body.keys() - NAMES)),
    )


def read_tokens(body: Body, served: Served) -> list[tuple[int, ...]]:
    """The prompts; with a suffix, one to be filled in."""
    prompt, suffix = body.get("prompt"), SUFFIX.read(body)
    if not suffix:
        return read_prompts(prompt, served.vocab)
    if not isinstance(prompt, str):
        raise FieldError("suffix", "needs a prompt that is one text")
    return [infill_tokens(served.vocab, prompt, suffix, served.settings.spm_infill)]


def read_constraint(body: Body) -> Constraint | None:
    """What response_format asks for."""
    form = read_answer_form(body, None)
    return None if form is None else Constraint(form.rules or rules_of_schema(form.schema, form.param), None)


def echoes(prompts: Any, tokens: list[tuple[int, ...]], served: Served) -> list[str]:
    """Prompts as they came; ids as the text that they stand for."""
    given = prompts if isinstance(prompts, list) else [prompts]
    if len(given) == len(tokens) and all(isinstance(prompt, str) for prompt in given):
        return list(given)
    return [
        served.vocab.detokenize(ids, special=True, clean_up_spaces=False).decode("utf-8", "replace") for ids in tokens
    ]


class Choice:
    """One answer to one prompt on its way."""

    def __init__(self, ask: Ask, i_prompt: int, answer: Answer) -> None:
        self.ask, self.answer = ask, answer
        self.generation = ask.generations[i_prompt]
        self.echo = "" if ask.echoes is None else ask.echoes[i_prompt]
        self.scores = LegacyScores(ask.served.vocab)
        self.pieces: list[Piece] = []

    @property
    def mean_logprob(self) -> float:
        scores = [piece.logprob for piece in self.pieces if isinstance(piece, ScoredPiece)]
        return sum(scores) / max(len(scores), 1)

    def logprobs(self, pieces: Iterable[Piece], is_first: bool) -> dict[str, Any] | None:
        """Of tokens of the answer; the prompt's before the first ones, where that is echoed."""
        ask, scored = self.ask, [piece for piece in pieces if isinstance(piece, ScoredPiece)]
        told: dict[str, Any] = {}
        before: list[Any] = []
        if is_first and self.answer.prompt_scores is not None:
            before = [self.generation.tokens[0], *self.answer.prompt_scores.scores]
        if ask.n_legacy is not None:
            told |= self.scores.of([*before, *scored], ask.n_legacy)
        if ask.has_content:
            told["content"] = entries(ask.served.vocab, [*before[1:], *scored], ask.fields.post_sampling_probs)
        return told or None

    def told(self, index: int, text: str, logprobs: dict[str, Any] | None, reason: str | None) -> dict[str, Any]:
        return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": reason}

    @property
    def finish_reason(self) -> str:
        return "stop" if self.answer.is_complete else "length"


async def whole(request: Request, ask: Ask) -> dict[str, Any]:
    told: list[dict[str, Any]] = []
    counted = "best_of" if ask.n_drawn > ask.n else "n"
    async with submitted(
        request, ask.served, ask.generations, ask.n_drawn, counted=counted, fields=ask.fields
    ) as answers:
        for i_prompt, of_prompt in enumerate(answers):
            choices = [Choice(ask, i_prompt, answer) for answer in of_prompt]
            texts = {}
            for choice in choices:
                said = await choice.answer.whole()
                choice.pieces, texts[choice] = list(said.pieces), choice.echo + said.text
            if ask.n < ask.n_drawn:
                choices.sort(key=lambda choice: -choice.mean_logprob)
            for choice in choices[: ask.n]:
                scores = choice.logprobs(choice.pieces, is_first=True)
                told.append(choice.told(len(told), texts[choice], scores, choice.finish_reason))
    usages = [[answer.usage for answer in of_prompt] for of_prompt in answers]
    reply = {
        **envelope(ask.served, "text_completion", "cmpl-"),
        "choices": told,
        "usage": summed([token_counts(of_prompt) for of_prompt in usages]),
        "timings": timings(usages[0][0]),
    }
    return reply | verbose(ask, told[0]["text"]) if ask.is_verbose else reply


async def chunks(request: Request, ask: Ask) -> Events:
    base = envelope(ask.served, "text_completion", "cmpl-")
    held: dict[str, Any] | None = None
    async with submitted(request, ask.served, ask.generations, ask.n, fields=ask.fields) as answers:
        choices = [Choice(ask, i, answer) for i, of_prompt in enumerate(answers) for answer in of_prompt]
        begun: set[int] = set()
        reading: set[int] = set()
        async for index, part in merged([to_the_end(choice.answer) for choice in choices]):
            choice, usage = choices[index], choices[index].answer.usage
            if isinstance(part, Prefilled):
                told = {**base, "choices": [choice.told(index, "", None, None)]}
                for step in progresses(usage, part.n_done, index not in reading):
                    yield Event({**told, "prompt_progress": step})
                reading.add(index)
                continue
            said, is_first = part or Said(""), index not in begun
            begun.add(index)
            text = choice.echo + said.text if is_first else said.text
            scores = choice.logprobs(said.pieces, is_first)
            if part is not None or text:
                chunk = {**base, "choices": [choice.told(index, text, scores, None)]}
                yield Event(chunk | ({"timings": timings(usage)} if ask.fields.timings_per_token else {}))
            if part is None:
                if held is not None:
                    yield Event(held)
                held = {**base, "choices": [choice.told(index, "", None, choice.finish_reason)]}
    usages = [[answer.usage for answer in of_prompt] for of_prompt in answers]
    last = held or {}
    if ask.has_usage:
        yield Event(last)
        last = {**base, "choices": [], "usage": summed([token_counts(of_prompt) for of_prompt in usages])}
    yield Event({**last, "timings": timings(usages[0][0])} | (verbose(ask, "") if ask.is_verbose else {}))


async def to_the_end(answer: Answer) -> AsyncIterator[Said | Prefilled | None]:
    """The parts, then None."""
    async for part in answer.parts():
        yield part
    yield None


def verbose(ask: Ask, content: str) -> dict[str, Any]:
    prompt = ask.served.vocab.detokenize(ask.generations[0].tokens, special=True, clean_up_spaces=False).decode(
        "utf-8", "replace"
    )
    return {"__verbose": {"prompt": prompt, "content": content}}
