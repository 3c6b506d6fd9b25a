"""Fetching one file over HTTP so that a broken connection costs only what had not arrived yet."""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from llamakit import __version__
from llamakit.errors import LlamakitError

CHUNK = 1 << 20
TRIES_WITHOUT_PROGRESS = 5
TIMEOUT = 60.0  # seconds without a byte
DISK_ERRORS = (errno.EACCES, errno.EFBIG, errno.EIO, errno.EISDIR, errno.EPERM, errno.EROFS)  # no network tells these

Report = Callable[[str, int, int], None]  # stage, done, total


class DownloadError(LlamakitError):
    """A file that cannot be fetched, or that is not the one that was wanted."""


class FileChanged(DownloadError):
    """The server has another file under the address than when it was asked first."""


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to http, and tells nobody else who asks."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(newurl).scheme not in ("http", "https"):
            raise DownloadError(f"{host(req.full_url)} redirects to what is no web address; not followed")
        if urlsplit(req.full_url).scheme == "https" and urlsplit(newurl).scheme != "https":
            raise DownloadError(f"{host(req.full_url)} redirects to an unencrypted address; not followed")
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and urlsplit(req.full_url).netloc != urlsplit(newurl).netloc:
            request.remove_header("Authorization")
        return request


def host(url: str) -> str:
    """The part of an address that is safe to show: no credentials, no tokens."""
    return urlsplit(url).hostname or "the server"


@cache
def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Made once: to read the system's certificates takes longer than most requests."""
    return ssl.create_default_context(cafile=ca_file)


def open_url(url: str, headers: dict[str, str], ca_file: str | None = None) -> Any:
    """An open response, whatever its status. Raises OSError when there is none."""
    opener = urllib.request.build_opener(_NoDowngrade, urllib.request.HTTPSHandler(context=tls_context(ca_file)))
    request = urllib.request.Request(url, headers={"User-Agent": f"llamakit/{__version__}", **headers})
    try:
        return opener.open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as response:
        return response


def total_of(response: Any) -> int | None:
    """The size of the whole file that a response is (a part of), where it tells."""
    text = response.headers.get("Content-Range", "").rpartition("/")[2] or response.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() and response.status in (200, 206, 416) else None


def version_of(response: Any) -> str | None:
    """What changes when the file at an address does."""
    tag: str | None = response.headers.get("ETag") or response.headers.get("Last-Modified")
    return tag


def download(
    url: str,
    partial: Path,
    size: int | None,
    sha256: str | None,
    *,
    version: str | None = None,
    headers: Mapping[str, str] | None = None,
    ca_file: str | None = None,
    report: Report | None = None,
    pause: float = 1.0,
) -> None:
    """Complete `partial` to the `size` bytes at `url` whose hash is `sha256`.

    Bytes already in `partial` are kept and the rest asked for; a server that cannot do that starts over. If the hash
    then is wrong, what had been kept is doubted first: one fresh attempt follows. Without a hash, `version` tells that
    all parts are of one file (see `version_of`); without a size, the file is fetched in one piece. `pause` is the wait
    in seconds before a second try, doubled each time. Raises DownloadError, leaving `partial` to be resumed unless its
    bytes are wrong; FileChanged when the version is another.
    """
    wanted = Wanted(url, size, sha256, version, dict(headers or {}), ca_file, report)
    was_resumed = n_bytes(partial) > 0
    for attempt in range(2):
        _complete(wanted, partial, pause)
        if sha256 is None or file_sha256(partial) == sha256:
            return
        partial.unlink()
        if not was_resumed or attempt == 1:
            break
        was_resumed = False
    raise DownloadError(f"what {host(url)} sent is not the file that was wanted: its SHA-256 is wrong")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to fetch, as `download` is told of it."""

    url: str
    size: int | None
    sha256: str | None
    version: str | None
    headers: dict[str, str]
    ca_file: str | None
    report: Report | None

    def range_from(self, have: int) -> dict[str, str]:
        """Headers that ask for the bytes from `have` on, and for all of them should the file be another one now."""
        if not have:
            return {}
        is_exact = self.sha256 is None and self.version is not None and not self.version.startswith("W/")
        return {"Range": f"bytes={have}-"} | ({"If-Range": str(self.version)} if is_exact else {})

    def is_changed(self, version: str | None) -> bool:
        """Does the server tell another version now? A hash, where there is one, is the better judge."""
        return self.sha256 is None and None not in (self.version, version) and self.version != version


def _complete(wanted: Wanted, partial: Path, pause: float) -> None:
    failures, most, size, name = 0, 0, wanted.size, host(wanted.url)
    while True:
        have = n_bytes(partial)
        if have and (size is None or have > size):
            partial.unlink()
            continue
        if have == size and partial.exists():
            return
        try:
            _fetch_rest(wanted, partial, have)
            if size is None:
                return
            problem: Exception = OSError("the connection ended early")
        except DownloadError:
            raise
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DownloadError(f"no space left in {partial.parent}; what arrived is kept") from None
            if isinstance(error, OSError) and error.errno in DISK_ERRORS:
                raise DownloadError(f"{partial.parent}: {error.strerror}; what arrived is kept") from None
            problem = error
        now = n_bytes(partial)
        if now == size:
            return
        failures = 1 if now > most else failures + 1
        most = max(now, most)
        if failures >= TRIES_WITHOUT_PROGRESS:
            of = f"{now} of {size} bytes arrived, run again to go on" if size is not None else "run again"
            raise DownloadError(f"{name}: {problem}; {of}")
        time.sleep(pause * 2 ** (failures - 1))


def _fetch_rest(wanted: Wanted, partial: Path, have: int) -> None:
    name, size = host(wanted.url), wanted.size
    headers = {"Accept-Encoding": "identity", **wanted.headers, **wanted.range_from(have)}
    with open_url(wanted.url, headers, wanted.ca_file) as response:
        if response.status == 416:
            partial.unlink(missing_ok=True)
            return
        if response.status not in (200, 206):
            if response.status >= 500 or response.status == 429:
                raise OSError(f"HTTP status {response.status}")
            raise DownloadError(f"{name} answers HTTP status {response.status}")
        if wanted.is_changed(version_of(response)):
            partial.unlink(missing_ok=True)
            raise FileChanged(f"the file at {name} changes while it is fetched; try again later")
        resumes = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if have and response.status == 206 and not resumes:
            raise DownloadError(f"{name} answers with other bytes than were asked for")
        done = have if resumes else 0
        with partial.open("ab" if resumes else "wb") as file:
            while chunk := response.read1(CHUNK):
                done += len(chunk)
                if size is not None and done > size:
                    file.truncate(0)
                    raise DownloadError(f"{name} sends more than the {size} bytes of the file")
                file.write(chunk)
                if wanted.report:
                    wanted.report("download", done, size or 0)
            file.flush()
            os.fsync(file.fileno())


def n_bytes(path: Path) -> int:
    """The size of a file, 0 when there is none."""
    return path.stat().st_size if path.exists() else 0


def git_blob(path: Path) -> str:
    """The hash that Git has for a file's content: SHA-1, of its length and itself."""
    digest = hashlib.sha1(b"blob %d\0" % n_bytes(path), usedforsecurity=False)
    digest.update(path.read_bytes())
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
