"""/extras: tokens and texts, as llama-cpp-python's server gives them."""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from llamakit.server.generation.field import Body, FieldError, Text
from llamakit.server.generation.prompts import is_id
from llamakit.server.models.served import Served, served_for
from llamakit.server.native.tokens import TOKENS, token_id
from llamakit.server.openai.fields import MODEL
from llamakit.server.respond import json_object

INPUT = Text("input", "Text.")


async def tokenize(request: Request) -> Response:
    return JSONResponse({"tokens": await tokens_of(request)})


async def count(request: Request) -> Response:
    return JSONResponse({"count": len(await tokens_of(request))})


async def detokenize(request: Request) -> Response:
    body = await json_object(request)
    served = await served_for(request, MODEL.read(body))
    return JSONResponse({"text": await run_in_threadpool(text_of, body, served)})


async def tokens_of(request: Request) -> list[int]:
    """With the BOS that the model wants, and special tokens read, as llama-cpp-python does."""
    body = await json_object(request)
    served = await served_for(request, MODEL.read(body))
    text = INPUT.read(body)
    if text is None:
        raise FieldError(INPUT.name, "Field required")
    return await run_in_threadpool(served.vocab.encode, text, parse_special=True)


def text_of(body: Body, served: Served) -> str:
    found = TOKENS.find(body)
    if found is None or not isinstance(found[1], list) or not all(map(is_id, found[1])):
        raise FieldError(TOKENS.name, "must be a list of token ids")
    tokens = [token_id(token, served.vocab, TOKENS.name) for token in found[1]]
    return served.vocab.detokenize(tokens, remove_special=True).decode("utf-8", "ignore")
