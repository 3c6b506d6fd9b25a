"""Answers to requests whose clients may go at any time: whole ones, and streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from llamakit.errors import UsageError
from llamakit.server.engine.generation import Generation
from llamakit.server.engine.stream import Stream
from llamakit.server.errors import ClientGone
from llamakit.server.generation.answer import Answer
from llamakit.server.generation.field import FieldError, kind_of
from llamakit.server.kept_streams import HEADER, LONGEST_ID, KeptStreams
from llamakit.server.models.served import Served
from llamakit.server.operations.record import current
from llamakit.server.sse import OPENAI, PING, Event, Events, EventStream, Style, client_gone
from llamakit.server.strict_json import parse_json

if TYPE_CHECKING:
    from llamakit.server.generation.fields import CompletionFields

T = TypeVar("T")

SMALL = 1 << 16  # bytes of a body that is read at once
NO_HEADERS: Mapping[str, str] = {}
MOST_IGNORED = 32  # names in a header
PATIENCE = 15.0  # seconds that a stream's head waits for its first event, so that an error can still be a status


@asynccontextmanager
async def submitted(
    request: Request,
    served: Served,
    generations: Sequence[Generation],
    n: int = 1,
    hidden: Collection[int] = (),
    counted: str = "n",
    fields: CompletionFields | None = None,
) -> AsyncIterator[list[list[Answer]]]:
    """n answers to each prompt, without `hidden` tokens; they are cancelled however the block ends. /slots tells the
    `fields`.

    Raises what `Engine.submit` does, and FieldError for more answers than can ever be: of the field `counted` where n
    are too many, else of the prompts. Cells of the cache are shared by requests with the same API key alone.
    """
    most = served.engine.n_streams_max
    if len(generations) * n > most:
        wanted = f"asks for {len(generations) * n} answers at once, and no more than {most} can run or wait"
        raise FieldError(counted if n > most else "prompt", wanted)
    salt = getattr(request.state, "tenant", "")
    streams: list[list[Stream]] = []
    try:
        for generation in generations:
            streams.append(served.engine.submit(replace(generation, salt=salt) if salt else generation, n))
            for stream in streams[-1]:
                stream.fields = fields
            if (record := current()) is not None:
                record.add(streams[-1])
        yield [[Answer(stream, hidden) for stream in of_prompt] for of_prompt in streams]
    finally:
        for of_prompt in streams:
            for stream in of_prompt:
                stream.cancel()


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The work's result. Raises ClientGone, the work cancelled, as soon as the client has gone."""
    working, going = asyncio.create_task(work), asyncio.ensure_future(client_gone(request.receive))
    try:
        await asyncio.wait((working, going), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientGone
    finally:
        for task in (working, going):
            task.cancel()
        await asyncio.gather(working, going, return_exceptions=True)


async def stream(
    request: Request,
    events: Events,
    style: Style = OPENAI,
    *,
    ping: float = PING,
    headers: Mapping[str, str] = NO_HEADERS,
) -> Response:
    """Events as they come; what goes wrong before the first one is raised. A stream of a conversation, by the header
    X-Conversation-Id, is kept."""
    if len(request.headers.get(HEADER, "")) > LONGEST_ID:
        raise FieldError(HEADER, f"may have {LONGEST_ID} characters")
    first = asyncio.ensure_future(anext_of(events))
    going = asyncio.ensure_future(client_gone(request.receive))
    try:
        await asyncio.wait((first, going), timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        if going.done():
            raise ClientGone
        if first.done():
            first.result()
    except BaseException:
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await events.aclose()
        raise
    finally:
        going.cancel()
    made = EventStream(events, first, style, ping, headers)
    conversation = request.headers.get(HEADER)
    return kept(request, conversation, made) if conversation else made


def kept(request: Request, conversation: str, made: EventStream) -> Response:
    """The same stream, which goes on when the client goes, and can be read on."""
    streams: KeptStreams = request.app.state.kept_streams
    stream = streams.keep(getattr(request.state, "tenant", ""), conversation, made)
    return made if stream is None else StreamingResponse(stream.read(0), headers=dict(made.headers))


async def json_object(request: Request) -> dict[str, Any]:
    """The body. Raises UsageError where it is no JSON object."""
    data = await request.body()
    value = parse_json(data) if len(data) < SMALL else await run_in_threadpool(parse_json, data)
    if not isinstance(value, dict):
        raise UsageError(f"the body must be a JSON object, not {kind_of(value)}")
    return value


def ignored(names: Iterable[str]) -> dict[str, str]:
    """A header that tells a client which of its parameters mean nothing here."""
    told = [name[:64].encode("unicode_escape").decode("ascii") for name in islice(names, MOST_IGNORED)]
    return {"x-ignored-parameters": ", ".join(told)} if told else {}


async def anext_of(events: Events) -> Event:
    return await events.__anext__()
