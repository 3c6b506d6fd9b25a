"""/embedding: vectors in llama-server's own form, a row for each text or for each of its tokens."""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from llamakit.server.errors import Refused
from llamakit.server.models.served import served_for
from llamakit.server.openai.embeddings import NAMES, NORM, read_texts
from llamakit.server.openai.fields import MODEL
from llamakit.server.respond import ignored, json_object, unless_gone


async def embedding(request: Request) -> Response:
    body = await json_object(request)
    served = await served_for(request, MODEL.read(body))
    if not served.settings.embeddings:
        raise Refused(501, "This server does not support embeddings. Start it with `--embeddings`")
    texts = await run_in_threadpool(read_texts, body, served.vocab)
    norm = NORM.read(body)
    vectors = await unless_gone(
        request, served.engine.embed(texts, served.settings.embd_normalize if norm is None else norm)
    )
    told = [
        {"index": i, "embedding": vector.reshape(-1, vector.shape[-1]).tolist()} for i, vector in enumerate(vectors)
    ]
    return JSONResponse(told, headers=ignored(sorted(body.keys() - NAMES)))
