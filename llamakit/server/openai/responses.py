"""OpenAI's Responses, whole and as events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from llamakit.core.engine.scheduler import Prefilled
from llamakit.server.errors import Problem
from llamakit.server.generation.blocks import Begun, Block, BlockEvent, Blocks, Grown, Kind
from llamakit.server.generation.chat_fields import unread_variables
from llamakit.server.generation.chat_request import ChatRequest, chat_answers, chat_request, n_prompt_tokens
from llamakit.server.generation.field import Body
from llamakit.server.generation.fields import read_fields
from llamakit.server.generation.message import ChatAnswer
from llamakit.server.generation.request import defaults_for
from llamakit.server.generation.timings import progresses, timings
from llamakit.server.models.served import Served, served_for
from llamakit.server.openai.fields import MODEL, TOP_LOGPROBS
from llamakit.server.openai.response_body import NAMES, idle_tools, native_fields, read_chat
from llamakit.server.openai.response_object import ResponseWriter
from llamakit.server.respond import ignored, json_object, stream, unless_gone
from llamakit.server.sse import Event, Events, Style

WITH_LOGPROBS = "message.output_text.logprobs"


def failed(it: Problem) -> Event:
    code = it.kind if it.status < 500 else "server_error"
    return Event({"type": "error", "code": code, "message": it.message, "param": it.param}, "error")


STYLE = Style(failed, has_done=False)


@dataclass(frozen=True)
class Ask:
    """A request for a response, read."""

    request: ChatRequest
    body: Body
    ignored: dict[str, str]


async def responses(request: Request) -> Response:
    body = await json_object(request)
    served = await served_for(request, MODEL.read(body))
    ask = await run_in_threadpool(read, body, served)
    fields = ask.request.fields
    if fields.stream:
        return await stream(request, events(request, ask), STYLE, ping=fields.sse_ping_interval, headers=ask.ignored)
    return JSONResponse(await unless_gone(request, whole(request, ask)), headers=ask.ignored)


async def input_tokens(request: Request) -> dict[str, Any]:
    body = await json_object(request)
    served = await served_for(request, MODEL.read(body))
    n_tokens = await run_in_threadpool(lambda: n_prompt_tokens(served, read_chat(body, served)))
    return {"object": "response.input_tokens", "input_tokens": n_tokens}


def read(body: Body, served: Served) -> Ask:
    """Raises FieldError and the like for what makes no sense."""
    chat = read_chat(body, served)
    fields = read_fields(native_fields(body), defaults_for(served), served.vocab, is_strict=True)
    n_top, include = TOP_LOGPROBS.read(body), body.get("include")
    if n_top is None and isinstance(include, list) and WITH_LOGPROBS in include:
        n_top = 0
    asked = chat_request(served, chat, fields, n_logprobs=n_top, tells_progress=fields.return_progress)
    names = [*sorted(body.keys() - NAMES), *idle_tools(body), *unread_variables(body, served.template)]
    return Ask(asked, body, ignored(names))


async def whole(request: Request, ask: Ask) -> dict[str, Any]:
    blocks, writer = Blocks(), ResponseWriter(ask.request.served, ask.body)
    async with chat_answers(request, ask.request) as (answer,):
        async for _ in blocks.read(answer):
            pass
    return {**writer.response(status(answer), blocks.all, answer.answer.usage), "timings": timings(answer.answer.usage)}


def status(answer: ChatAnswer) -> str:
    return "completed" if answer.answer.is_complete else "incomplete"


async def events(request: Request, ask: Ask) -> Events:
    blocks, writer, n_told = Blocks(), ResponseWriter(ask.request.served, ask.body), 0

    def told(kind: str, **members: Any) -> Event:
        nonlocal n_told
        n_told += 1
        return Event({"type": kind, "sequence_number": n_told - 1, **members}, kind)

    async with chat_answers(request, ask.request) as (answer,):
        async for event in blocks.read(answer):
            usage = answer.answer.usage
            if not n_told:
                yield told("response.created", response=writer.response("in_progress"))
                yield told("response.in_progress", response=writer.response("in_progress"))
            if isinstance(event, Prefilled):
                for step in progresses(usage, event.n_done, is_first=n_told == 2):
                    yield told("response.in_progress", response=writer.response("in_progress"), prompt_progress=step)
                continue
            extra = {"timings": timings(usage)} if ask.request.fields.timings_per_token else {}
            for kind, members in block_events(writer, event):
                yield told(kind, **members, **extra)
    usage, end = answer.answer.usage, status(answer)
    yield told(f"response.{end}", response=writer.response(end, blocks.all, usage), timings=timings(usage))


Told = list[tuple[str, dict[str, Any]]]  # types of events and their members


def block_events(writer: ResponseWriter, event: BlockEvent) -> Told:
    """A block that begins, grows or is done, as item, part and text."""
    block = event.block
    place = {"item_id": writer.item_id(block), "output_index": block.index}
    if isinstance(event, Begun):
        added = [("response.output_item.added", {"output_index": block.index, "item": writer.item(block, False)})]
        if block.kind is Kind.CALL:
            return added
        part = {**place, "content_index": 0, "part": writer.part(block, False)}
        return [*added, ("response.content_part.added", part)]
    if isinstance(event, Grown):
        if block.kind is Kind.CALL:
            return [("response.function_call_arguments.delta", {**place, "delta": event.text})]
        delta: dict[str, Any] = {**place, "content_index": 0, "delta": event.text}
        if block.kind is Kind.TEXT:
            delta["logprobs"] = writer.scores(event.pieces)
        return [(f"{text_event(block)}.delta", delta)]
    item = ("response.output_item.done", {"output_index": block.index, "item": writer.item(block, True)})
    if block.kind is Kind.CALL:
        arguments = {**place, "name": block.name, "arguments": block.text}
        return [("response.function_call_arguments.done", arguments), item]
    part = writer.part(block, True)
    text: dict[str, Any] = {**place, "content_index": 0, "text": block.text}
    if block.kind is Kind.TEXT:
        text["logprobs"] = part["logprobs"]
    return [
        (f"{text_event(block)}.done", text),
        ("response.content_part.done", {**place, "content_index": 0, "part": part}),
        item,
    ]


def text_event(block: Block) -> str:
    return "response.output_text" if block.kind is Kind.TEXT else "response.reasoning_text"
