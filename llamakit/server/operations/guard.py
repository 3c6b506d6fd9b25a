"""What a request passes before it reaches a route, and what is noted when it is over."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llamakit.server.errors import refusal
from llamakit.server.operations.auth import WATCHED, ApiKeys
from llamakit.server.operations.headers import encoded
from llamakit.server.operations.limits import BodyReader, Limits
from llamakit.server.operations.origins import Origins
from llamakit.server.operations.record import RequestRecord, set_current

log = logging.getLogger(__name__)

EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")

Observer = Callable[[RequestRecord], None]


@dataclass(frozen=True)
class Operations:
    """`prefix` is in front of all routes. `is_public` tells routes that need no key, besides those for whoever watches
    the server; `observers` hear of each request that is over: figures, traces, logs."""

    keys: ApiKeys = field(default_factory=lambda: ApiKeys(()))
    origins: Origins = field(default_factory=Origins)
    limits: Limits = field(default_factory=Limits)
    prefix: str = ""
    is_public: Callable[[str], bool] = lambda route: False
    observers: Sequence[Observer] = ()


class Guard:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp, operations: Operations) -> None:
        self.app, self.operations = app, operations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        origin_headers: dict[str, str] = {}
        route = scope["path"].removeprefix(self.operations.prefix)
        record = RequestRecord(scope["method"], scope["path"], route, headers.get("traceparent"))
        set_current(record)

        async def send_noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                reply_headers = list(message.get("headers", ()))
                record.status, record.is_stream = message["status"], EVENTS in reply_headers
                message["headers"] = [*reply_headers, *encoded(origin_headers)]
            await send(message)

        try:
            refused = self.refuse(scope, route, headers)
            if refused is not None:
                return await refused(scope, receive, send_noted)
            origins, origin = self.operations.origins, headers.get("origin", "")
            if is_preflight(scope, headers):
                origin_headers = origins.preflight_headers(origin)
                return await PlainTextResponse("")(scope, receive, send_noted)
            origin_headers = origins.reply_headers(origin)
            if scope["method"] == "HEAD":  # what GET would answer; the body stays here: the protocol knows who asked
                scope = {**scope, "method": "GET"}
            await self.app(scope, BodyReader(receive, headers, self.operations.limits), send_noted)
        finally:
            record.ended = time.perf_counter()
            self.tell(record)

    def refuse(self, scope: Scope, route: str, headers: Headers) -> Response | None:
        """The reply to a request that must not go on."""
        origins, path, is_watched = self.operations.origins, scope["path"], route in WATCHED
        hosts, origin = headers.getlist("host"), headers.get("origin", "")
        if len(hosts) > 1 or (not hosts and scope["http_version"] != "1.0"):
            return refusal(path, 400, f"a request has one Host header, not {len(hosts)}")
        host = hosts[0] if hosts else ""
        # probes come by any address, and no browser by a UNIX socket or by HTTP/1.0
        if hosts and not is_watched and not is_on_unix_socket(scope) and not origins.knows_host(host):
            return refusal(path, 403, "the Host header names another server; --allowed-hosts adds names of this one")
        if is_preflight(scope, headers):
            return None
        if origin and not origins.allows(origin, host):
            return refusal(path, 403, "pages of this origin may not ask here; --cors-origins allows them")
        if not self.operations.keys or is_watched or self.operations.is_public(route):
            return None
        tenant = self.operations.keys.tenant(headers)
        if tenant is None:
            return refusal(path, 401, "Invalid API Key", {"WWW-Authenticate": "Bearer"})
        scope.setdefault("state", {})["tenant"] = tenant
        return None

    def tell(self, record: RequestRecord) -> None:
        for observe in self.operations.observers:
            try:
                observe(record)
            except Exception:  # figures must not fail requests
                log.exception("a request was not noted")


def is_on_unix_socket(scope: Scope) -> bool:
    server = scope.get("server")
    return server is not None and server[1] is None


def is_preflight(scope: Scope, headers: Headers) -> bool:
    """Is it a browser's question whether a page may send a request?"""
    return scope["method"] == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers
