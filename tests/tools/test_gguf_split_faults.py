"""gguf-split against shards that do not belong together (fault 42) and real kills (fault 43)."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.types import ValueType
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.errors import GGUFError
from llamakit.tools.gguf_split import merge, open_for_merge, plan, split
from tests.kills import kill_at_each_step


def write_model(path: Path, value: float = 1, prefix: str = "t", n_tensors: int = 6) -> Path:
    with GGUFWriter(path) as writer:
        writer.add("general.architecture", "llama")
        for i in range(n_tensors):
            writer.add_tensor(f"{prefix}{i}", np.full(64, value + i, np.float32))
    return path


def write_shards(model: Path, prefix: Path, max_tensors: int = 2) -> list[Path]:
    with GGUFReader(model) as reader:
        for _ in split(reader, plan(reader, max_tensors=max_tensors), str(prefix)):
            pass
    return sorted(prefix.parent.glob(f"{prefix.name}-*.gguf"))


def merged(first: Path, output: Path) -> bytes:
    with open_for_merge(str(first)) as reader:
        for _ in merge(reader, str(output)):
            pass
    return output.read_bytes()


def missing(paths: list[Path], other: list[Path]) -> None:
    paths[1].unlink()


def swapped(paths: list[Path], other: list[Path]) -> None:
    paths[1].rename("aside")
    paths[2].rename(paths[1])
    Path("aside").rename(paths[2])


def rewrite(path: Path, source: Path, count: int) -> None:
    """The shard with another split.count."""
    raw = source.read_bytes()
    key = b"split.count" + int(ValueType.UINT16).to_bytes(4, "little")
    at = raw.index(key) + len(key)
    path.write_bytes(raw[:at] + count.to_bytes(2, "little") + raw[at + 2 :])


def other_count(paths: list[Path], other: list[Path]) -> None:
    rewrite(paths[1], paths[1], 4)


def most_shards(paths: list[Path], other: list[Path]) -> None:
    rewrite(paths[0], paths[0], 65_535)


def same_tensor_twice(paths: list[Path], other: list[Path]) -> None:
    raw = paths[2].read_bytes()
    paths[2].write_bytes(raw.replace(b"t4", b"t2"))


def of_another_model(paths: list[Path], other: list[Path]) -> None:
    shutil.copy(other[1], paths[1])


def another_first_shard(paths: list[Path], other: list[Path]) -> None:
    shutil.copy(other[0], paths[0])


def truncated(paths: list[Path], other: list[Path]) -> None:
    os.truncate(paths[2], paths[2].stat().st_size - 40)


def cut_in_its_header(paths: list[Path], other: list[Path]) -> None:
    os.truncate(paths[1], 50)


def empty(paths: list[Path], other: list[Path]) -> None:
    os.truncate(paths[0], 0)


@pytest.mark.parametrize(
    "damage, shard, words",
    [
        (missing, 0, "shards are missing beside it: m-00002-of-00003.gguf"),
        (swapped, 1, "shard 3 by its split.no, but 2 by its name"),
        (other_count, 1, "split.count is 4, but there are 3|'split.count' differs"),
        (most_shards, 0, "split.count is 65535, but there are 3"),
        (same_tensor_twice, 2, "tensor 't2' lies in m-00002-of-00003.gguf too"),
        (of_another_model, 1, "'split.tensors.count' differs from that of m-00001-of-00003.gguf; .* another model"),
        (another_first_shard, 0, "split.tensors.count is 5, but all shards together hold 6"),
        (truncated, 2, "cut short"),
        (cut_in_its_header, 1, "the file ends|do not fit"),
        (empty, 0, "the file is empty"),
    ],
)
def test_fault_42_merging_names_what_does_not_fit(damage, shard, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = write_shards(write_model(tmp_path / "m"), tmp_path / "m")
    other = write_shards(write_model(tmp_path / "o", n_tensors=5), tmp_path / "o")
    damage(paths, other)
    with pytest.raises(GGUFError, match=words) as caught:
        merged(paths[0], tmp_path / "merged.gguf")
    assert caught.value.path == paths[shard]
    assert not list(tmp_path.glob("merged*"))


def test_fault_42_a_shard_of_65535_by_name_too_is_refused_at_once(tmp_path):
    paths = write_shards(write_model(tmp_path / "m"), tmp_path / "m")
    lone = tmp_path / "m-00001-of-65535.gguf"
    rewrite(lone, paths[0], 65_535)
    with pytest.raises(GGUFError, match=r"missing beside it: m-00002-of-65535\.gguf, .* more"):
        merged(lone, tmp_path / "merged.gguf")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 128 KiB: one shard of 64 KiB has room on it, two have not."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user may not mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_fault_52_a_disk_that_fills_up_leaves_the_old_shards_and_nothing_else(small_disk, tmp_path):
    old = {path.name: path.read_bytes() for path in write_shards(write_model(tmp_path / "old"), small_disk / "m")}
    with GGUFWriter(tmp_path / "big") as writer:
        for i in range(6):
            writer.add_tensor(f"t{i}", np.ones(1 << 13, np.float32))
    with pytest.raises(GGUFError, match="cannot write: No space left on device"):
        write_shards(tmp_path / "big", small_disk / "m")
    assert {path.name: path.read_bytes() for path in small_disk.iterdir()} == old
    with pytest.raises(GGUFError, match="cannot write: No space left on device"):
        merged(write_shards(tmp_path / "big", tmp_path / "m")[0], small_disk / "merged.gguf")
    assert {path.name: path.read_bytes() for path in small_disk.iterdir()} == old


def test_fault_79_too_few_files_may_be_open_is_an_error_and_leaves_nothing(tmp_path):
    model = write_model(tmp_path / "m", n_tensors=60)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 20, hard))
    try:
        with pytest.raises(GGUFError, match="cannot write: Too many open files"):
            write_shards(model, tmp_path / "m", max_tensors=1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert os.listdir(tmp_path) == ["m"]


SPLIT = """
from llamakit.core.gguf.reader import GGUFReader
from llamakit.tools.gguf_split import plan, split

def work(step):
    with GGUFReader("new") as reader:
        list(split(reader, plan(reader, max_tensors=2), f"step-{step}/m"))
"""
MERGE = """
from llamakit.tools.gguf_split import merge, open_for_merge

def work(step):
    with open_for_merge("m-00001-of-00003.gguf") as reader:
        list(merge(reader, f"step-{step}/merged.gguf"))
"""
MOST_STEPS = 60


def test_fault_43_a_split_killed_at_any_step_leaves_whole_shards_of_one_model_and_a_rerun_works(tmp_path):
    old, new = write_model(tmp_path / "old", 100), write_model(tmp_path / "new", 1)
    old_shards = {path.name: path.read_bytes() for path in write_shards(old, tmp_path / "m")}
    for step in range(MOST_STEPS):
        shutil.copytree(tmp_path, tmp_path / f"step-{step}", ignore=lambda folder, names: {*names} - {*old_shards})
    n_steps = kill_at_each_step(SPLIT, tmp_path)
    assert 20 < n_steps < MOST_STEPS
    new_shards = {path.name: path.read_bytes() for path in (tmp_path / f"step-{n_steps}").iterdir()}
    assert new_shards.keys() == old_shards.keys()
    assert merged(tmp_path / f"step-{n_steps}" / "m-00001-of-00003.gguf", tmp_path / "merged.gguf") == new.read_bytes()
    for step in range(n_steps):
        folder = tmp_path / f"step-{step}"
        left = {path.name: path.read_bytes() for path in folder.glob("*.gguf")}
        assert left.items() <= old_shards.items() or left.items() <= new_shards.items(), step
        write_shards(new, folder / "m")
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == new_shards, step


def test_fault_43_a_merge_killed_at_any_step_leaves_no_half_file_and_a_rerun_works(tmp_path):
    model = write_model(tmp_path / "new")
    paths = write_shards(model, tmp_path / "m")
    for step in range(MOST_STEPS):
        (tmp_path / f"step-{step}").mkdir()
    n_steps = kill_at_each_step(MERGE, tmp_path)
    assert 8 < n_steps < MOST_STEPS
    for step in range(n_steps):
        output = tmp_path / f"step-{step}" / "merged.gguf"
        if output.exists():
            assert output.read_bytes() == model.read_bytes()
            output.unlink()
        assert merged(paths[0], output) == model.read_bytes()
        assert os.listdir(output.parent) == ["merged.gguf"]
