"""Of what a hub lists, the right files are chosen; nothing it says is trusted (faults 46, 93)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from llamakit.tools.download import DownloadError
from llamakit.tools.model_hub import RemoteFile, choose, list_files, of_quant, probe
from llamakit.tools.model_source import HubModel, UrlModel

from .web import Site, serve

TREE = "/api/models/org/repo/tree/main?recursive=true"
SHA = "ab" * 32


def entry(path: str, size: object = 10, oid: object = SHA) -> dict[str, object]:
    return {"type": "file", "path": path, "size": size, "oid": "0" * 40, "lfs": {"oid": oid, "size": size}}


def page(*entries: object) -> tuple[str, bytes]:
    return ("application/json", json.dumps(entries).encode())


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.delenv("MODEL_ENDPOINT", raising=False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with serve(Site()) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setenv("MODELSCOPE_DOMAIN", running.url)
        yield running


def names(files: list[RemoteFile]) -> list[str]:
    return [file.path for file in files]


def files(*paths: str) -> list[RemoteFile]:
    return [RemoteFile(path, f"https://a.test/{path}", 1, SHA) for path in paths]


REPO = files(
    "m-BF16.gguf", "m-F16.gguf", "m-IQ4_0.gguf", "m-Q4_0.gguf", "m-Q4_0_4_4.gguf", "m-Q4_K_M.gguf", "m-Q4_K_S.gguf",
    "m-UD-Q4_K_M.gguf", "mmproj-F16.gguf", "Q8_0/m-Q8_0-00001-of-00002.gguf", "Q8_0/m-Q8_0-00002-of-00002.gguf",
)  # fmt: skip


@pytest.mark.parametrize(
    "wanted, chosen",
    [
        ({}, ["m-Q4_K_M.gguf"]),
        ({"quant": "q4_k_m"}, ["m-Q4_K_M.gguf"]),
        ({"quant": "UD-Q4_K_M"}, ["m-UD-Q4_K_M.gguf"]),
        ({"quant": "Q4_0"}, ["m-Q4_0.gguf"]),
        ({"quant": "F16"}, ["m-F16.gguf"]),
        ({"quant": "Q8_0"}, ["Q8_0/m-Q8_0-00001-of-00002.gguf", "Q8_0/m-Q8_0-00002-of-00002.gguf"]),
        ({"file": "mmproj-F16.gguf"}, ["mmproj-F16.gguf"]),
        ({"file": "*-Q4_0.gguf"}, ["m-Q4_0.gguf"]),
        ({"file": "*Q8_0*"}, ["Q8_0/m-Q8_0-00001-of-00002.gguf", "Q8_0/m-Q8_0-00002-of-00002.gguf"]),
        (
            {"file": "Q8_0/m-Q8_0-00002-of-00002.gguf"},
            ["Q8_0/m-Q8_0-00001-of-00002.gguf", "Q8_0/m-Q8_0-00002-of-00002.gguf"],
        ),
    ],
)
def test_the_file_asked_for_is_chosen(wanted: dict[str, str], chosen: list[str]) -> None:
    assert names(choose(REPO, HubModel("hf", "org/repo", **wanted))) == chosen


def test_without_the_default_the_first_is_chosen() -> None:
    assert names(choose(files("a-Q2_K.gguf", "b-Q8_0.gguf"), HubModel("hf", "o/r"))) == ["a-Q2_K.gguf"]


@pytest.mark.parametrize(
    "held, wanted, message",
    [
        (REPO, {"quant": "Q5_K_M"}, "has no Q5_K_M; it has m-BF16.gguf"),
        (REPO, {"file": "x.gguf"}, "has no x.gguf"),
        (REPO, {"file": "*Q9*"}, r"has no \*Q9\*; it has"),
        (REPO, {"file": "m-Q4_0*.gguf"}, r"has several files of the pattern .*: m-Q4_0.gguf, m-Q4_0_4_4.gguf"),
        (files("mmproj-F16.gguf"), {}, "holds no GGUF file"),
        ([], {}, "convert-hf"),
        (files("m-00002-of-00002.gguf"), {}, "lacks m-00001-of-00002.gguf"),
    ],
)
def test_what_is_not_there_is_told(held: list[RemoteFile], wanted: dict[str, str], message: str) -> None:
    with pytest.raises(DownloadError, match=message):
        choose(held, HubModel("hf", "org/repo", **wanted))


def test_a_name_that_only_looks_like_a_quantization_is_none() -> None:
    assert of_quant(files("Q4_0-tuned.bin.gguf", "mQ4_0.gguf"), "Q4_0") == files("Q4_0-tuned.bin.gguf")


def test_a_list_of_several_pages_is_read(site: Site) -> None:
    site.pages = {TREE: page(entry("b.gguf"), entry("README.md")), "/next": page(entry("a b.gguf"))}
    site.links = {TREE: '</next>; rel="next"'}
    found = list_files(HubModel("hf", "org/repo"), pause=0)
    assert found[0] == RemoteFile("b.gguf", f"{site.url}/org/repo/resolve/main/b.gguf", 10, SHA)
    assert found[1].url.endswith("/a%20b.gguf")


def test_a_list_without_end_is_cut(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llamakit.tools.model_hub.MOST_PAGES", 3)
    site.pages, site.links = {TREE: page(entry("a.gguf"))}, {TREE: f'<{TREE}>; rel="next"'}
    assert len(list_files(HubModel("hf", "org/repo"), pause=0)) == 3


def test_modelscope_is_asked_in_its_way(site: Site) -> None:
    listed = {"Data": {"Files": [{"Path": "q/m.gguf", "Size": 7, "Sha256": SHA}, {"Path": "config.json"}]}}
    path = "/api/v1/models/org/repo/repo"
    site.pages = {f"{path}/files?Recursive=true&Revision=master": ("application/json", json.dumps(listed).encode())}
    (found,) = list_files(HubModel("modelscope", "org/repo"), pause=0)
    assert found == RemoteFile("q/m.gguf", f"{site.url}{path}?Revision=master&FilePath=q/m.gguf", 7, SHA)


@pytest.mark.parametrize("given, sent", [(None, "Bearer of-the-environment"), ("given", "Bearer given")])
def test_the_token_is_shown(site: Site, monkeypatch: pytest.MonkeyPatch, given: str | None, sent: str) -> None:
    monkeypatch.setenv("HF_TOKEN", "of-the-environment")
    site.pages = {TREE: page(entry("a.gguf"))}
    list_files(HubModel("hf", "org/repo"), given, pause=0)
    assert site.tokens == [sent]


def test_fault_46_paths_out_of_the_folder_are_passed_by(site: Site) -> None:
    bad = ["../x.gguf", "/etc/x.gguf", "a/../../x.gguf", ".x.gguf", "a\\x.gguf", 7, None]
    site.pages = {TREE: page(*(entry(path) for path in bad), entry("good.gguf"), "text", None)}  # type: ignore[arg-type]
    assert names(list_files(HubModel("hf", "org/repo"), pause=0)) == ["good.gguf"]


@pytest.mark.parametrize(
    "size, oid, expected",
    [("10", SHA, (None, SHA)), (-1, SHA, (None, SHA)), (5, "short", (5, None)), (5, ["x"], (5, None))],
)
def test_sizes_and_hashes_that_cannot_be_are_not_known(
    site: Site, size: object, oid: object, expected: tuple[object, object]
) -> None:
    site.pages = {TREE: page(entry("a.gguf", size, oid))}
    (found,) = list_files(HubModel("hf", "org/repo"), pause=0)
    assert (found.size, found.sha256) == expected


@pytest.mark.parametrize("body", [b"<html>", b"\xff\xfe", b"[" * 100_000])
def test_fault_93_a_list_that_cannot_be_read_is_told(site: Site, body: bytes) -> None:
    site.pages = {TREE: ("application/json", body)}
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1: a list that cannot be read"):
        list_files(HubModel("hf", "org/repo"), pause=0)


@pytest.mark.parametrize("body", [b"{}", b"7", b"null", b'{"error": "x"}'])
def test_a_list_of_another_kind_holds_nothing(site: Site, body: bytes) -> None:
    site.pages = {TREE: ("application/json", body)}
    assert list_files(HubModel("hf", "org/repo"), pause=0) == []


@pytest.mark.parametrize("status, tries, message", [(404, 1, "HF_TOKEN"), (401, 1, "HF_TOKEN"), (503, 3, "status 503")])
def test_a_hub_that_refuses_is_told(site: Site, status: int, tries: int, message: str) -> None:
    site.status = status
    with pytest.raises(DownloadError, match=message):
        list_files(HubModel("hf", "org/repo"), pause=0)
    assert len(site.paths) == tries


def test_an_address_tells_size_and_version(site: Site) -> None:
    site.pages, site.etags = {"/m.gguf": ("application/octet-stream", b"x" * 99)}, ['"one"']
    url = f"{site.url}/m.gguf"
    assert probe(UrlModel(url)) == [RemoteFile("m.gguf", url, 99, None, '"one"')]
    site.honours_range = False
    assert probe(UrlModel(url))[0].size == 99
    site.tells_length = False
    assert probe(UrlModel(url))[0].size is None


@pytest.mark.parametrize(
    "target", ["http://127.0.0.1:port/m.gguf", "http://a..b/m.gguf", "ftp://a.test/m.gguf", "/m.gguf"]
)
def test_fault_93_a_redirect_to_nowhere_is_told(site: Site, target: str) -> None:
    site.redirects = dict.fromkeys(("/m.gguf", TREE), target)
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1[: ]"):
        probe(UrlModel(f"{site.url}/m.gguf"))
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1"):
        list_files(HubModel("hf", "org/repo"), pause=0)


def test_the_address_of_a_shard_is_that_of_all(site: Site) -> None:
    paths = [f"/d+e/m-0000{n}-of-00002.gguf" for n in (1, 2)]
    site.pages = dict.fromkeys(paths, ("application/octet-stream", b"x"))
    assert [file.url for file in probe(UrlModel(site.url + paths[1]))] == [site.url + path for path in paths]
