"""The page's files over HTTP: nothing runs on it or reaches out of it but what this server sent."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request, Response

STATIC = Path(__file__).parent / "static"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "font-src": "'self'",
    "img-src": "'self' data:",  # data: of the style sheet
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",  # no text becomes HTML, whatever a library tries
    "trusted-types": "'none'",
}
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-cache",  # kept, but asked for again: 304 unless llamakit was updated
    "Vary": "Accept-Encoding",
}


@dataclass(frozen=True)
class File:
    """A built file, and what a browser that packs gets; a tag names its content."""

    media_type: str
    content: bytes
    packed: bytes
    tag: str


def web_routes() -> APIRouter:
    """`/` and what it loads from `/assets/`; all of it is public, and the same for everyone."""
    router = APIRouter(include_in_schema=False)

    @router.api_route("/", methods=["GET", "HEAD"])
    async def page(request: Request) -> Response:
        return answer(request, "index.html")

    @router.api_route("/assets/{name}", methods=["GET", "HEAD"])
    async def asset(request: Request, name: str) -> Response:
        return answer(request, name)

    return router


def is_page(path: str) -> bool:
    """Whether a path of a request is the page's: those need no API key, which is entered on the page."""
    return path == "/" or path.startswith("/assets/")


def answer(request: Request, name: str) -> Response:
    """Raises HTTPException 404 for a name that is none of the page's files."""
    if name not in names():
        raise HTTPException(404, "File Not Found")
    file = load(name)
    is_packed = len(file.packed) < len(file.content) and "gzip" in request.headers.get("accept-encoding", "")
    tag = f'"{file.tag}-gzip"' if is_packed else f'"{file.tag}"'
    headers = {**HEADERS, "ETag": tag}
    if tag in (one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")):
        return Response(status_code=304, headers=headers)
    if is_packed:
        headers["Content-Encoding"] = "gzip"
    return Response(file.packed if is_packed else file.content, headers=headers, media_type=file.media_type)


@cache
def names() -> frozenset[str]:
    return frozenset(path.name for path in STATIC.iterdir() if path.suffix in TYPES)


@cache
def load(name: str) -> File:
    path = STATIC / name
    content = path.read_bytes()
    tag = hashlib.sha256(content).hexdigest()[:20]
    return File(TYPES[path.suffix], content, gzip.compress(content, 9, mtime=0), tag)
