"""A broken connection costs only what had not arrived; a wrong file is never kept (fault 93)."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from llamakit.tools.download import DownloadError, FileChanged, _NoDowngrade, download

from .web import Site, serve

BODY = bytes(range(256)) * 40
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def site() -> Iterator[Site]:
    with serve(Site({"/file": ("application/octet-stream", BODY)})) as running:
        yield running


def fetch(site: Site, partial: Path, sha256: str = SHA256, size: int = len(BODY)) -> None:
    download(f"{site.url}/file", partial, size, sha256, pause=0)


def test_a_file_arrives_with_progress(site: Site, tmp_path: Path) -> None:
    reports: list[tuple[str, int, int]] = []
    download(
        f"{site.url}/file", tmp_path / "p", len(BODY), SHA256, report=lambda *report: reports.append(report), pause=0
    )
    assert (tmp_path / "p").read_bytes() == BODY
    assert reports[-1] == ("download", len(BODY), len(BODY))


def test_a_cut_connection_is_taken_up_where_it_broke(site: Site, tmp_path: Path) -> None:
    site.cut_after = [1000, 500]
    fetch(site, tmp_path / "p")
    assert (tmp_path / "p").read_bytes() == BODY
    assert site.ranges == [None, "bytes=1000-", "bytes=1500-"]


def test_what_an_earlier_run_left_is_kept(site: Site, tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(BODY[:4000])
    fetch(site, tmp_path / "p")
    assert (tmp_path / "p").read_bytes() == BODY
    assert site.ranges == ["bytes=4000-"]


def test_a_whole_partial_needs_no_request(site: Site, tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(BODY)
    fetch(site, tmp_path / "p")
    assert site.ranges == []


def test_a_server_without_ranges_starts_over(site: Site, tmp_path: Path) -> None:
    site.honours_range = False
    (tmp_path / "p").write_bytes(b"x" * 4000)
    fetch(site, tmp_path / "p")
    assert (tmp_path / "p").read_bytes() == BODY


def test_a_partial_of_another_file_is_fetched_afresh(site: Site, tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(b"x" * 4000)
    fetch(site, tmp_path / "p")
    assert (tmp_path / "p").read_bytes() == BODY
    assert site.ranges == ["bytes=4000-", None]


def test_a_partial_that_is_too_long_is_fetched_afresh(site: Site, tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(BODY + b"x")
    fetch(site, tmp_path / "p")
    assert (tmp_path / "p").read_bytes() == BODY


def test_a_wrong_hash_is_refused_and_nothing_kept(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="SHA-256 is wrong"):
        fetch(site, tmp_path / "p", sha256="0" * 64)
    assert not (tmp_path / "p").exists()
    assert len(site.ranges) == 1


def test_a_server_that_sends_too_much_is_refused(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="more than the 100 bytes"):
        fetch(site, tmp_path / "p", size=100)


def test_a_server_that_sends_too_little_is_given_up_and_the_rest_kept(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=rf"{len(BODY)} of {len(BODY) + 9} bytes arrived, run again"):
        fetch(site, tmp_path / "p", size=len(BODY) + 9)


@pytest.mark.parametrize("status, tries", [(404, 1), (403, 1), (503, 5)])
def test_only_a_passing_failure_is_tried_again(site: Site, tmp_path: Path, status: int, tries: int) -> None:
    site.status = status
    with pytest.raises(DownloadError, match=str(status)):
        fetch(site, tmp_path / "p")
    assert len(site.ranges) == tries


def test_no_server_is_an_error_that_names_only_the_host(tmp_path: Path) -> None:
    with serve(Site()) as site:
        gone = site.url
    with pytest.raises(DownloadError) as error:
        download(f"{gone}/secret-token/file", tmp_path / "p", 10, SHA256, pause=0)
    assert "127.0.0.1" in str(error.value)
    assert "secret" not in str(error.value)


def test_a_redirect_from_https_to_http_is_refused() -> None:
    from urllib.request import Request

    with pytest.raises(DownloadError, match="unencrypted"):
        _NoDowngrade().redirect_request(Request("https://a.test/x"), None, 302, "", {}, "http://a.test/x")


def test_a_redirect_is_followed(site: Site, tmp_path: Path) -> None:
    with serve(Site(redirect=f"{site.url}/file")) as front:
        fetch(front, tmp_path / "p")
    assert (tmp_path / "p").read_bytes() == BODY


def test_a_token_is_shown_to_nobody_else(site: Site, tmp_path: Path) -> None:
    with serve(Site(redirects={"/file": "/moved", "/moved": f"{site.url}/file"})) as front:
        download(f"{front.url}/file", tmp_path / "p", len(BODY), SHA256, headers={"Authorization": "Bearer x"}, pause=0)
    assert front.tokens == ["Bearer x", "Bearer x"]
    assert site.tokens == [None]


def test_without_a_hash_parts_are_of_one_version(site: Site, tmp_path: Path) -> None:
    site.cut_after, site.etags = [1000], ['"1"']
    download(f"{site.url}/file", tmp_path / "p", len(BODY), None, version='"1"', pause=0)
    assert (tmp_path / "p").read_bytes() == BODY
    assert site.ranges == [None, "bytes=1000-"]


@pytest.mark.parametrize("honours_if_range", [True, False])
def test_a_version_that_changes_between_two_requests_is_told(
    site: Site, tmp_path: Path, honours_if_range: bool
) -> None:
    site.cut_after, site.etags, site.honours_if_range = [1000], ['"1"', '"2"'], honours_if_range
    with pytest.raises(FileChanged, match="changes while it is fetched"):
        download(f"{site.url}/file", tmp_path / "p", len(BODY), None, version='"1"', pause=0)
    assert not (tmp_path / "p").exists()


def test_a_hash_is_a_better_judge_than_the_version(site: Site, tmp_path: Path) -> None:
    site.cut_after, site.etags = [1000], ['"1"', '"2"']
    fetch(site, tmp_path / "p")
    assert (tmp_path / "p").read_bytes() == BODY


def test_a_file_of_unknown_size_is_fetched_in_one_piece(site: Site, tmp_path: Path) -> None:
    site.tells_length = False
    (tmp_path / "p").write_bytes(b"of an earlier run")
    download(f"{site.url}/file", tmp_path / "p", None, None, pause=0)
    assert (tmp_path / "p").read_bytes() == BODY
    assert site.ranges == [None]


def test_a_slow_server_is_waited_for(site: Site, tmp_path: Path) -> None:
    site.slowness = 0.02
    done: list[int] = []
    download(
        f"{site.url}/file", tmp_path / "p", len(BODY), SHA256, report=lambda _, now, total: done.append(now), pause=0
    )
    assert len(done) > 3
    assert len(site.ranges) == 1


def test_a_server_that_falls_silent_is_asked_again(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llamakit.tools.download.TIMEOUT", 0.1)
    site.slowness = 0.5
    with pytest.raises(DownloadError, match="timed out"):
        fetch(site, tmp_path / "p")
    assert len(site.ranges) == 5


def test_ctrl_c_keeps_what_arrived(site: Site, tmp_path: Path) -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(f"{site.url}/file", tmp_path / "p", len(BODY), SHA256, report=interrupt, pause=0)
    kept = (tmp_path / "p").read_bytes()
    assert kept
    assert BODY.startswith(kept)


@pytest.mark.parametrize("number, message", [("ENOSPC", "no space left"), ("EIO", "error"), ("EFBIG", "large")])
def test_a_disk_that_refuses_is_not_asked_again(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str, message: str
) -> None:
    def fail(descriptor: int) -> None:
        code = getattr(errno, number)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("llamakit.tools.download.os.fsync", fail)
    site.cut_after = [1000]
    with pytest.raises(DownloadError, match=f"{message}.*; what arrived is kept"):
        fetch(site, tmp_path / "p")
    assert (tmp_path / "p").stat().st_size == 1000
    assert len(site.ranges) == 1
