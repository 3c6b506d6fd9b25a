"""`llamakit gguf hash`: lines and exit codes of llama-gguf-hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from llamakit.cli.app import run
from llamakit.core.gguf.writer import GGUFWriter

Capture = pytest.CaptureFixture[str]
DATA = np.arange(8, dtype=np.float32)
SHA1, SHA256 = hashlib.sha1(DATA).hexdigest(), hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(DATA)
    return tmp_path / "m.gguf"


def write(data: np.ndarray) -> None:
    with GGUFWriter("m.gguf") as writer:
        writer.add_tensor("t", data)


def manifest(capsys: Capture, *flags: str) -> str:
    assert run(["gguf", "hash", *flags, "m.gguf"]) == 0
    return capsys.readouterr().out


def test_hashes_are_printed_as_a_manifest(model: Path, capsys: Capture) -> None:
    assert manifest(capsys, "--sha1") == f"sha1      {SHA1}  m.gguf:t\nsha1      {SHA1}  m.gguf\n"
    assert manifest(capsys, "--sha256", "--no-layer") == f"sha256    {SHA256}  m.gguf\n"
    assert [line.split()[0] for line in manifest(capsys).splitlines()] == ["xxh64", "xxh64"]
    kinds = [line.split()[0] for line in manifest(capsys, "--all", "--uuid", "--no-layer").splitlines()]
    assert kinds == ["xxh64", "sha1", "sha256", "uuid"]


def test_a_check_takes_the_strongest_hash_and_succeeds(model: Path, capsys: Capture) -> None:
    Path("m.manifest").write_text(manifest(capsys, "--sha1") + manifest(capsys, "--sha256"))
    assert run(["gguf", "hash", "-c", "m.manifest", "m.gguf"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "manifest  m.manifest  sha256  sha1",
        f"sha256    {SHA256}  m.gguf:t  -  Ok",
        f"sha256    {SHA256}  m.gguf  -  Ok",
        "",
        "Verification results for m.manifest - Success",
    ]
    assert run(["gguf", "hash", "--check", "m.manifest", "--sha1", "--no-layer", "m.gguf"]) == 0
    assert f"sha1      {SHA1}  m.gguf  -  Ok" in capsys.readouterr().out


def test_a_mismatch_is_exit_1(model: Path, capsys: Capture) -> None:
    Path("m.manifest").write_text(manifest(capsys, "--sha1"))
    write(DATA + 1)
    assert run(["gguf", "hash", "-c", "m.manifest", "m.gguf"]) == 1
    out = capsys.readouterr().out
    assert "  m.gguf:t  -  Mismatch\n" in out
    assert out.endswith("Verification results for m.manifest - Failure\n")


def test_a_file_the_manifest_does_not_know_is_exit_3(model: Path, capsys: Capture) -> None:
    Path("m.manifest").write_text(f"sha1  {SHA1}  other.gguf\n")
    assert run(["gguf", "hash", "-c", "m.manifest", "m.gguf"]) == 3
    out = capsys.readouterr().out
    assert "-  Not Found" in out
    assert out.endswith("Manifest Missing Entry\n")


def test_a_manifest_without_hashes_is_exit_4_and_none_at_all_exit_5(model: Path, capsys: Capture) -> None:
    Path("m.manifest").write_text("nothing to see here\n")
    assert run(["gguf", "hash", "-c", "m.manifest", "m.gguf"]) == 4
    assert run(["gguf", "hash", "-c", "nowhere", "m.gguf"]) == 5
    assert capsys.readouterr().err.count("\n") == 2


def test_a_hash_of_the_data_does_not_change_with_the_metadata(model: Path, capsys: Capture) -> None:
    before = manifest(capsys, "--all", "--uuid")
    with GGUFWriter("m.gguf") as writer:
        writer.add("general.name", "new")
        writer.add_tensor("t", DATA)
    assert manifest(capsys, "--all", "--uuid") == before
