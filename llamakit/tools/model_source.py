"""What a model may be called: a path, a known name, a repository of a model hub, an address."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from llamakit.errors import UsageError
from llamakit.tools.catalog import MODELS, WheelModel

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,95}")
SCHEMES = ("hf:", "modelscope:", "https://", "http://", "pypi:")
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
HUB_PAGE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/(?:resolve|blob)/main/(?P<file>.+\.gguf)")
HUB_HOSTS = ("huggingface.co", "hf.co")


@dataclass(frozen=True, slots=True)
class LocalModel:
    path: Path


@dataclass(frozen=True, slots=True)
class HubModel:
    """A GGUF file of a repository: the one named, or the one whose name tells `quant`, or the hub's default."""

    hub: str  # "hf" or "modelscope"
    repo: str  # "org/name"
    quant: str | None = None
    file: str | None = None  # path in the repository, or a pattern of one

    def __str__(self) -> str:
        file = f"/{self.file}" if self.file else ""
        return f"{self.hub}:{self.repo}{file}" + (f":{self.quant}" if self.quant else "")


@dataclass(frozen=True, slots=True)
class UrlModel:
    url: str

    def __str__(self) -> str:
        """Without the query, which may hold a signature."""
        return self.url.partition("?")[0]

    @property
    def file_name(self) -> str:
        return unquote(urlsplit(self.url).path).rsplit("/", 1)[-1]


Source = LocalModel | HubModel | UrlModel | WheelModel


def parse_source(spec: str) -> Source:
    """What `spec` names; a file that exists goes first. Raises UsageError for what is malformed or unknown."""
    scheme, _, rest = spec.partition(":")
    if os.path.exists(spec):
        return LocalModel(Path(spec))
    if spec in MODELS:
        return MODELS[spec]
    if scheme in ("hf", "modelscope"):
        return parse_hub_model(scheme, rest)
    if scheme in ("http", "https"):
        return parse_url(spec)
    if scheme == "pypi":
        return parse_wheel(rest)
    if SCHEME.match(spec):
        raise UsageError(f"{spec!r:.80} names no file here and no source that is known: {', '.join(SCHEMES)}")
    return LocalModel(Path(spec))


def parse_hub_model(hub: str, text: str) -> HubModel:
    """`ORG/REPO[/FILE][:QUANT]`; FILE may be a pattern, as *Q4_0.gguf."""
    place, _, quant = text.partition(":")
    org, _, rest = place.partition("/")
    name, _, file = rest.partition("/")
    if not NAME.fullmatch(org) or not NAME.fullmatch(name):
        raise UsageError(f"{text!r} is no repository: it has the form ORG/REPO[:QUANT] or ORG/REPO/FILE.gguf")
    if file and (quant or not (is_safe(file) or is_pattern(file))):
        raise UsageError(f"{file!r} is no GGUF file of a repository")
    if quant and not NAME.fullmatch(quant):
        raise UsageError(f"{quant!r} is no quantization; Q4_K_M is one")
    return HubModel(hub, f"{org}/{name}", quant or None, file or None)


def parse_url(url: str) -> HubModel | UrlModel:
    """An address; that of a file of a hub, or of its page there, is read as the file: the hub tells its hash."""
    try:
        parts = urlsplit(url)
        is_usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise UsageError("the address of the model cannot be read")
    if parts.username or parts.password:
        raise UsageError("the address of the model holds a login, which is not supported")
    page = HUB_PAGE.fullmatch(parts.path) if parts.hostname in HUB_HOSTS else None
    if page is not None:
        return parse_hub_model("hf", f"{page['repo']}/{unquote(page['file'])}")
    source = UrlModel(quote(url, safe="%/:=&?~#+!$,;'@()*[]").partition("#")[0])
    if not is_safe(source.file_name):
        raise UsageError("the address of a model ends in the name of a GGUF file")
    return source


def parse_wheel(project: str) -> WheelModel:
    for model in MODELS.values():
        if model.project == project:
            return model
    known = ", ".join(model.project for model in MODELS.values())
    raise UsageError(f"there is no model known in package {project!r}; known: {known}")


def is_safe(file: str) -> bool:
    """Is this the path of a GGUF file below a folder, whoever wrote it?"""
    return file.lower().endswith(".gguf") and is_below(file)


def is_pattern(file: str) -> bool:
    return is_below(file) and not {"*", "?", "["}.isdisjoint(file)


def is_below(file: str) -> bool:
    """Is this a path that stays below its folder? Hidden files are ours."""
    parts = file.split("/")
    return (
        file.isprintable()
        and "\\" not in file
        and all(part and not part.startswith(".") and len(part) <= 200 for part in parts)
    )
