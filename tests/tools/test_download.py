"""A broken connection costs only what had not arrived; a wrong file is never kept (fault 93)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from llamakit.tools.download import DownloadError, _NoDowngrade, download

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
