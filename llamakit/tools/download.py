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
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from llamakit import __version__
from llamakit.errors import LlamakitError

CHUNK = 1 << 20
TRIES_WITHOUT_PROGRESS = 5
TIMEOUT = 60.0  # seconds without a byte

Report = Callable[[str, int, int], None]  # stage, done, total


class DownloadError(LlamakitError):
    """A file that cannot be fetched, or that is not the one that was wanted."""


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to http."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(req.full_url).scheme == "https" and urlsplit(newurl).scheme != "https":
            raise DownloadError(f"{host(req.full_url)} redirects to an unencrypted address; not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def host(url: str) -> str:
    """The part of an address that is safe to show: no credentials, no tokens."""
    return urlsplit(url).hostname or "the server"


def open_url(url: str, headers: dict[str, str], ca_file: str | None = None) -> Any:
    """An open response, whatever its status. Raises OSError when there is none."""
    context = ssl.create_default_context(cafile=ca_file)
    opener = urllib.request.build_opener(_NoDowngrade, urllib.request.HTTPSHandler(context=context))
    request = urllib.request.Request(url, headers={"User-Agent": f"llamakit/{__version__}", **headers})
    try:
        return opener.open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as response:
        return response


def download(
    url: str,
    partial: Path,
    size: int,
    sha256: str,
    *,
    ca_file: str | None = None,
    report: Report | None = None,
    pause: float = 1.0,
) -> None:
    """Complete `partial` to the `size` bytes at `url` whose hash is `sha256`.

    Bytes already in `partial` are kept and the rest asked for; a server that cannot do that starts over. If the hash
    then is wrong, what had been kept is doubted first: one fresh attempt follows. `pause` is the wait in seconds before
    a second try, doubled each time. Raises DownloadError, leaving `partial` to be resumed unless its bytes are wrong.
    """
    was_resumed = n_bytes(partial) > 0
    for attempt in range(2):
        _complete(url, partial, size, ca_file, report, pause)
        if file_sha256(partial) == sha256:
            return
        partial.unlink()
        if not was_resumed or attempt == 1:
            break
        was_resumed = False
    raise DownloadError(f"what {host(url)} sent is not the file that was wanted: its SHA-256 is wrong")


def _complete(url: str, partial: Path, size: int, ca_file: str | None, report: Report | None, pause: float) -> None:
    failures, most = 0, 0
    while True:
        have = n_bytes(partial)
        if have > size:
            partial.unlink()
            continue
        if have == size:
            return
        try:
            _fetch_rest(url, partial, have, size, ca_file, report)
            problem: Exception = OSError("the connection ended early")
        except DownloadError:
            raise
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise DownloadError(f"no space left in {partial.parent}; what arrived is kept") from None
            problem = error
        now = n_bytes(partial)
        if now == size:
            return
        failures = 1 if now > most else failures + 1
        most = max(now, most)
        if failures >= TRIES_WITHOUT_PROGRESS:
            raise DownloadError(f"{host(url)}: {problem}; {now} of {size} bytes arrived, run again to go on")
        time.sleep(pause * 2 ** (failures - 1))


def _fetch_rest(url: str, partial: Path, have: int, size: int, ca_file: str | None, report: Report | None) -> None:
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    with open_url(url, headers, ca_file) as response:
        if response.status == 416:
            partial.unlink()
            return
        if response.status not in (200, 206):
            if response.status >= 500 or response.status == 429:
                raise OSError(f"HTTP status {response.status}")
            raise DownloadError(f"{host(url)} answers HTTP status {response.status}")
        resumes = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if have and response.status == 206 and not resumes:
            raise DownloadError(f"{host(url)} answers with other bytes than were asked for")
        done = have if resumes else 0
        with partial.open("ab" if resumes else "wb") as file:
            while chunk := response.read1(CHUNK):
                done += len(chunk)
                if done > size:
                    file.truncate(0)
                    raise DownloadError(f"{host(url)} sends more than the {size} bytes of the file")
                file.write(chunk)
                if report:
                    report("download", done, size)
            file.flush()
            os.fsync(file.fileno())


def n_bytes(path: Path) -> int:
    """The size of a file, 0 when there is none."""
    return path.stat().st_size if path.exists() else 0


def file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
