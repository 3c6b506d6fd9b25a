"""/embedding: vectors in llama-server's own form, a row for each text or for each of its tokens."""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from llamakit.server.errors import Refused
from llamakit.server.models.served import Served, served_for
from llamakit.server.openai.embeddings import NAMES, NORM, read_encoding, read_texts
from llamakit.server.openai.fields import MODEL
from llamakit.server.respond import ignored, json_object, unless_gone

AS_IT_IS = -1


async def embedding(request: Request) -> Response:
    body = await json_object(request)
    served = await served_for(request, MODEL.read(body))
    if not served.settings.embeddings:
        raise Refused(501, "This server does not support embeddings. Start it with `--embeddings`")
    encode, encoding = read_encoding(body)
    texts = await run_in_threadpool(read_texts, body, served.vocab)
    vectors = await unless_gone(request, served.engine.embed(texts, norm_for(served, NORM.read(body))))
    told = [
        {"index": i, "embedding": [encode(row) for row in vector.reshape(-1, vector.shape[-1])], **encoding}
        for i, vector in enumerate(vectors)
    ]
    return JSONResponse(told, headers=ignored(sorted(body.keys() - NAMES)))


def norm_for(served: Served, asked: int | None) -> int:
    """How vectors are scaled; those of single tokens stay as the model has them, as in llama-server."""
    if served.info.pooling == "none":
        return AS_IT_IS
    return served.settings.embd_normalize if asked is None else asked
