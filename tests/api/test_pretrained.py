"""Models of hubs by llama-cpp-python's arguments, from a hub on this machine."""

from __future__ import annotations

import pytest

from llamakit.api.llama import Llama
from llamakit.api.pretrained import model_file
from llamakit.errors import UsageError
from llamakit.tools.download import DownloadError
from tests.tools.test_pull import hold
from tests.tools.web import Site, serve

SHARDS = {f"deep/split-0000{i}-of-00002.gguf": b"GGUF" + bytes([i]) for i in (1, 2)}
BESIDE = {"mmproj-F16.gguf": b"GGUF projector", "config.json": b"{}", ".gitattributes": b"*.gguf"}


@pytest.fixture
def hub(tmp_path, monkeypatch, path):
    for name in ("MODEL_ENDPOINT", "HF_TOKEN", "LLAMA_ARG_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LLAMAKIT_CACHE", str(tmp_path / "cache"))
    with serve(Site()) as site:
        monkeypatch.setenv("HF_ENDPOINT", site.url)
        hold(site, {"tiny-Q4_K_M.gguf": path.read_bytes(), **SHARDS, **BESIDE})
        yield site


def visible(folder):
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(str(path) for path in paths if not path.name.startswith("."))


def test_a_model_is_where_local_dir_says(hub, tmp_path, path):
    with Llama.from_pretrained(
        "org/repo", "*Q4_K_M.gguf", local_dir=tmp_path / "mine", vocab_only=True, verbose=False
    ) as llm:
        assert llm.model_path == str(tmp_path / "mine/tiny-Q4_K_M.gguf")
    assert visible(tmp_path / "mine") == ["tiny-Q4_K_M.gguf"] and not (tmp_path / "cache/models").exists()
    hub.paths.clear()
    found = model_file("org/repo", "tiny-Q4_K_M.gguf", local_dir=tmp_path / "mine", cache_dir=tmp_path / "unused")
    assert found.read_bytes() == path.read_bytes() and not hub.paths and not (tmp_path / "unused").exists()


def test_a_model_is_where_cache_dir_says(hub, tmp_path):
    found = model_file("org/repo", "tiny-Q4_K_M.gguf", cache_dir=str(tmp_path / "kept"))
    assert found == tmp_path / "kept/hf/org/repo/tiny-Q4_K_M.gguf" and not (tmp_path / "cache/models").exists()
    assert model_file("org/repo", "tiny-Q4_K_M.gguf").is_relative_to(tmp_path / "cache")


@pytest.mark.parametrize("where", ["local_dir", "cache_dir", None])
def test_additional_files_are_fetched_beside_the_model(hub, tmp_path, where):
    options = {where: tmp_path / "here"} if where else {}
    found = model_file("org/repo", "tiny*", additional_files=["mmproj*", "config.json"], **options)
    assert visible(found.parent) == ["config.json", "mmproj-F16.gguf", "tiny-Q4_K_M.gguf"]
    assert (found.parent / "mmproj-F16.gguf").read_bytes() == BESIDE["mmproj-F16.gguf"]
    assert model_file("org/repo", None, **options) == found  # further files are no models


def test_a_split_comes_whole_and_in_its_folder(hub, tmp_path):
    found = model_file("org/repo", "*split*", [*SHARDS], local_dir=tmp_path / "mine")
    assert found == tmp_path / "mine" / next(iter(SHARDS))
    assert visible(tmp_path / "mine") == [*SHARDS]


@pytest.mark.parametrize(
    "names, words",
    [
        (["nosuch*"], "No file found in org/repo that match nosuch"),
        (["*.gguf"], "Multiple files found in org/repo matching"),
        ([".git*"], "No file found"),
    ],
)
def test_patterns_mean_one_file(hub, names, words):
    with pytest.raises(UsageError, match=words):
        model_file("org/repo", "tiny*", additional_files=names)
    with pytest.raises(UsageError, match=words):
        model_file("org/repo", f"{names[0]}*")


def test_offline_what_is_here_must_do(hub, tmp_path, monkeypatch):
    options = {"additional_files": ["config.json"], "local_dir": tmp_path / "mine"}
    found = model_file("org/repo", "tiny*", **options)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub.paths.clear()
    assert model_file("org/repo", "tiny*", **options) == found
    with pytest.raises(DownloadError, match="mmproj"):
        model_file("org/repo", "tiny*", ["mmproj*"], tmp_path / "mine")
    assert not hub.paths


def test_a_file_that_arrives_broken_is_not_kept(hub, tmp_path):
    hub.pages["/org/repo/resolve/main/config.json"] = ("text/plain", b"[]")
    with pytest.raises(DownloadError):
        model_file("org/repo", "tiny*", ["config.json"], tmp_path / "mine", pause=0)
    assert (tmp_path / "mine/tiny-Q4_K_M.gguf").exists() and "config.json" not in visible(tmp_path / "mine")
