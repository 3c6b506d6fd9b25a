"""A web server on this machine that serves one file badly, in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
    redirects: dict[str, str] = field(default_factory=dict)  # the same, path by path
    etags: list[str] = field(default_factory=list)  # told one a request; the last one from then on
    honours_if_range: bool = True
    links: dict[str, str] = field(default_factory=dict)  # path -> Link header
    tells_length: bool = True
    too_long_by: int = 0  # bytes of Content-Length that do not come
    slowness: float = 0.0  # seconds before each of ten pieces of a page
    ranges: list[str | None] = field(default_factory=list)  # asked for so far
    paths: list[str] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)  # Authorization, a request
    url: str = ""


@contextmanager
def serve(site: Site) -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self, site)

        def handle(self) -> None:
            with suppress(ConnectionError):  # whoever has seen enough hangs up
                super().handle()

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
    site.paths.append(request.path)
    site.tokens.append(request.headers.get("Authorization"))
    target = site.redirect or site.redirects.get(request.path)
    if target:
        request.send_response(302)
        request.send_header("Location", target)
        request.end_headers()
        return
    if site.status or request.path not in site.pages:
        request.send_error(site.status or 404)
        return
    kind, body = site.pages[request.path]
    etag = (site.etags.pop(0) if len(site.etags) > 1 else site.etags[0]) if site.etags else None
    is_same = not site.honours_if_range or request.headers.get("If-Range") in (None, etag)
    first, _, last = (asked or "bytes=0-").removeprefix("bytes=").partition("-")
    is_part = bool(asked) and site.honours_range and is_same
    start = int(first) if is_part else 0
    if start >= len(body) > 0:
        request.send_error(416)
        return
    sent = body[start : int(last) + 1 if is_part and last else None]
    request.send_response(206 if is_part else 200)
    request.send_header("Content-Type", kind)
    if site.tells_length:
        request.send_header("Content-Length", str(len(sent) + site.too_long_by))
    if is_part:
        request.send_header("Content-Range", f"bytes {start}-{start + len(sent) - 1}/{len(body) + site.too_long_by}")
    if etag:
        request.send_header("ETag", etag)
    if request.path in site.links:
        request.send_header("Link", site.links[request.path])
    request.end_headers()
    if last:  # whoever asks for the first byte only wants to know the size
        request.wfile.write(sent)
        return
    piece = len(sent) // 10 + 1 if site.slowness else len(sent) or 1
    sent = sent[: site.cut_after.pop(0)] if site.cut_after else sent
    for begin in range(0, len(sent), piece):
        time.sleep(site.slowness)
        request.wfile.write(sent[begin : begin + piece])
