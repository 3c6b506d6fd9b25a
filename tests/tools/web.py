"""A web server on this machine that serves one file badly, in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Site:
    """Pages by path, and how the server misbehaves."""

    pages: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # path -> content type, body
    cut_after: list[int] = field(default_factory=list)  # bytes sent before the connection drops, one a request
    honours_range: bool = True
    status: int | None = None  # answered to everything
    redirect: str | None = None
    ranges: list[str | None] = field(default_factory=list)  # asked for so far
    url: str = ""


@contextmanager
def serve(site: Site) -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self, site)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer(request: BaseHTTPRequestHandler, site: Site) -> None:
    asked = request.headers.get("Range")
    site.ranges.append(asked)
    if site.redirect:
        request.send_response(302)
        request.send_header("Location", site.redirect)
        request.end_headers()
        return
    if site.status or request.path not in site.pages:
        request.send_error(site.status or 404)
        return
    kind, body = site.pages[request.path]
    start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and site.honours_range else 0
    if start >= len(body) > 0:
        request.send_error(416)
        return
    request.send_response(206 if start else 200)
    request.send_header("Content-Type", kind)
    request.send_header("Content-Length", str(len(body) - start))
    if start:
        request.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
    request.end_headers()
    sent = body[start:]
    request.wfile.write(sent[: site.cut_after.pop(0)] if site.cut_after else sent)
