"""What a repository of a model hub holds, and which of its files is the model that is asked for.

Both hubs are asked over their plain HTTP interfaces: one list of files with sizes and SHA-256, one address a file. That
is all that a GGUF file needs, so the hubs' own packages are not used: one way to fetch, tested against bad servers,
serves them and every other address, with nothing to install.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from llamakit.core.gguf.shards import ShardName
from llamakit.tools.download import DownloadError, host, open_url, total_of, version_of
from llamakit.tools.model_source import HubModel, UrlModel, is_safe

DEFAULT_QUANT = "Q4_K_M"
LARGEST_PAGE = 64 << 20  # bytes
MOST_PAGES = 100
TRIES = 3
NOT_MODELS = re.compile(r"mmproj|imatrix", re.IGNORECASE)  # GGUF files that belong to a model
SHA256 = re.compile(r"[0-9a-f]{64}")
SHA1 = re.compile(r"[0-9a-f]{40}")
NEXT_PAGE = re.compile(r'<([^>]+)>\s*;\s*rel="next"')


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file that can be fetched. Of what the server does not tell, None."""

    path: str  # below the folder it is kept in
    url: str
    size: int | None = None  # bytes
    sha256: str | None = None
    version: str | None = None  # its ETag or date, where there is no hash
    blob: str | None = None  # the hash that Git has for it: of small files, which have no SHA-256

    @property
    def identity(self) -> str | None:
        """What is equal for equal content."""
        return self.sha256 or self.blob or self.version


def list_files(
    model: HubModel, token: str | None = None, pause: float = 1.0, is_wanted: Callable[[str], bool] = is_safe
) -> list[RemoteFile]:
    """The files of the model's repository that are wanted: those in GGUF. Raises DownloadError."""
    headers = authorization(model.hub, token)
    if model.hub == "modelscope":
        base = f"{modelscope_endpoint()}/api/v1/models/{model.repo}/repo"
        page, _ = read_json(f"{base}/files?Recursive=true&Revision=master", headers, model, pause)
        return files_of(page, ("Data", "Files"), "Path", "Size", f"{base}?Revision=master&FilePath=", is_wanted)
    found: list[RemoteFile] = []
    url: str | None = f"{hf_endpoint()}/api/models/{model.repo}/tree/main?recursive=true"
    for _ in range(MOST_PAGES):
        if url is None:
            break
        page, url = read_json(url, headers, model, pause)
        found += files_of(page, (), "path", "size", f"{hf_endpoint()}/{model.repo}/resolve/main/", is_wanted)
    return found


def hf_endpoint() -> str:
    return (os.environ.get("MODEL_ENDPOINT") or os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def modelscope_endpoint() -> str:
    domain = os.environ.get("MODELSCOPE_DOMAIN") or "www.modelscope.cn"
    return domain.rstrip("/") if "://" in domain else f"https://{domain}"


def authorization(hub: str, token: str | None) -> dict[str, str]:
    """The header that shows who asks: the token given, or that of the environment."""
    token = token or (os.environ.get("HF_TOKEN") if hub == "hf" else None)
    return {"Authorization": f"Bearer {token}"} if token else {}


def read_json(url: str, headers: Mapping[str, str], model: HubModel, pause: float) -> tuple[Any, str | None]:
    """The page, and the address of the one after it."""
    problem = ""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(pause * 2**attempt)
        try:
            with open_url(url, {"Accept": "application/json", **headers}) as response:
                if response.status in (401, 403, 404):
                    hint = "; a token in HF_TOKEN opens those that need one" if model.hub == "hf" else ""
                    raise DownloadError(f"{host(url)} has no repository {model.repo} that everybody may read{hint}")
                if response.status >= 500 or response.status == 429:
                    raise OSError(f"HTTP status {response.status}")
                if response.status != 200:
                    raise DownloadError(f"{host(url)} answers HTTP status {response.status} for {model.repo}")
                text = response.read(LARGEST_PAGE)
                following = NEXT_PAGE.search(response.headers.get("Link", ""))
            return json.loads(text), urljoin(url, following[1]) if following else None
        except (OSError, HTTPException) as error:
            problem = str(error)
        except (ValueError, RecursionError):
            problem = "a list that cannot be read"
    raise DownloadError(f"{host(url)}: {problem}; the files of {model.repo} are not known")


def files_of(
    page: Any, way: Sequence[str], path: str, size: str, base_url: str, is_wanted: Callable[[str], bool] = is_safe
) -> list[RemoteFile]:
    """The wanted files that a page lists; what is malformed is passed by."""
    for key in way:
        page = page.get(key) if isinstance(page, dict) else None
    found = []
    for entry in page if isinstance(page, list) else ():
        name = entry.get(path) if isinstance(entry, dict) else None
        if not isinstance(name, str) or not is_wanted(name):
            continue
        lfs = entry.get("lfs")
        digest = lfs.get("oid") if isinstance(lfs, dict) else entry.get("Sha256")
        blob = None if isinstance(lfs, dict) else entry.get("oid")
        n_bytes = entry.get(size)
        found.append(
            RemoteFile(
                name,
                base_url + quote(name),
                n_bytes if isinstance(n_bytes, int) and n_bytes >= 0 else None,
                digest if isinstance(digest, str) and SHA256.fullmatch(digest) else None,
                blob=blob if isinstance(blob, str) and SHA1.fullmatch(blob) else None,
            )
        )
    return sorted(found, key=lambda file: file.path)


def probe(model: UrlModel) -> list[RemoteFile]:
    """The file at an address, with its size and version; of a shard, all of its split. Raises DownloadError."""
    shard = ShardName.parse(model.file_name)
    if shard is None:
        return [probe_file(model.url, model.file_name)]
    parts = urlsplit(model.url)
    folder = parts.path.rpartition("/")[0]
    return [probe_file(parts._replace(path=f"{folder}/{quote(name)}").geturl(), name) for name in shard.siblings()]


def probe_file(url: str, name: str) -> RemoteFile:
    try:
        with open_url(url, {"Accept-Encoding": "identity", "Range": "bytes=0-0"}) as response:
            if response.status not in (200, 206, 416):
                raise DownloadError(f"{host(url)} answers HTTP status {response.status} for {name}")
            return RemoteFile(name, url, total_of(response), None, version_of(response))
    except (OSError, HTTPException, ValueError) as error:
        raise DownloadError(f"{host(url)}: {error}; {name} is not fetched") from None


def choose(files: Sequence[RemoteFile], model: HubModel) -> list[RemoteFile]:
    """The file of the model, or all shards of it. Raises DownloadError when there is none, or are several."""
    models = [file for file in files if not NOT_MODELS.search(Path(file.path).name)]
    if model.file is not None:
        found = [file for file in files if file.path == model.file] or of_pattern(models, model)
    else:
        found = of_quant(models, model.quant or DEFAULT_QUANT) or ([] if model.quant else models)
    if not found:
        names = ", ".join(file.path for file in models[:20]) + (", ..." if len(models) > 20 else "")
        raise DownloadError(
            f"{model.repo} has no {model.file or model.quant}; it has {names}"
            if models
            else f"{model.repo} holds no GGUF file; a folder of safetensors is what `llamakit convert-hf` reads"
        )
    shard = ShardName.parse(found[0].path)
    if shard is None:
        return found[:1]
    by_path = {file.path: file for file in files}
    missing = [path for path in shard.siblings() if path not in by_path]
    if missing:
        raise DownloadError(f"{model.repo} lacks {missing[0]}, a part of {found[0].path}")
    return [by_path[path] for path in shard.siblings()]


def of_pattern(files: Sequence[RemoteFile], model: HubModel) -> list[RemoteFile]:
    """The one model whose path the model's file, read as a pattern, means. Raises DownloadError where several are."""
    found = [file for file in files if fnmatchcase(file.path, model.file or "")]
    first = [file for file in found if (shard := ShardName.parse(file.path)) is None or shard.number == 1]
    if len(first) > 1:
        names = ", ".join(file.path for file in first[:20])
        raise DownloadError(f"{model.repo} has several files of the pattern {model.file}: {names}")
    return first


def of_quant(files: Sequence[RemoteFile], quant: str) -> list[RemoteFile]:
    """Files whose path tells this quantization, the plainest name first: Q4_0 is not told by IQ4_0 or Q4_0_4_4."""
    told = re.compile(rf"(?<![A-Za-z0-9]){re.escape(quant)}(?![A-Za-z0-9_])", re.IGNORECASE)
    found = [file for file in files if told.search(file.path.removesuffix(".gguf"))]
    return sorted(found, key=lambda file: (len(file.path), file.path))
