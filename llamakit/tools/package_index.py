"""Where a package index keeps a file: the index pip is configured with, read as pip reads it (PEP 503, PEP 691)."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from urllib.parse import urldefrag, urljoin, urlsplit

from llamakit.errors import LlamakitError
from llamakit.tools.download import DownloadError, host, open_url

LARGEST_PAGE = 64 << 20  # bytes
JSON_OR_HTML = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"


@dataclass(frozen=True, slots=True)
class Index:
    url: str  # of the simple index, without the project's name
    ca_file: str | None = None


class NeedsPip(LlamakitError):
    """An index only pip can read: a folder, or one behind a login."""


def configured_index() -> Index:
    """The index pip uses here, without asking pip to download anything."""
    settings = pip_settings()
    return Index((settings.get("index-url") or pips_default()).rstrip("/"), settings.get("cert"))


def pips_default() -> str:
    """The index that pip uses when nothing is configured. Raises LlamakitError where there is no pip to ask."""
    try:
        index: str = import_module("pip._internal.models.index").PyPI.simple_url
    except (ImportError, AttributeError):
        raise LlamakitError("no package index is configured, and pip is not installed; set PIP_INDEX_URL") from None
    return index


def pip_settings() -> dict[str, str]:
    """pip's own view of its files and variables, most binding last."""
    if importlib.util.find_spec("pip") is None:
        return {}
    listing = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True)
    settings: dict[str, dict[str, str]] = {}
    for line in listing.stdout.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if value.startswith(("'", '"')):
            settings.setdefault(section, {})[name] = str(ast.literal_eval(value))
    merged: dict[str, str] = {}
    for section in ("global", "download", ":env:"):
        merged |= settings.get(section, {})
    return merged


def find_file(index: Index, project: str, file_name: str) -> str:
    """The address of `file_name` in `project`. Raises NeedsPip or DownloadError."""
    parts = urlsplit(index.url)
    if parts.scheme not in ("http", "https") or parts.username:
        raise NeedsPip(f"the index at {host(index.url)} is one that only pip can read")
    page_url = f"{index.url}/{project}/"
    with open_url(page_url, {"Accept": JSON_OR_HTML}, index.ca_file) as response:
        if response.status in (401, 403, 407):
            raise NeedsPip(f"{host(index.url)} wants a login")
        if response.status != 200:
            raise DownloadError(f"{host(index.url)} answers HTTP status {response.status} for {project}")
        page, kind, base = response.read(LARGEST_PAGE), response.headers.get_content_type(), response.url
    links = _json_links(page) if kind.endswith("json") else _html_links(page)
    if file_name not in links:
        raise DownloadError(f"{host(index.url)} has no {file_name}")
    return str(urldefrag(urljoin(base, links[file_name])).url)


def _json_links(page: bytes) -> dict[str, str]:
    try:
        return {str(file["filename"]): str(file["url"]) for file in json.loads(page)["files"]}
    except (ValueError, KeyError, TypeError):
        raise DownloadError("the package index answers with a page that cannot be read") from None


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href")
        if tag == "a" and href:
            self.links[urlsplit(href).path.rsplit("/", 1)[-1]] = href


def _html_links(page: bytes) -> dict[str, str]:
    parser = _Links()
    parser.feed(page.decode("utf-8", errors="replace"))
    return parser.links


def download_with_pip(requirement: str, folder: Path) -> None:
    """Let pip fetch the wheel of `requirement` into `folder`. Raises DownloadError with pip's last words."""
    if importlib.util.find_spec("pip") is None:
        raise DownloadError(f"{requirement} cannot be fetched: this Python has no pip")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--only-binary=:all:"]
    result = subprocess.run([*command, "--quiet", "--dest", str(folder), requirement], capture_output=True, text=True)
    if result.returncode != 0:
        last = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise DownloadError(f"pip cannot fetch {requirement}: {last}")
