"""Embeddings of texts."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from llamakit.server.errors import Refused
from llamakit.server.generation.field import Anything, Body, FieldError, Text, Whole
from llamakit.server.generation.prompts import read_prompts
from llamakit.server.models.served import served_for
from llamakit.server.openai.fields import IDLE, MODEL
from llamakit.server.respond import ignored, json_object, unless_gone

if TYPE_CHECKING:
    import numpy.typing as npt

    from llamakit.core.vocab.base import Vocab

    Floats = npt.NDArray[np.float32]

INPUT = Anything("input", "A text, token ids, or a list of these.", types=("string", "array", "object"))
CONTENT = Anything("content", "llama-server's name for input.", types=("string", "array", "object"))
ENCODING = Text("encoding_format", "float, or base64 of little-endian float32.")
DIMENSIONS = Whole("dimensions", "Only the width that the model has.", least=1)
EMBEDDING_FIELDS = (INPUT, CONTENT, ENCODING, DIMENSIONS, MODEL)
NORM = Whole(
    "embd_normalize", "How vectors are scaled: -1 not, 0 by the largest, 2 to length 1, p by the p-norm.", least=-1
)
NAMES = {field.name for field in EMBEDDING_FIELDS} | {NORM.name} | IDLE


async def embeddings(request: Request) -> Response:
    body = await json_object(request)
    served = await served_for(request, MODEL.read(body))
    if not served.settings.embeddings:
        raise Refused(501, "This server does not support embeddings. Start it with `--embeddings`")
    if served.info.pooling == "none":
        raise FieldError("input", "Pooling type 'none' is not OAI compatible. Please use a different pooling type")
    dimensions = DIMENSIONS.read(body)
    encode, told = read_encoding(body)
    texts = await run_in_threadpool(read_texts, body, served.vocab)
    norm = NORM.read(body)
    vectors = await unless_gone(
        request, served.engine.embed(texts, served.settings.embd_normalize if norm is None else norm)
    )
    if dimensions is not None and dimensions != vectors[0].size:
        raise FieldError("dimensions", f"must be {vectors[0].size}, the width of this model's vectors")
    n_tokens = sum(map(len, texts))
    data = [
        {"object": "embedding", "index": i, "embedding": encode(vector.ravel()), **told}
        for i, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": n_tokens, "total_tokens": n_tokens}
    reply = {"object": "list", "model": served.name, "data": data, "usage": usage}
    return JSONResponse(reply, headers=ignored(sorted(body.keys() - NAMES)))


def read_encoding(body: Body) -> tuple[Callable[[Floats], Any], dict[str, str]]:
    """What writes one vector, and what is told of it besides. Raises FieldError."""
    name = ENCODING.read(body) or "float"
    if name == "float":
        return as_list, {}
    if name == "base64":
        return as_base64, {ENCODING.name: name}
    raise FieldError(ENCODING.name, f"must be float or base64, but is {name[:40]!r}")


def as_list(vector: Floats) -> list[float]:
    floats: list[float] = vector.tolist()
    return floats


def as_base64(vector: Floats) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")


def read_texts(body: Body, vocab: Vocab) -> list[tuple[int, ...]]:
    """The tokens of what is to be embedded. Raises FieldError."""
    found = INPUT.find(body) or CONTENT.find(body)
    if found is None:
        raise FieldError("input", '"input" or "content" must be provided')
    name, value = found
    items = value if isinstance(value, list) else None
    if items is not None and any(isinstance(item, dict) for item in items):
        return read_prompts([text_of(item, f"{name}.{i}") for i, item in enumerate(items)], vocab, name)
    return read_prompts(text_of(value, name), vocab, name)


def text_of(value: Any, param: str) -> Any:
    """The text of an object with content parts; anything else as it is."""
    if not isinstance(value, dict) or "content" not in value:
        return value
    parts = value["content"]
    if not isinstance(parts, list):
        raise FieldError(f"{param}.content", "must be a list of parts")
    for i, part in enumerate(parts):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind != "text" or not isinstance(part.get("text"), str):
            raise FieldError(f"{param}.content.{i}", f"{str(kind)[:40]} input is not supported: texts alone are")
    return "".join(part["text"] for part in parts)
