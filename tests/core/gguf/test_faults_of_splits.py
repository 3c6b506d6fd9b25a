"""Models split over several files (fault 42)."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.types import ValueType
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.errors import GGUFError


def split_model(folder: Path, n: int = 3, **changes: int) -> list[Path]:
    """A model of `n` tensors in as many shards."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"m-{i + 1:05d}-of-{n:05d}.gguf" for i in range(n)]
    for i, path in enumerate(paths):
        with GGUFWriter(path) as writer:
            if i == 0:
                writer.add("general.architecture", "llama")
            writer.add("split.no", i, ValueType.UINT16)
            writer.add("split.count", changes.get(f"count_{i}", n), ValueType.UINT16)
            writer.add("split.tensors.count", changes.get("tensors", n), ValueType.INT32)
            writer.add_tensor(f"t{changes.get(f'name_{i}', i)}", np.full(8, i, np.float32))
    return paths


@pytest.mark.parametrize("given", range(3))
def test_fault_42_any_shard_opens_the_whole_split(given, tmp_path):
    reader = GGUFReader(split_model(tmp_path)[given], strict=True)
    assert [tensor.name for tensor in reader.tensors] == ["t0", "t1", "t2"]
    assert [float(tensor.data[0]) for tensor in reader.tensors] == [0, 1, 2]
    assert reader.metadata["general.architecture"] == "llama"


def test_fault_42_a_missing_shard_is_named(tmp_path):
    paths = split_model(tmp_path)
    paths[1].unlink()
    with pytest.raises(GGUFError, match=paths[1].name):
        GGUFReader(paths[0])


def test_fault_42_swapped_names_are_named(tmp_path):
    paths = split_model(tmp_path)
    paths[1].rename(tmp_path / "other")
    paths[2].rename(paths[1])
    (tmp_path / "other").rename(paths[2])
    with pytest.raises(GGUFError, match=r"shard 3 by its split.no, but 2 by its name"):
        GGUFReader(paths[0])


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"count_1": 4}, "differs from|split.count is 4"),
        ({"count_0": 65_535}, "split.count is 65535"),
        ({"name_2": 1}, "'t1' lies in"),
        ({"tensors": 4}, "split.tensors.count is 4"),
    ],
)
def test_fault_42_shards_that_contradict_each_other_are_refused(changes, words, tmp_path):
    paths = split_model(tmp_path, **changes)
    with pytest.raises(GGUFError, match=words):
        GGUFReader(paths[0])


def test_fault_42_a_shard_of_another_model_is_refused(tmp_path):
    paths = split_model(tmp_path)
    with GGUFWriter(paths[1]) as writer:
        writer.add("general.architecture", "qwen2")
        writer.add("split.no", 1, ValueType.UINT16)
        writer.add("split.count", 3, ValueType.UINT16)
        writer.add_tensor("t1", np.zeros(8, np.float32))
    with pytest.raises(GGUFError, match=r"general.architecture.*another model"):
        GGUFReader(paths[0])


def test_fault_42_a_truncated_shard_is_named(tmp_path):
    paths = split_model(tmp_path)
    os.truncate(paths[0], paths[0].stat().st_size - 8)
    with pytest.raises(GGUFError, match="cut short") as caught:
        GGUFReader(paths[2])
    assert caught.value.path == paths[0]


def test_fault_42_a_split_of_65535_shards_is_refused_at_once(tmp_path):
    path = split_model(tmp_path)[0]
    many = tmp_path / "m-00001-of-65535.gguf"
    shutil.copy(path, many)
    started = time.process_time()
    with pytest.raises(GGUFError, match="more"):
        GGUFReader(many)
    assert time.process_time() - started < 2


def test_fault_42_a_shard_under_another_name_is_refused(pieces, tmp_path):
    paths = split_model(tmp_path)
    with pytest.raises(GGUFError, match="rename"):
        GGUFReader(paths[0].rename(tmp_path / "model.gguf"))
    whole = tmp_path / "x-00001-of-00002.gguf"
    whole.write_bytes(pieces.small_model())
    with pytest.raises(GGUFError, match="rename"):
        GGUFReader(whole)


def test_a_whole_model_named_as_the_only_shard_opens(pieces, tmp_path):
    whole = tmp_path / "x-00001-of-00001.gguf"
    whole.write_bytes(pieces.small_model())
    assert len(GGUFReader(whole).tensors) == 2
