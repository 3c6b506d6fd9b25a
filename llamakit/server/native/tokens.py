"""/tokenize, /detokenize and /apply-template."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from llamakit.server.generation.chat import open_chat
from llamakit.server.generation.chat_fields import read_chat
from llamakit.server.generation.field import Anything, Body, FieldError, Flag
from llamakit.server.generation.prompts import is_id
from llamakit.server.models.served import Served, served_for
from llamakit.server.openai.fields import MODEL
from llamakit.server.respond import json_object

if TYPE_CHECKING:
    from llamakit.core.vocab.base import Vocab

CONTENT = Anything("content", "Text, or a list of texts and token ids.", types=("string", "array"),
                   items={"type": ["string", "integer"]})  # fmt: skip
ADD_SPECIAL = Flag("add_special", "Put what the model wants around a text: BOS and the like.")
PARSE_SPECIAL = Flag("parse_special", "Read texts of special tokens as these tokens; so it is unless false.")
WITH_PIECES = Flag("with_pieces", "Tell the texts of the tokens too.")
TOKENS = Anything("tokens", "Token ids.", types=("array",), items={"type": "integer", "minimum": 0})
TOKENIZE_FIELDS = (CONTENT, ADD_SPECIAL, PARSE_SPECIAL, WITH_PIECES)


async def tokenize(request: Request) -> Response:
    body = await json_object(request)
    served = await served_for(request, MODEL.read(body))
    return JSONResponse({"tokens": await run_in_threadpool(tokenized, body, served.vocab)})


def tokenized(body: Body, vocab: Vocab) -> list[int] | list[dict[str, Any]]:
    tokens: list[int] = []
    if (found := CONTENT.find(body)) is not None:
        _, content = found
        options = ADD_SPECIAL.read(body) or False, PARSE_SPECIAL.read(body) is not False
        tokens = mixed_tokens(content if isinstance(content, list) else [content], vocab, *options)
    if not WITH_PIECES.read(body):
        return tokens
    return [{"id": token, "piece": shown(vocab.piece(token, special=True))} for token in tokens]


def mixed_tokens(parts: list[Any], vocab: Vocab, add_special: bool, parse_special: bool) -> list[int]:
    """Texts and ids in a row; a text in front may have BOS before it."""
    tokens: list[int] = []
    for i, part in enumerate(parts):
        if isinstance(part, str):
            tokens += vocab.encode(part, add_special=add_special and i == 0, parse_special=parse_special)
        else:
            tokens.append(token_id(part, vocab, CONTENT.name))
    return tokens


def token_id(value: Any, vocab: Vocab, param: str) -> int:
    if not is_id(value) or not 0 <= value < vocab.n_tokens:
        raise FieldError(param, f"{str(value)[:40]} is no token: there are the ids 0 to {vocab.n_tokens - 1}")
    return int(value)


def shown(piece: bytes) -> str | list[int]:
    """A text, or where it is none, its bytes."""
    try:
        return piece.decode("utf-8")
    except UnicodeDecodeError:
        return list(piece)


async def detokenize(request: Request) -> Response:
    body = await json_object(request)
    served = await served_for(request, MODEL.read(body))
    return JSONResponse({"content": await run_in_threadpool(detokenized, body, served.vocab)})


def detokenized(body: Body, vocab: Vocab) -> str:
    found = TOKENS.find(body)
    tokens = [] if found is None else found[1]
    if not isinstance(tokens, list):
        raise FieldError(TOKENS.name, "must be a list of token ids")
    pieces = (vocab.piece(token_id(token, vocab, TOKENS.name), special=True) for token in tokens)
    return b"".join(pieces).decode("utf-8", "replace")


async def apply_template(request: Request) -> Response:
    body = await json_object(request)
    served = await served_for(request, MODEL.read(body))
    return JSONResponse({"prompt": await run_in_threadpool(rendered, body, served)})


def rendered(body: Body, served: Served) -> str:
    return open_chat(served, read_chat(body, served)).prompt.text
