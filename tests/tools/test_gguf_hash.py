"""`llamakit gguf hash`, library side: our own checksum against its specification, the order of hashes, manifests."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

import numpy as np
import pytest

from llamakit.core.gguf.file import GGUFFile
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.core.kernels.checksum import XXH64, mixed, rotated, scattered, with_rest
from llamakit.tools.gguf_hash import hashes
from llamakit.tools.gguf_hash.hashes import Entry, hash_file
from llamakit.tools.gguf_hash.manifest import (
    ManifestFileError,
    ManifestUnknownHash,
    Match,
    Verdict,
    judge,
    read_manifest,
    without_folder,
)

P1, P2, P3, P4, P5 = (
    11400714785074694791, 14029467366897019727, 1609587929392839161, 9650029242287828579, 2870177450012600261,
)  # fmt: skip
WORD = (1 << 64) - 1


def naive_xxh64(data: bytes) -> str:
    """The specification, word by word."""
    lanes = [(P1 + P2) & WORD, P2, 0, -P1 & WORD]
    n_whole = len(data) // 32 * 32
    for start in range(0, n_whole, 8):
        word = int.from_bytes(data[start : start + 8], "little")
        lanes[start // 8 % 4] = mixed(lanes[start // 8 % 4], word)
    total = P5
    if n_whole:
        total = sum(rotated(lane, n) for lane, n in zip(lanes, (1, 7, 12, 18), strict=True)) & WORD
        for lane in lanes:
            total = ((total ^ mixed(0, lane)) * P1 + P4) & WORD
    return f"{scattered(with_rest((total + len(data)) & WORD, data[n_whole:])):016x}"


def xxh64(data: bytes, cuts: tuple[int, ...] = ()) -> str:
    running = XXH64()
    for start, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
        running.update(data[start:end])
    return running.hexdigest()


@pytest.mark.parametrize(
    "text, digest",
    [  # published with the specification and with implementations of it
        (b"", "ef46db3751d8e999"),
        (b"a", "d24ec4f1a98c6e5b"),
        (b"abc", "44bc2cf5ad770999"),
        (b"abcd", "de0327b0d25d92cc"),
        (b"Nobody inspects the spammish repetition", "fbcea83c8a378bf1"),
    ],
)
def test_xxh64_of_known_texts(text, digest):
    assert xxh64(text) == digest == naive_xxh64(text)


@pytest.mark.parametrize("n", [*range(0, 70, 3), 31, 32, 64, 1000, 4096, 100_003])
def test_xxh64_is_the_specifications_for_every_length(n):
    data = np.random.default_rng(n).integers(0, 256, n, np.uint8).tobytes()
    assert xxh64(data) == naive_xxh64(data)


@pytest.mark.parametrize("cuts", [(1,), (31, 32, 33), (5, 5, 40, 300), (64,), tuple(range(0, 999, 7))])
def test_xxh64_does_not_depend_on_how_the_data_comes(cuts):
    data = np.random.default_rng(1).integers(0, 256, 1000, np.uint8).tobytes()
    assert xxh64(data, cuts) == xxh64(data)


def test_xxh64_can_be_asked_in_between():
    running = XXH64()
    running.update(bytes(range(40)))
    assert running.hexdigest() == running.hexdigest() == xxh64(bytes(range(40)))
    running.update(bytes(range(40, 50)))
    assert running.hexdigest() == xxh64(bytes(range(50)))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    with GGUFWriter(tmp_path / "m.gguf") as writer:
        writer.add("general.name", "whatever")
        writer.add_tensor("a", np.arange(5, dtype=np.float32))
        writer.add_tensor("b", np.arange(100, dtype=np.int8))
    return tmp_path / "m.gguf"


A, B = np.arange(5, dtype=np.float32).tobytes(), np.arange(100, dtype=np.int8).tobytes()


def lines(model: Path, *algorithms: str, per_tensor: bool = True) -> list[str]:
    with GGUFFile(model) as file:
        return [str(entry) for entry in hash_file(file, "m.gguf", algorithms, per_tensor=per_tensor)]


def test_hashes_come_tensor_by_tensor_and_then_of_all_in_a_fixed_order(model):
    namespace = uuid.UUID("ef001206-dadc-5f6d-a15f-3359e577d4e5").bytes
    digest = hashlib.sha1(namespace + A + B).digest()[:16]
    assert lines(model, "sha256", "uuid", "sha1", "xxh64") == [
        f"xxh64     {xxh64(A)}  m.gguf:a",
        f"sha1      {hashlib.sha1(A).hexdigest()}  m.gguf:a",
        f"sha256    {hashlib.sha256(A).hexdigest()}  m.gguf:a",
        f"xxh64     {xxh64(B)}  m.gguf:b",
        f"sha1      {hashlib.sha1(B).hexdigest()}  m.gguf:b",
        f"sha256    {hashlib.sha256(B).hexdigest()}  m.gguf:b",
        f"xxh64     {xxh64(A + B)}  m.gguf",
        f"sha1      {hashlib.sha1(A + B).hexdigest()}  m.gguf",
        f"sha256    {hashlib.sha256(A + B).hexdigest()}  m.gguf",
        f"uuid      {uuid.UUID(bytes=digest, version=5)}  m.gguf",
    ]


def test_without_tensors_the_whole_is_left(model):
    assert lines(model, "sha1", per_tensor=False) == [f"sha1      {hashlib.sha1(A + B).hexdigest()}  m.gguf"]


def test_the_size_of_the_pieces_does_not_matter(model, monkeypatch):
    whole = lines(model, "xxh64", "sha1")
    monkeypatch.setattr(hashes, "PIECE", 7)
    assert lines(model, "xxh64", "sha1") == whole


def test_progress_ends_at_the_bytes_of_all_tensors(model):
    done: list[int] = []
    with GGUFFile(model) as file:
        list(hash_file(file, "m", ["sha1"], report=done.append))
    assert sum(done) == len(A + B)


@pytest.mark.parametrize(
    "text, algorithms",
    [
        ("sha1 12 m.gguf\nxxh64 ab m.gguf:a\n", ["sha1", "xxh64"]),
        ("# a note of three words\nuuid  1-2  m.gguf\nsha256 ff m.gguf", ["sha256", "uuid"]),
    ],
)
def test_a_manifest_names_its_algorithms_strongest_first(text, algorithms, tmp_path):
    (tmp_path / "manifest").write_text(text)
    assert read_manifest(str(tmp_path / "manifest")).algorithms == algorithms


@pytest.mark.parametrize(
    "entry, match",
    [
        (Entry("xxh64", "aa", "dir/m.gguf"), Match.OK),
        (Entry("xxh64", "bb", "dir/m.gguf"), Match.MISMATCH),
        (Entry("sha1", "aa", "dir/m.gguf"), Match.NOT_FOUND),
        (Entry("xxh64", "aa", "m.gguf"), Match.OK),  # made in another folder
        (Entry("xxh64", "aa", "other/m.gguf"), Match.OK),
        (Entry("xxh64", "cc", "dir/m.gguf:blk/0 a"), Match.OK),  # names may hold spaces and slashes
        (Entry("xxh64", "cc", "m.gguf:blk/0 a"), Match.OK),
        (Entry("xxh64", "cc", "m.gguf:a"), Match.NOT_FOUND),
    ],
)
def test_entries_are_found_by_algorithm_and_name(entry, match, tmp_path):
    (tmp_path / "manifest").write_text("xxh64     aa  dir/m.gguf\nxxh64     cc  dir/m.gguf:blk/0 a\n")
    assert read_manifest(str(tmp_path / "manifest")).compare(entry) is match


@pytest.mark.parametrize("name, short", [("a/b.gguf", "b.gguf"), ("b.gguf:x/y", "b.gguf:x/y"), ("a/b", "b")])
def test_a_folder_is_taken_off_the_file_and_not_off_the_tensor(name, short):
    assert without_folder(name) == short


@pytest.mark.parametrize(
    "matches, verdict",
    [
        ([Match.OK, Match.OK], Verdict.SUCCESS),
        ([Match.NOT_FOUND, Match.OK], Verdict.SUCCESS),
        ([Match.OK, Match.MISMATCH], Verdict.FAILURE),
        ([Match.NOT_FOUND], Verdict.MISSING_ENTRY),
        ([], Verdict.MISSING_ENTRY),
    ],
)
def test_one_mismatch_fails_and_one_match_is_enough(matches, verdict):
    assert judge([(Entry("xxh64", "", ""), match) for match in matches]) is verdict


def test_a_manifest_that_cannot_be_read_or_holds_nothing_says_so(tmp_path):
    with pytest.raises(ManifestFileError, match="cannot read the manifest"):
        read_manifest(str(tmp_path / "nowhere"))
    (tmp_path / "empty").write_bytes(b"\xff\x00 md5 12\n")
    with pytest.raises(ManifestUnknownHash, match="no hash known"):
        read_manifest(str(tmp_path / "empty"))
