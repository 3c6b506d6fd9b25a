"""What the writer infers, and what it refuses."""

from __future__ import annotations

import gc
import os

import numpy as np
import pytest

from llamakit.core.gguf.output import write_file
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.types import GGMLType, ValueType
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.errors import GGUFError

T = ValueType


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out.gguf"


@pytest.mark.parametrize(
    "value, types",
    [
        (True, (T.BOOL,)),
        (0, (T.UINT32,)),
        (-1, (T.INT32,)),
        (1 << 32, (T.INT64,)),
        ((1 << 64) - 1, (T.UINT64,)),
        (0.5, (T.FLOAT32,)),
        ("text", (T.STRING,)),
        ("not \udcff UTF-8", (T.STRING,)),
        (np.uint16(7), (T.UINT16,)),
        (np.float64(0.1), (T.FLOAT64,)),
        ([1, -2], (T.ARRAY, T.INT32)),
        ([1, 1 << 31], (T.ARRAY, T.INT64)),
        ([1 << 31, 1 << 31], (T.ARRAY, T.UINT32)),
        ([1, 0.5], (T.ARRAY, T.FLOAT32)),
        ([True, False], (T.ARRAY, T.BOOL)),
        (("a", ""), (T.ARRAY, T.STRING)),
        ([[1], [2, 3], []], (T.ARRAY, T.ARRAY, T.INT32)),
        ([[["a"]]], (T.ARRAY, T.ARRAY, T.ARRAY, T.STRING)),
        (np.arange(3, dtype=np.int8), (T.ARRAY, T.INT8)),
        (np.ones((2, 2), np.float64), (T.ARRAY, T.ARRAY, T.FLOAT64)),
    ],
)
@pytest.mark.parametrize("byte_order", ["little", "big"])
def test_types_are_inferred_and_values_come_back(value, types, byte_order, path):
    with GGUFWriter(path, byte_order=byte_order) as writer:
        writer.add("key", value)
    metadata = GGUFReader(path, strict=True).metadata
    assert metadata.field("key").types == types
    got = metadata["key"]
    assert got == (value.tolist() if isinstance(value, np.ndarray) else list(value) if types[0] is T.ARRAY else value)


@pytest.mark.parametrize("element_type", [type_ for type_ in T if type_ is not T.ARRAY])
def test_an_empty_list_takes_its_element_type(element_type, path):
    with GGUFWriter(path) as writer:
        writer.add("key", [], T.ARRAY, element_type)
    assert GGUFReader(path).metadata["key"] == []
    assert GGUFReader(path).metadata.field("key").types == (T.ARRAY, element_type)


@pytest.mark.parametrize(
    "key, value, type_, element_type, words",
    [
        ("key", [], None, None, "element_type"),
        ("key", [1, "a"], None, None, "mixes int and str"),
        ("key", [1, [2]], None, None, "mixes lists"),
        ("key", [True, 1], None, None, "mixes bool and int"),
        ("key", None, None, None, "NoneType has no GGUF type"),
        ("key", b"raw", None, None, "bytes has no GGUF type"),
        ("key", 1 << 64, None, None, "64 bits"),
        ("key", 256, T.UINT8, None, "does not fit UINT8"),
        ("key", -1, T.UINT32, None, "does not fit UINT32"),
        ("key", 0.5, T.INT32, None, "does not fit INT32"),
        ("key", 1, T.BOOL, None, "does not fit BOOL"),
        ("key", True, T.INT32, None, "does not fit INT32"),
        ("key", 1e300, T.FLOAT32, None, "does not fit FLOAT32"),
        ("key", 1, T.STRING, None, "not a string"),
        ("key", "a", T.ARRAY, None, "not a list"),
        ("key", [1], T.INT32, None, "does not fit INT32"),
        ("key", [300], None, T.UINT8, "does not fit UINT8"),
        ("key", np.zeros(2, complex), None, None, "complex128"),
        ("", 1, None, None, "empty"),
        ("a\nb", 1, None, None, "printed"),
        ("x" * 65_536, 1, None, None, "at most 65535"),
        ("general.alignment", 13, None, None, "power of two"),
        ("general.alignment", 64, T.INT32, None, "UINT32"),
    ],
)
def test_a_key_or_value_that_cannot_be_is_refused(key, value, type_, element_type, words, path):
    with pytest.raises(GGUFError, match=words), GGUFWriter(path) as writer:
        writer.add(key, value, type_, element_type)
    assert os.listdir(path.parent) == []


def test_arrays_nested_too_deep_or_into_themselves_are_refused(path):
    loop: list = []
    loop.append(loop)
    with pytest.raises(GGUFError, match="nested deeper"), GGUFWriter(path) as writer:
        writer.add("key", loop)


def test_a_key_or_tensor_is_added_once(path):
    with pytest.raises(GGUFError, match="'key': it was added already"), GGUFWriter(path) as writer:
        writer.add("key", 1)
        writer.add("key", 2)
    with pytest.raises(GGUFError, match="'w': it is declared already"), GGUFWriter(path) as writer:
        writer.declare_tensor("w", (8,), GGMLType.F32)
        writer.declare_tensor("w", (8,), GGMLType.F32)


@pytest.mark.parametrize(
    "name, array, type_, words",
    [
        ("w", np.zeros((2, 2), complex), None, "needs its GGML type"),
        ("w", np.zeros((2, 34), np.uint8), None, "needs its GGML type"),
        ("w", np.zeros((2, 35), np.uint8), GGMLType.Q8_0, "no whole Q8_0 blocks"),
        ("w", np.float32(1).reshape(()), None, "0 dimensions"),
        ("w", np.zeros((1,) * 5, np.float32), None, "5 dimensions"),
        ("w", np.zeros((0, 2), np.float32), None, "zero or negative"),
        ("w", np.zeros(8, np.float64), GGMLType.F32, "wants an array of f4"),
        ("", np.zeros(8, np.float32), None, "empty"),
        ("x" * 64, np.zeros(8, np.float32), None, "at most 63"),
        ("../w", np.zeros(8, np.float32), None, "climbs"),
    ],
)
def test_a_tensor_that_cannot_be_is_refused(name, array, type_, words, path):
    with pytest.raises(GGUFError, match=words), GGUFWriter(path) as writer:
        writer.add_tensor(name, array, type_)
    assert os.listdir(path.parent) == []


def test_an_array_of_another_shape_is_refused(path):
    with pytest.raises(GGUFError, match=r"\(2, 4\), not of float32 \(4, 2\)"), GGUFWriter(path) as writer:
        writer.declare_tensor("w", (4, 2), GGMLType.F32)
        writer.write_tensor("w", np.zeros((4, 2), np.float32))


def test_a_tensor_without_data_or_declaration_is_refused(path):
    with pytest.raises(GGUFError, match="'b'"), GGUFWriter(path) as writer:
        writer.add_tensor("a", np.zeros(8, np.float32))
        writer.declare_tensor("b", (8,), GGMLType.F32)
    with pytest.raises(GGUFError, match="'c' was not declared"), GGUFWriter(path) as writer:
        writer.write_tensor("c", np.zeros(8, np.float32))


def test_nothing_is_added_once_data_is_written(path):
    with pytest.raises(GGUFError, match="header is written"), GGUFWriter(path) as writer:
        writer.declare_tensor("a", (8,), GGMLType.F32)
        writer.write_tensor("a", np.zeros(8, np.float32))
        writer.add("key", 1)


def test_streamed_tensors_may_come_in_any_order_and_layout(path):
    a, b = np.arange(12, dtype=np.float32).reshape(3, 4), np.arange(6, dtype=np.int16)
    with GGUFWriter(path) as writer:
        writer.declare_tensor("a", (4, 3), GGMLType.F32)
        writer.declare_tensor("b", (6,), GGMLType.I16)
        writer.write_tensor("b", b.astype(">i2"))
        writer.write_tensor("a", np.asfortranarray(a))
    reader = GGUFReader(path, strict=True)
    np.testing.assert_array_equal(reader.tensor("a").data, a)
    np.testing.assert_array_equal(reader.tensor("b").data, b)


@pytest.mark.parametrize("by_key", [True, False])
def test_an_alignment_is_written_and_obeyed(by_key, path):
    with GGUFWriter(path, alignment=32 if by_key else 128) as writer:
        if by_key:
            writer.add("general.alignment", 128)
        writer.add("other", 1)
        writer.add_tensor("a", np.ones(3, np.float32))
        writer.add_tensor("b", np.ones(3, np.float32))
    reader = GGUFReader(path, strict=True)
    assert reader.alignment == reader.metadata["general.alignment"] == 128
    assert [tensor.offset % 128 for tensor in reader.tensors] == [0, 0]


def test_metadata_is_copied_without_the_keys_left_out(pieces, tmp_path, path):
    source = tmp_path / "source.gguf"
    source.write_bytes(type(pieces)(version=1).small_model())
    with GGUFWriter(path, byte_order="big") as writer:
        writer.copy_metadata(GGUFReader(source).metadata, skip=("a.u8", "nested"))
        writer.add("a.u8", 9)
    wanted = {**GGUFReader(source).metadata, "a.u8": 9}
    del wanted["nested"]
    assert dict(GGUFReader(path).metadata) == wanted


def test_inner_arrays_of_different_types_do_not_change_their_byte_order(pieces, tmp_path, path):
    source = tmp_path / "source.gguf"
    source.write_bytes(pieces.small_model())  # its nested array holds UINT8 and STRING arrays
    with pytest.raises(GGUFError, match="'nested'"), GGUFWriter(path, byte_order="big") as writer:
        writer.copy_metadata(GGUFReader(source).metadata)


def test_a_symbolic_link_stays_and_the_file_behind_it_is_replaced(tmp_path, path):
    path.write_bytes(b"old")
    link = tmp_path / "link.gguf"
    link.symlink_to(path)
    with GGUFWriter(link) as writer:
        writer.add("key", 1)
    assert link.is_symlink() and GGUFReader(path).metadata["key"] == 1


def test_a_file_may_be_rewritten_while_it_is_read(path):
    with GGUFWriter(path) as writer:
        writer.add_tensor("w", np.arange(8, dtype=np.float32))
    with GGUFReader(path) as reader, GGUFWriter(path) as writer:
        writer.add("new", 1)
        writer.copy_tensor(reader.tensor("w"))
    assert GGUFReader(path).tensor("w").data.tolist() == [*range(8)]


def test_a_tensor_may_be_written_in_parts_in_any_order(path):
    values = np.arange(64, dtype=np.float32)
    with GGUFWriter(path) as writer:
        writer.declare_tensor("t", (32, 2), GGMLType.F32)
        writer.write_part("t", 100, values.view(np.uint8)[100:].data)
        writer.write_part("t", 0, values.view(np.uint8)[:100].data)
    np.testing.assert_array_equal(GGUFReader(path).tensor("t").data.reshape(-1), values)


@pytest.mark.parametrize("n_bytes, message", [(127, "have no data"), (129, "has 128 bytes, not 129")])
def test_parts_must_make_up_the_tensor(path, n_bytes, message):
    with pytest.raises(GGUFError, match=message), GGUFWriter(path) as writer:
        writer.declare_tensor("t", (32,), GGMLType.F32)
        writer.write_part("t", 0, memoryview(bytes(n_bytes)))
    assert not path.exists()


def test_a_file_is_written_whole(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"longer than the new one")
    write_file(path, memoryview(np.array([1, 2], "<u2")))
    assert path.read_bytes() == b"\1\0\2\0"
    assert [*tmp_path.iterdir()] == [path]


def test_a_writer_that_is_forgotten_gives_its_name_free(path):
    path.write_bytes(b"old")
    writer = GGUFWriter(path)
    with pytest.raises(GGUFError, match="another process is writing it, or another writer of this one"):
        GGUFWriter(path)
    del writer
    gc.collect()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    with GGUFWriter(path) as writer:
        writer.add("key", 1)
    del writer
    gc.collect()
    assert GGUFReader(path).metadata["key"] == 1


def test_lists_are_tensors_and_what_is_no_numbers_is_refused(path):
    with GGUFWriter(path) as writer:
        writer.add_tensor("list", [[1.0, 2.0], [3.0, 4.0]])
        for wrong in ("text", [[1], [2, 3]], None):
            with pytest.raises(GGUFError, match="tensor 'wrong'"):
                writer.add_tensor("wrong", wrong)
    assert GGUFReader(path).tensor("list").data.tolist() == [[1.0, 2.0], [3.0, 4.0]]
