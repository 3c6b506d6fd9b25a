"""Bodies that say by what they hold which API they are for: POST /, /invocations (SageMaker) and /vertex."""

from __future__ import annotations

import json
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from llamakit.server.generation.field import Flag, wrong_type
from llamakit.server.native.predict import with_body
from llamakit.server.openai.chat import chat_completions
from llamakit.server.openai.completions import completions
from llamakit.server.respond import json_object, unless_gone
from llamakit.server.tgi.errors import Invalid
from llamakit.server.tgi.generate import ask_for, respond, whole

STREAM = Flag("stream", "Send the text piece by piece.")


async def compat(request: Request) -> Response:
    """/generate whose body says whether to stream; whole answers come in a list."""
    body = await json_object(request)
    if STREAM.read(body):
        return await respond(request, body, True)
    reply, headers = await unless_gone(request, whole(request, await ask_for(request, body, False)))
    return JSONResponse([reply], headers=headers)


async def invocations(request: Request) -> Response:
    body = await json_object(request)
    if "messages" in body:
        return await chat_completions(request)
    return await (completions if "prompt" in body else compat)(request)


async def vertex(request: Request) -> Response:
    """Some requests at once, each a generation or a chat; the answers are texts."""
    body = await json_object(request)
    instances = body.get("instances")
    if not isinstance(instances, list):
        raise wrong_type("instances", "a list", instances)
    if not instances:
        raise Invalid("`instances` cannot be empty")
    return JSONResponse({"predictions": [await prediction(request, instance) for instance in instances]})


async def prediction(request: Request, instance: Any) -> str:
    if not isinstance(instance, dict):
        raise wrong_type("instances", "a list of objects", instance)
    if "messages" not in instance:
        reply, _ = await unless_gone(request, whole(request, await ask_for(request, instance, False)))
        return str(reply["generated_text"])
    reply = json.loads(bytes((await chat_completions(with_body(request, {**instance, "stream": False}))).body))
    return str(reply["choices"][0]["message"].get("content") or "")
