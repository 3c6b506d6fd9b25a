"""Anthropic's messages, whole and as events."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from llamakit.core.engine.generate import Finish
from llamakit.core.engine.scheduler import Prefilled
from llamakit.core.engine.scheduler.job import Usage
from llamakit.server.anthropic.body import NAMES, native_fields, read_chat
from llamakit.server.errors import anthropic_shape
from llamakit.server.generation.blocks import Begun, Block, BlockEvent, Blocks, Grown, Kind
from llamakit.server.generation.chat_request import ChatRequest, chat_answers, chat_request, n_prompt_tokens
from llamakit.server.generation.field import Body
from llamakit.server.generation.fields import read_fields
from llamakit.server.generation.message import ChatAnswer
from llamakit.server.generation.request import defaults_for
from llamakit.server.models.served import Served, served_for
from llamakit.server.openai.fields import MODEL
from llamakit.server.openai.objects import new_id
from llamakit.server.respond import ignored, json_object, stream, unless_gone
from llamakit.server.sse import Event, Events, Style

ANTHROPIC = Style(lambda problem: Event(anthropic_shape(problem)[1], "error"), has_done=False)


async def messages(request: Request) -> Response:
    body = await json_object(request)
    served = await served_for(request, MODEL.read(body))
    asked = await run_in_threadpool(read, body, served)
    headers = {"request-id": new_id("req_", 24), **ignored(sorted(body.keys() - NAMES))}
    if asked.fields.stream:
        ping = asked.fields.sse_ping_interval
        return await stream(request, events(request, asked), ANTHROPIC, ping=ping, headers=headers)
    return JSONResponse(await unless_gone(request, whole(request, asked)), headers=headers)


async def count_tokens(request: Request) -> dict[str, int]:
    body = await json_object(request)
    served = await served_for(request, MODEL.read(body))
    return {"input_tokens": await run_in_threadpool(lambda: n_prompt_tokens(served, read_chat(body, served)))}


def read(body: Body, served: Served) -> ChatRequest:
    """Raises FieldError and the like for what makes no sense."""
    chat = read_chat(body, served)
    fields = read_fields(native_fields(body), defaults_for(served), served.vocab, is_strict=True)
    return chat_request(served, chat, fields)


async def whole(request: Request, asked: ChatRequest) -> dict[str, Any]:
    blocks = Blocks()
    async with chat_answers(request, asked) as (answer,):
        async for _ in blocks.read(answer):
            pass
    content = [content_block(block, is_whole=True) for block in blocks.all]
    return {**message(asked.served, usage(answer.answer.usage)), "content": content, **stop(answer, blocks)}


def message(served: Served, usage: dict[str, int]) -> dict[str, Any]:
    return {
        "id": new_id("msg_", 24),
        "type": "message",
        "role": "assistant",
        "model": served.name,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def usage(n: Usage) -> dict[str, int]:
    return {
        "input_tokens": n.n_prompt - n.n_cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": n.n_cached,
        "output_tokens": n.n_drawn,
    }


def stop(answer: ChatAnswer, blocks: Blocks) -> dict[str, Any]:
    """Why it ends."""
    reason = "max_tokens"
    if answer.answer.stop_text is not None:
        reason = "stop_sequence"
    elif answer.answer.finish is Finish.CONTEXT_FULL:
        reason = "model_context_window_exceeded"
    elif answer.answer.finish is Finish.END_OF_TEXT:
        reason = "tool_use" if any(block.kind is Kind.CALL for block in blocks.all) else "end_turn"
    return {"stop_reason": reason, "stop_sequence": answer.answer.stop_text}


def content_block(block: Block, is_whole: bool) -> dict[str, Any]:
    """A block at its end, or as it begins."""
    text = block.text if is_whole else ""
    if block.kind is Kind.THOUGHT:
        return {"type": "thinking", "thinking": text, "signature": ""}
    if block.kind is Kind.TEXT:
        return {"type": "text", "text": text}
    arguments = block.arguments if is_whole else {}
    return {"type": "tool_use", "id": block.id, "name": block.name, "input": arguments}


async def events(request: Request, asked: ChatRequest) -> Events:
    blocks, has_begun = Blocks(), False
    async with chat_answers(request, asked) as (answer,):
        async for event in blocks.read(answer):
            if not has_begun:
                begun = {**usage(answer.answer.usage), "output_tokens": 0}
                yield named("message_start", message=message(asked.served, begun))
                has_begun = True
            if not isinstance(event, Prefilled):
                for told in block_events(event):
                    yield told
    yield named("message_delta", delta=stop(answer, blocks), usage=usage(answer.answer.usage))
    yield named("message_stop")


def block_events(event: BlockEvent) -> list[Event]:
    index = event.block.index
    if isinstance(event, Begun):
        return [named("content_block_start", index=index, content_block=content_block(event.block, is_whole=False))]
    if isinstance(event, Grown):
        return [named("content_block_delta", index=index, delta=delta(event.block.kind, event.text))]
    told = [named("content_block_stop", index=index)]
    if event.block.kind is Kind.THOUGHT:
        signature = {"type": "signature_delta", "signature": ""}
        told.insert(0, named("content_block_delta", index=index, delta=signature))
    return told


def delta(kind: Kind, text: str) -> dict[str, str]:
    if kind is Kind.THOUGHT:
        return {"type": "thinking_delta", "thinking": text}
    if kind is Kind.TEXT:
        return {"type": "text_delta", "text": text}
    return {"type": "input_json_delta", "partial_json": text}


def named(kind: str, **members: Any) -> Event:
    return Event({"type": kind, **members}, kind)
