"""`llamakit gguf-split`, library side: where models are cut, and that merging undoes it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.types import GGMLType, ValueType
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.errors import GGUFError, UsageError
from llamakit.tools.gguf_split import delete_shards, merge, open_for_merge, plan, split

SIZES = [100, 8, 300, 8, 8, 200, 1]  # of the tensors, in floats


def write_model(path: Path, *, alignment: int = 32, byte_order: str = "little", seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    with GGUFWriter(path, alignment=alignment, byte_order=byte_order) as writer:
        writer.add("general.architecture", "llama")
        writer.add("general.name", f"seed {seed}")
        writer.add("tokenizer.ggml.tokens", ["a", "b", "é"])
        writer.add("nested", [[1, 2], [3]])
        for i, size in enumerate(SIZES):
            writer.add_tensor(f"t{i}", rng.normal(size=size).astype(np.float32))
        writer.add_tensor("q", rng.integers(0, 256, (3, 144), np.uint8), GGMLType.Q4_K)
    return path


def split_all(model: Path, prefix: Path, **limits: int) -> list[Path]:
    with GGUFReader(model) as reader:
        shards = plan(reader, **limits)
        for _ in split(reader, shards, str(prefix)):
            pass
    return sorted(prefix.parent.glob(f"{prefix.name}-*-of-{len(shards):05d}.gguf"))


def merge_all(first: Path, output: Path) -> Path:
    with open_for_merge(str(first)) as reader:
        for _ in merge(reader, str(output)):
            pass
    return output


@pytest.mark.parametrize(
    "limits, cuts",
    [
        ({}, [8]),
        ({"max_tensors": 3}, [3, 3, 2]),
        ({"max_tensors": 4}, [4, 4]),
        ({"max_tensors": 1}, [1] * 8),
        ({"max_tensors": 3, "has_tensors_first": False}, [0, 3, 3, 2]),
        ({"max_bytes": 1664}, [3, 5]),  # padded: 416 + 32 + 1216, 32 + 32 + 800 + 32 + 448
        ({"max_bytes": 1663}, [2, 3, 3]),
        ({"max_bytes": 448}, [2, 1, 2, 1, 1, 1]),  # the third and the sixth are longer by themselves
        ({"max_bytes": 1, "has_tensors_first": False}, [0, *[1] * 8]),
        ({"max_bytes": 10**9}, [8]),
    ],
)
def test_a_model_is_cut_in_order_within_the_limits(limits, cuts, tmp_path):
    with GGUFReader(write_model(tmp_path / "m.gguf")) as reader:
        shards = plan(reader, **limits)
        tensors = [tensor for shard in shards for tensor in shard.tensors]
        assert tensors == reader.tensors
    assert [len(shard.tensors) for shard in shards] == cuts


@pytest.mark.parametrize("limits", [{"max_tensors": 0}, {"max_tensors": -3}, {"max_bytes": 0}])
def test_limits_that_allow_nothing_are_refused(limits, tmp_path):
    with GGUFReader(write_model(tmp_path / "m.gguf")) as reader, pytest.raises(UsageError, match="at least one"):
        plan(reader, **limits)


@pytest.mark.parametrize("byte_order", ["little", "big"])
@pytest.mark.parametrize("alignment", [32, 8, 256])
@pytest.mark.parametrize(
    "limits", [{"max_tensors": 3}, {"max_bytes": 500}, {"max_tensors": 9}, {"has_tensors_first": False}]
)
def test_merging_gives_back_the_file_byte_for_byte(limits, alignment, byte_order, tmp_path):
    model = write_model(tmp_path / "m.gguf", alignment=alignment, byte_order=byte_order)
    paths = split_all(model, tmp_path / "part", **limits)
    assert merge_all(paths[0], tmp_path / "merged.gguf").read_bytes() == model.read_bytes()


def test_shards_say_which_they_are_and_the_first_has_all_else(tmp_path):
    paths = split_all(write_model(tmp_path / "m.gguf"), tmp_path / "part", max_tensors=3)
    assert [path.name for path in paths] == [f"part-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
    own = ["split.no", "split.tensors.count", "split.count"]
    for number, path in enumerate(paths):
        metadata = GGUFReader(path).files[number].metadata
        assert [metadata[key] for key in own] == [number, 8, 3]
        assert [metadata.field(key).types[0] for key in own] == [ValueType.UINT16, ValueType.INT32, ValueType.UINT16]
        keys = ["general.architecture", "general.name", "tokenizer.ggml.tokens", "nested"]
        assert list(metadata) == (keys if number == 0 else []) + own


def test_the_length_told_is_the_files_without_the_padding_of_its_tensors(tmp_path):
    model = write_model(tmp_path / "m.gguf")
    paths = split_all(model, tmp_path / "part", max_tensors=3)
    with GGUFReader(model) as reader:
        for shard, path in zip(plan(reader, max_tensors=3), paths, strict=True):
            padding = sum(-tensor.n_bytes % 32 for tensor in shard.tensors)
            assert shard.n_bytes + padding == path.stat().st_size


def test_a_split_is_split_anew_as_a_whole(tmp_path):
    model = write_model(tmp_path / "m.gguf")
    paths = split_all(model, tmp_path / "a", max_tensors=3)
    again = split_all(paths[1], tmp_path / "b", max_tensors=2)
    assert len(again) == 4
    assert merge_all(again[0], tmp_path / "merged.gguf").read_bytes() == model.read_bytes()


def test_what_llama_cpp_merged_opens_and_splits_though_it_is_of_0_shards(tmp_path):
    with GGUFWriter(tmp_path / "m.gguf") as writer:
        writer.add("general.architecture", "llama")
        writer.add("split.no", 0, ValueType.UINT16)
        writer.add("split.tensors.count", 1, ValueType.INT32)
        writer.add("split.count", 0, ValueType.UINT16)
        writer.add_tensor("t", np.zeros(8, np.float32))
    with pytest.raises(UsageError, match="nothing to merge"):
        merge_all(tmp_path / "m.gguf", tmp_path / "x.gguf")
    paths = split_all(tmp_path / "m.gguf", tmp_path / "part")
    with GGUFReader(merge_all(paths[0], tmp_path / "merged.gguf")) as merged:
        assert list(merged.metadata) == ["general.architecture"]


def test_progress_ends_at_the_bytes_of_all_tensors(tmp_path):
    model = write_model(tmp_path / "m.gguf")
    with GGUFReader(model) as reader:
        total = sum(tensor.n_bytes for tensor in reader.tensors)
        steps = list(split(reader, plan(reader, max_tensors=3), str(tmp_path / "part")))
    assert steps == sorted(steps)
    assert steps[-1] == total


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_fault_53_a_shard_that_would_take_the_place_of_the_input_is_refused(link, tmp_path):
    model = write_model(tmp_path / "m.gguf")
    before = model.read_bytes()
    link(model, tmp_path / "part-00002-of-00003.gguf")
    with pytest.raises(UsageError, match="being read"):
        split_all(model, tmp_path / "part", max_tensors=3)
    assert model.read_bytes() == before
    assert len(os.listdir(tmp_path)) == 2


def test_an_existing_file_is_not_merged_over(tmp_path):
    paths = split_all(write_model(tmp_path / "m.gguf"), tmp_path / "part", max_tensors=3)
    with pytest.raises(UsageError, match="exists already"):
        merge_all(paths[0], tmp_path / "m.gguf")
    with pytest.raises(UsageError, match="exists already"):
        merge_all(paths[0], paths[2])


def test_merging_wants_the_first_shard(tmp_path):
    paths = split_all(write_model(tmp_path / "m.gguf"), tmp_path / "part", max_tensors=3)
    with pytest.raises(UsageError, match="is shard 2; give the first"):
        merge_all(paths[1], tmp_path / "merged.gguf")


def test_whoever_stops_asking_leaves_nothing_behind(tmp_path):
    model = write_model(tmp_path / "m.gguf")
    with GGUFReader(model) as reader:
        steps = split(reader, plan(reader, max_tensors=3), str(tmp_path / "part"))
        next(steps)
        assert len(os.listdir(tmp_path)) == 4
        steps.close()
    assert os.listdir(tmp_path) == ["m.gguf"]


def test_deleting_shards_leaves_the_rest(tmp_path):
    paths = split_all(write_model(tmp_path / "m.gguf"), tmp_path / "part", max_tensors=3)
    with open_for_merge(str(paths[0])) as reader:
        assert delete_shards(reader) == paths
    assert os.listdir(tmp_path) == ["m.gguf"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(GGUFError, match=r"nowhere.*cannot write"):
        split_all(write_model(tmp_path / "m.gguf"), tmp_path / "nowhere" / "part")
