"""/tokenize and /chat_tokenize: tokens with their places in the text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from llamakit.server.generation.chat import open_chat
from llamakit.server.generation.chat_fields import read_chat
from llamakit.server.generation.field import Body, wrong_type
from llamakit.server.models.served import Served, served_for
from llamakit.server.openai.fields import MODEL
from llamakit.server.respond import json_object
from llamakit.server.tgi.errors import Invalid

if TYPE_CHECKING:
    from llamakit.core.vocab.base import Vocab


async def tokenize(request: Request) -> Response:
    body = await json_object(request)
    served = await served_for(request, None)
    return JSONResponse(await run_in_threadpool(placed_tokens, body, served.vocab))


def placed_tokens(body: Body, vocab: Vocab) -> list[dict[str, Any]]:
    inputs = body.get("inputs")
    if not isinstance(inputs, str):
        raise wrong_type("inputs", "a text", inputs)
    if not inputs:
        raise Invalid("`inputs` cannot be empty")
    return placed(vocab, inputs, vocab.encode(inputs, parse_special=True))


async def chat_tokenize(request: Request) -> Response:
    body = await json_object(request)
    served = await served_for(request, MODEL.read(body))
    return JSONResponse(await run_in_threadpool(rendered_tokens, body, served))


def rendered_tokens(body: Body, served: Served) -> dict[str, Any]:
    prompt = open_chat(served, read_chat(body, served)).prompt
    tokens = prompt.encode(served.vocab)
    return {"tokenize_response": placed(served.vocab, prompt.text, tokens), "templated_text": prompt.text}


def placed(vocab: Vocab, text: str, tokens: Sequence[int]) -> list[dict[str, Any]]:
    """Tokens of a text with the bytes where each begins and ends; those that are not in it, as BOS, have no width."""
    data, place = text.encode("utf-8", "surrogateescape"), 0
    told = []
    for token in tokens:
        piece = vocab.piece(token, special=True)
        start = place
        for spelled in (piece, piece.removeprefix(b" ")):  # which some vocabularies put in front
            if data.startswith(spelled, place):
                place += len(spelled)
                break
        part = data[start:place].decode("utf-8", "replace")
        told.append({"id": token, "text": part, "start": start, "stop": place})
    return told
