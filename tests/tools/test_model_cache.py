"""The cache tells what it holds by names that -m takes, and removes just what is named."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from llamakit.errors import UsageError
from llamakit.tools.catalog import DEMO
from llamakit.tools.download import DownloadError
from llamakit.tools.model_cache import (
    CachedModel,
    find_model,
    folder_of,
    is_here,
    list_models,
    load_listing,
    lock_of,
    only_one,
    remove_model,
    save_listing,
    write_record,
)  # fmt: skip
from llamakit.tools.model_hub import RemoteFile
from llamakit.tools.model_source import HubModel, UrlModel

REPO = HubModel("hf", "org/repo")
URL = UrlModel("https://a.test/x/m.gguf?token=secret")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLAMAKIT_CACHE", str(tmp_path))
    return tmp_path / "models"


def put(source: HubModel | UrlModel, *names: str, body: bytes = b"12345") -> list[Path]:
    """Files as a pull leaves them."""
    paths = []
    for name in names:
        path = folder_of(source) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        file = RemoteFile(name, "https://a.test", len(body), hashlib.sha256(body).hexdigest())
        save_listing(folder_of(source), source, [file])
        write_record(path, file)
        paths.append(path)
    return paths


def names() -> list[str]:
    return [model.name for model in list_models()]


def test_models_are_listed_by_the_names_that_fetch_them(cache: Path) -> None:
    assert names() == []
    put(REPO, "q/m-Q8_0.gguf")
    put(HubModel("modelscope", "org/repo"), "m.gguf")
    put(URL, "m.gguf")
    (cache / DEMO.file_name).write_bytes(b"x")
    (cache / "mine.gguf").write_bytes(b"x")
    others = ["demo", "hf:org/repo/q/m-Q8_0.gguf", "https://a.test/x/m.gguf", "modelscope:org/repo/m.gguf"]
    assert names() == [str(cache / "mine.gguf"), *others]


def test_a_split_is_one_model(cache: Path) -> None:
    paths = put(REPO, "m-00001-of-00003.gguf", "m-00002-of-00003.gguf")
    whole = put(REPO, "n-00001-of-00001.gguf")
    digest = hashlib.sha256(b"12345").hexdigest()
    assert list_models() == [
        CachedModel("hf:org/repo/m-00001-of-00003.gguf", tuple(paths), 10, is_whole=False),
        CachedModel("hf:org/repo/n-00001-of-00001.gguf", tuple(whole), 5, is_whole=True),
    ]
    assert list_models()[0].sha256 == (digest, digest)


@pytest.mark.parametrize("partial", ["m.gguf.partial", DEMO.wheel + ".partial"])
def test_what_was_broken_off_is_listed_and_removed(cache: Path, partial: str) -> None:
    folder = cache if partial.startswith(DEMO.wheel) else folder_of(REPO)
    folder.mkdir(parents=True)
    (folder / partial).write_bytes(b"123")
    (model,) = list_models()
    assert (model.is_whole, model.size, model.sha256[0]) == (False, 3, DEMO.sha256 if folder == cache else None)
    remove_model(model)
    assert list_models() == []


@pytest.mark.parametrize(
    "name, found",
    [
        ("hf:org/repo/m-Q8_0.gguf", "m-Q8_0.gguf"),
        ("m-Q8_0.gguf", "m-Q8_0.gguf"),
        ("hf:org/repo:q8_0", "m-Q8_0.gguf"),
        ("hf:org/other", "o.gguf"),
    ],
)
def test_a_model_is_found_by_part_of_its_name(cache: Path, name: str, found: str) -> None:
    put(REPO, "m-Q8_0.gguf", "m-Q4_K_M.gguf")
    put(HubModel("hf", "org/other"), "o.gguf")
    assert find_model(name).paths[0].name == found


@pytest.mark.parametrize(
    "name, message", [("hf:org/repo", "may be any of"), ("hf:org/repo:Q2_K", "there is no model"), ("x", "lists those")]
)
def test_a_name_of_none_or_several_is_told(cache: Path, name: str, message: str) -> None:
    put(REPO, "m-Q8_0.gguf", "m-Q4_K_M.gguf")
    with pytest.raises(UsageError, match=message):
        find_model(name)


def test_removing_leaves_the_others(cache: Path) -> None:
    put(REPO, "a.gguf", "b.gguf")
    remove_model(find_model("a.gguf"))
    assert names() == ["hf:org/repo/b.gguf"]
    assert not (folder_of(REPO) / ".a.gguf.json").exists()


def test_what_is_being_fetched_is_not_removed(cache: Path) -> None:
    (path,) = put(REPO, "a.gguf")
    with only_one(lock_of(path)), pytest.raises(DownloadError, match="is being fetched"):
        remove_model(find_model("a.gguf"))
    assert path.is_file()


def test_a_secret_of_an_address_is_not_kept(cache: Path) -> None:
    put(URL, "m.gguf")
    save_listing(folder_of(URL), URL, [RemoteFile("m.gguf", URL.url)])
    assert not any(b"secret" in path.read_bytes() for path in cache.rglob("*") if path.is_file())


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": 7}', '{"files": [{"what": 1}]}'])
def test_a_damaged_listing_is_none(cache: Path, text: str) -> None:
    put(REPO, "a.gguf")
    (folder_of(REPO) / ".listing.json").write_text(text)
    assert load_listing(folder_of(REPO)) == []


def test_a_damaged_record_is_made_anew_from_the_file(cache: Path) -> None:
    (path,) = put(REPO, "a.gguf")
    (file,) = load_listing(folder_of(REPO))
    (path.parent / ".a.gguf.json").write_text("{")
    assert is_here(folder_of(REPO), file)
    path.write_bytes(b"54321")
    (path.parent / ".a.gguf.json").write_text("{")
    assert not is_here(folder_of(REPO), file)
