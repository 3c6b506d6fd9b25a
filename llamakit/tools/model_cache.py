"""The models that were fetched: where each lies, what is known of it, who may write it.

Below `models` in the cache folder: `hf/ORG/REPO/FILE`, `modelscope/ORG/REPO/FILE`, `url/HOST/DIGEST/FILE`, and models
out of wheels beside those. What is not a model yet is called FILE.partial; `.FILE.json` tells what a whole FILE is,
`.listing.json` what its source had when it was asked last, and whoever writes FILE holds `.FILE.lock`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from llamakit.core.gguf.shards import ShardName
from llamakit.errors import UsageError
from llamakit.tools.catalog import DEMO, models_folder
from llamakit.tools.download import DownloadError, file_sha256, n_bytes
from llamakit.tools.model_hub import RemoteFile, choose
from llamakit.tools.model_source import HubModel, UrlModel, parse_source

SPARE = 16 << 20  # bytes left free beside what is written
LISTING = ".listing.json"
PARTIAL = ".partial"


def folder_of(source: HubModel | UrlModel) -> Path:
    """Where the files of a repository, or the one at an address, are kept."""
    if isinstance(source, HubModel):
        return models_folder() / source.hub / source.repo
    digest = hashlib.sha256(source.url.encode()).hexdigest()[:12]
    return models_folder() / "url" / (urlsplit(source.url).hostname or "") / digest


@contextmanager
def only_one(lock_path: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Wait until no other process holds the lock; the system lets go of it should the process die."""
    with lock_path.open("w") as lock:
        while not is_locked(lock.fileno()):
            if waiting:
                waiting()
            time.sleep(0.05)
        yield


def is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def check_space(folder: Path, n_bytes: int) -> None:
    """Raises DownloadError where `n_bytes` more do not fit."""
    free, needed = shutil.disk_usage(folder).free, n_bytes + SPARE
    if free < needed:
        raise DownloadError(
            f"{folder} has {free / 1e6:.0f} MB free, {needed / 1e6:.0f} MB are needed; "
            "make room or set LLAMAKIT_CACHE to another folder"
        )


# what is known of files
def save_listing(folder: Path, source: HubModel | UrlModel, files: Sequence[RemoteFile]) -> None:
    """Keep what the source has; not the addresses, which may hold signatures."""
    write_json(folder / LISTING, {"source": str(source), "files": [asdict(file) | {"url": ""} for file in files]})


def load_listing(folder: Path) -> list[RemoteFile]:
    """The files that the source had; none where nobody asked yet, or what was kept is damaged."""
    try:
        return [RemoteFile(**entry) for entry in read_json(folder / LISTING)["files"]]
    except (KeyError, TypeError):
        return []


def record_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.json")


def is_here(folder: Path, file: RemoteFile) -> bool:
    """Is the whole file in the folder? One that somebody else put there is, if its hash is right."""
    path = folder / file.path
    if not path.is_file() or (file.size is not None and n_bytes(path) != file.size):
        return False
    record = read_json(record_path(path))
    if record:
        return bool((record.get("sha256") or record.get("blob") or record.get("version")) == file.identity)
    if file.sha256 is None or file_sha256(path) != file.sha256:
        return False
    write_record(path, file)
    return True


def write_record(path: Path, file: RemoteFile) -> None:
    known = {"sha256": file.sha256, "version": file.version} | ({"blob": file.blob} if file.blob else {})
    write_json(record_path(path), {"size": n_bytes(path), **known})


def write_json(path: Path, content: dict[str, Any]) -> None:
    beside = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    beside.write_text(json.dumps(content, indent=1) + "\n")
    os.replace(beside, path)


def read_json(path: Path) -> dict[str, Any]:
    """Empty where there is no such file, or it is damaged."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


# the models that are here
@dataclass(frozen=True, slots=True)
class CachedModel:
    """A model of the cache; `name` is what -m calls it by."""

    name: str
    paths: tuple[Path, ...]  # shards in order; of what is not whole, what there is of it
    size: int  # bytes
    is_whole: bool

    @property
    def sha256(self) -> tuple[str | None, ...]:
        """Of each file, the hash it was held against."""
        if self.name == "demo":
            return (DEMO.sha256,)
        return tuple(read_json(record_path(path)).get("sha256") for path in self.paths)


def list_models() -> list[CachedModel]:
    """All models of the cache by name, those whose download was broken off among them."""
    root = models_folder()
    groups: dict[Path, list[Path]] = {}
    for path in sorted((*root.rglob("*.gguf"), *root.rglob("*" + PARTIAL))):
        if path.is_file() and not path.name.startswith("."):
            final = final_path(path)
            shard = ShardName.parse(final)
            groups.setdefault(Path(shard.siblings()[0]) if shard else final, []).append(path)
    return sorted((cached_model(root, first, paths) for first, paths in groups.items()), key=lambda model: model.name)


def final_path(path: Path) -> Path:
    """What a file will be called when it is whole."""
    if path.name == DEMO.wheel + PARTIAL:
        return path.with_name(DEMO.file_name)
    return path.with_name(path.name.removesuffix(PARTIAL))


def cached_model(root: Path, first: Path, paths: list[Path]) -> CachedModel:
    shard = ShardName.parse(first)
    is_whole = {Path(name) for name in (shard.siblings() if shard else [str(first)])} <= set(paths)
    return CachedModel(name_of(root, first), tuple(paths), sum(map(n_bytes, paths)), is_whole)


def name_of(root: Path, path: Path) -> str:
    parts = path.relative_to(root).parts
    if parts == (DEMO.file_name,):
        return "demo"
    if parts[0] in ("hf", "modelscope") and len(parts) > 3:
        return f"{parts[0]}:{'/'.join(parts[1:])}"
    if parts[0] == "url":
        return str(read_json(path.parent / LISTING).get("source") or path)
    return str(path)


def find_model(name: str) -> CachedModel:
    """The one model of the cache that is called so, by all or part of its name. Raises UsageError."""
    models = list_models()
    found = [model for model in models if model.name == name] or [model for model in models if matches(model, name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{name!r} may be any of {', '.join(model.name for model in found)}")
    raise UsageError(f"there is no model {name!r} in {models_folder()}; `llamakit models` lists those that are there")


def matches(model: CachedModel, name: str) -> bool:
    """Is `name` the model's file, its repository, or its repository with its quantization?"""
    if name in (model.paths[0].name, str(model.paths[0])) or model.name.startswith(name + "/"):
        return True
    source = parse_source(name)
    held = parse_source(model.name)
    if not isinstance(source, HubModel) or not isinstance(held, HubModel) or source.quant is None:
        return False
    if (source.hub, source.repo) != (held.hub, held.repo):
        return False
    try:
        return bool(choose([RemoteFile(held.file or "", "")], source))
    except DownloadError:
        return False


def remove_model(model: CachedModel) -> None:
    """Delete the model's files. Raises DownloadError where one is being fetched."""

    def refuse() -> None:
        raise DownloadError(f"{model.name} is being fetched; it is not removed")

    for path in model.paths:
        final = final_path(path)
        with only_one(lock_of(final), waiting=refuse):
            path.unlink(missing_ok=True)
            for beside in (record_path(final), final.with_name(final.name + PARTIAL), identity_path(final)):
                beside.unlink(missing_ok=True)


def identity_path(path: Path) -> Path:
    """Tells of which file (hash or version) the partial one holds the beginning."""
    return path.with_name(f".{path.name}{PARTIAL}.of")
