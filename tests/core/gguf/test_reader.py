"""What a reader offers beyond the bytes: views, laziness, release, closing, memory without a map."""

from __future__ import annotations

import mmap
import time

import numpy as np
import pytest

import llamakit
from llamakit.core.gguf.file import GGUFFile
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.types import GGMLType, ValueType
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.errors import GGUFError


@pytest.fixture
def path(pieces, tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(pieces.small_model())
    return path


def test_the_public_names_are_these_classes():
    assert (llamakit.GGUFReader, llamakit.GGUFWriter, llamakit.GGUFError) == (GGUFReader, GGUFWriter, GGUFError)


@pytest.mark.parametrize("use_mmap", [True, False])
def test_tensors_are_read_only_arrays_with_or_without_a_map(use_mmap, path):
    with GGUFReader(path, use_mmap=use_mmap) as reader:
        one, two = reader.tensors
        assert (one.shape, one.data.shape, one.data.dtype) == ((8, 2), (2, 8), np.dtype("f4"))
        assert (two.type, two.shape, two.data.shape) == (GGMLType.Q8_0, (32, 2), (2, 34))
        assert one.data.sum() == sum(range(16)) and bytes(two.data) == bytes(range(68))
        with pytest.raises(ValueError, match="read-only"):
            one.data[0] = 1


def test_mapped_data_is_not_copied(path):
    tensor = GGUFReader(path).tensor("two")
    assert np.shares_memory(tensor.data, tensor.data)
    assert not np.shares_memory(*(GGUFReader(path, use_mmap=False).tensor("two").data for _ in range(2)))


def test_an_array_outlives_its_reader_but_a_closed_reader_gives_no_more(path):
    reader = GGUFReader(path)
    array, tensor = reader.tensor("one").data, reader.tensor("one")
    reader.close()
    del reader
    assert array[1, 7] == 15
    with pytest.raises(ValueError, match="is closed"):
        _ = tensor.data


def test_releasing_a_tensor_leaves_its_values(path):
    with GGUFReader(path) as reader:
        array = reader.tensor("one").data
        reader.release(reader.tensor("one"))
        assert array.sum() == sum(range(16))


def test_release_drops_the_pages_of_a_large_tensor(tmp_path):
    path, n = tmp_path / "large.gguf", 4 << 20
    with GGUFWriter(path) as writer:
        writer.add_tensor("w", np.ones(n, np.float32))
    with GGUFReader(path) as reader:
        assert reader.tensor("w").data.sum() == n
        before = resident_bytes()
        reader.release(reader.tensor("w"))
        assert before - resident_bytes() > 3 * n


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * mmap.PAGESIZE


def test_a_tensor_is_found_by_its_name(path):
    with GGUFReader(path) as reader:
        assert "one" in reader and "three" not in reader
        assert reader.tensor("two") is reader.tensors[1]
        with pytest.raises(KeyError):
            reader.tensor("three")


def test_metadata_is_a_mapping_whose_lists_are_decoded_once(path):
    metadata = GGUFReader(path).metadata
    assert list(metadata)[:2] == ["general.architecture", "a.u8"] and len(metadata) == 11
    assert metadata["tokens"] is metadata["tokens"]
    assert metadata.get("absent") is None and "absent" not in metadata


def test_an_entry_knows_its_types_and_its_place(pieces, path):
    metadata = GGUFReader(path).metadata
    field = metadata.field("tokens")
    assert field.types == (ValueType.ARRAY, ValueType.STRING) and field.n_values == 3
    assert pieces.small_model()[field.offset : field.offset + 14] == pieces.text(b"tokens")
    assert pieces.small_model()[field.value_offset : field.end] == metadata.raw("tokens")


@pytest.mark.parametrize("key", ["tokens", "nested", "a.u8"])
def test_only_an_array_of_numbers_is_given_as_numpy(key, path):
    metadata = GGUFReader(path).metadata
    assert metadata.array("types").tolist() == [1, -2, 3]
    with pytest.raises(TypeError, match=key):
        metadata.array(key)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_large_vocabulary_opens_and_decodes_fast(version, pieces, tmp_path):
    make = type(pieces)(version=version)
    words = [b"%06d" % i * (1 + i % 3) for i in range(1000)]
    tokens = b"".join(map(make.text, words)) * 262
    merges = b"".join(make.text(word + b" " + word) for word in words) * 512
    path = tmp_path / "vocab.gguf"
    fields = (
        make.field(b"tokens", 9, make.array(8, 262_000, tokens)),
        make.field(b"merges", 9, make.array(8, 512_000, merges)),
        make.field(b"types", 9, make.array(5, 262_000, bytes(4 * 262_000))),
    )
    path.write_bytes(make.file(fields))
    started = time.process_time()
    reader = GGUFReader(path)
    opened = time.process_time()
    texts = reader.metadata["tokens"]
    decoded = time.process_time()
    assert texts == [word.decode() for word in words] * 262
    assert reader.metadata.array("types").shape == (262_000,)
    assert opened - started < 0.6 and decoded - opened < 0.6  # a quarter of it on a quiet machine


def test_one_file_of_a_split_can_be_opened_alone(tmp_path):
    path = tmp_path / "m-00002-of-00002.gguf"
    with GGUFWriter(path) as writer:
        writer.add("split.no", 1, ValueType.UINT16)
        writer.add("split.count", 2, ValueType.UINT16)
    with GGUFFile(path) as file:
        assert file.metadata["split.no"] == 1
    with pytest.raises(GGUFError, match="m-00001-of-00002"):
        GGUFReader(path)
