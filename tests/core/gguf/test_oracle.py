"""Our reader and writer against the gguf package: each reads what the other wrote, byte for byte the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest

from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.types import BLOCK_SIZES, PLAIN_DTYPES, GGMLType, ValueType
from llamakit.core.gguf.writer import GGUFWriter

SHARED = Path(__file__).parents[4] / "shared"
VOCABS = sorted((SHARED / "golden/vocabs").glob("*.gguf"))
SPECS = sorted((SHARED / "golden/archs").glob("*.json"))[::16]
needs_shared = pytest.mark.skipif(not VOCABS, reason="the shared golden files are not here")

SCALARS = {
    "UINT8": 200,
    "INT8": -100,
    "UINT16": 60_000,
    "INT16": -30_000,
    "UINT32": 4_000_000_000,
    "INT32": -2_000_000_000,
    "FLOAT32": 0.1,
    "BOOL": True,
    "STRING": "zwölf Boxkämpfer 🥊",
    "UINT64": (1 << 64) - 1,
    "INT64": -(1 << 63),
    "FLOAT64": 0.1,
}
SWAPPED_BY_GGUF = [GGMLType.BF16, GGMLType.Q4_0, GGMLType.Q8_0, GGMLType.Q4_K, GGMLType.Q6_K, GGMLType.MXFP4]
# gguf has no Q2_0 yet, and the float scales that Q8_1 had before they became halves.
KNOWN_TO_GGUF = [type_ for type_ in GGMLType if type_.name not in ("Q2_0", "Q8_1")]
ORDERS = {"little": gguf.GGUFEndian.LITTLE, "big": gguf.GGUFEndian.BIG}


def write_with_gguf(path: Path, order: str = "little", alignment: int | None = None) -> Path:
    """Every value type, alone, in an array and in an array of arrays; tensors of every type numpy knows."""
    writer = gguf.GGUFWriter(path, "llama", endianess=ORDERS[order])
    if alignment is not None:
        writer.add_custom_alignment(alignment)
    for name, value in SCALARS.items():
        type_ = gguf.GGUFValueType[name]
        writer.add_key_value(f"one.{name}", value, type_)
        writer.add_key_value(f"list.{name}", [value] * 3, gguf.GGUFValueType.ARRAY, type_)
    writer.add_key_value("nested.ints", [[1, 2], [3]], gguf.GGUFValueType.ARRAY)
    writer.add_key_value("nested.mixed", [[1], ["a", "b"], [[0.5], [1.5]]], gguf.GGUFValueType.ARRAY)
    rng = np.random.default_rng(0)
    for type_, dtype in PLAIN_DTYPES.items():
        writer.add_tensor(f"{type_.name}.weight", (rng.normal(size=(3, 5)) * 50).astype(dtype))
    blocks = rng.integers(0, 255, (2, 4, 3 * 18), np.uint8)
    writer.add_tensor("Q4_0.weight", blocks, raw_dtype=gguf.GGMLQuantizationType.Q4_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("alignment", [None, 64])
def test_every_value_and_tensor_type_reads_as_gguf_wrote_it(order, alignment, tmp_path):
    path = write_with_gguf(tmp_path / "theirs.gguf", order, alignment)
    theirs, ours = gguf.GGUFReader(path), GGUFReader(path, strict=True)
    assert (ours.byte_order, ours.alignment) == (order, alignment or 32)
    for name, value in SCALARS.items():
        stored = float(np.float32(value)) if name == "FLOAT32" else value
        assert ours.metadata[f"one.{name}"] == stored
        assert ours.metadata[f"list.{name}"] == [stored] * 3
        assert type(ours.metadata[f"one.{name}"]) is type(stored)
        assert ours.metadata.field(f"list.{name}").types == (ValueType.ARRAY, ValueType[name])
        if name != "STRING":
            array = ours.metadata.array(f"list.{name}")
            assert array.tolist() == [stored] * 3
            assert array.dtype.isnative
    assert ours.metadata["nested.ints"] == [[1, 2], [3]]
    assert ours.metadata["nested.mixed"] == [[1], ["a", "b"], [[0.5], [1.5]]]
    assert ours.metadata.field("nested.ints").types == (ValueType.ARRAY, ValueType.ARRAY, ValueType.INT32)
    assert_same_tensors(theirs, ours, blocks=order == "little")


def assert_same_tensors(theirs: gguf.GGUFReader, ours: GGUFReader, blocks: bool = True) -> None:
    for wanted, got in zip(theirs.tensors, ours.tensors, strict=True):
        assert (got.name, got.shape) == (wanted.name, tuple(wanted.shape.tolist()))
        assert got.type == wanted.tensor_type
        assert (got.offset, got.info_offset, got.n_bytes) == (wanted.data_offset, wanted.field.offset, wanted.n_bytes)
        assert got.n_values == wanted.n_elements
        assert not got.data.flags.writeable
        if blocks or got.type in PLAIN_DTYPES:
            assert got.data.dtype == wanted.data.dtype
            np.testing.assert_array_equal(got.data, wanted.data)


def rewrite(path: Path, out: Path, by: str) -> bytes:
    """Read a file with our reader and write it with our writer."""
    with (
        GGUFReader(path) as reader,
        GGUFWriter(out, alignment=reader.alignment, byte_order=reader.byte_order) as writer,
    ):
        if by == "copy":
            writer.copy_metadata(reader.metadata)
            for tensor in reader.tensors:
                writer.copy_tensor(tensor)
        else:
            for key, value in reader.metadata.items():
                types = reader.metadata.field(key).types
                writer.add(key, value, types[0], types[-1] if types[0] is ValueType.ARRAY else None)
            for tensor in reader.tensors:
                writer.declare_tensor(tensor.name, tensor.shape, tensor.type)
            for tensor in reversed(reader.tensors):
                writer.write_tensor(tensor.name, tensor.data)
    return out.read_bytes()


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("alignment", [None, 64])
def test_a_copy_of_a_file_of_gguf_is_byte_exact(order, alignment, tmp_path):
    path = write_with_gguf(tmp_path / "theirs.gguf", order, alignment)
    assert rewrite(path, tmp_path / "ours.gguf", "copy") == path.read_bytes()


@needs_shared
@pytest.mark.parametrize("path", VOCABS, ids=lambda path: path.stem)
@pytest.mark.parametrize("by", ["copy", "values"])
def test_a_vocabulary_rewritten_is_byte_exact(path, by, tmp_path):
    content = path.read_bytes()
    ours = rewrite(path, tmp_path / "ours.gguf", by)
    assert ours[: len(content)] == content
    assert not any(ours[len(content) :])  # these files were written without padding


@needs_shared
@pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.stem)
@pytest.mark.parametrize("by", ["copy", "values"])
def test_a_model_rewritten_is_byte_exact(spec, by, tmp_path):
    path = tmp_path / "theirs.gguf"
    subprocess.run([sys.executable, SHARED / "golden/make_arch_model.py", spec, path], check=True)
    assert rewrite(path, tmp_path / "ours.gguf", by) == path.read_bytes()
    assert_same_tensors(gguf.GGUFReader(path), GGUFReader(path, strict=True))


def test_gguf_reads_every_value_and_type_we_write(tmp_path):
    path, rng = tmp_path / "ours.gguf", np.random.default_rng(1)
    wanted = {}
    with GGUFWriter(path) as writer:
        for name, value in SCALARS.items():
            writer.add(f"one.{name}", value, ValueType[name])
            writer.add(f"list.{name}", [value, value], element_type=ValueType[name])
        for type_ in KNOWN_TO_GGUF:
            block = BLOCK_SIZES[type_]
            if type_ in PLAIN_DTYPES:
                wanted[type_.name] = (rng.normal(size=(2, 3, 4)) * 50).astype(PLAIN_DTYPES[type_])
                writer.add_tensor(type_.name, wanted[type_.name])
            else:
                wanted[type_.name] = rng.integers(0, 255, (2, 3, 2 * block.n_bytes), np.uint8)
                writer.add_tensor(type_.name, wanted[type_.name], type_)
    theirs = {field.name: field for field in gguf.GGUFReader(path).fields.values()}
    for name, value in SCALARS.items():
        stored = float(np.float32(value)) if name == "FLOAT32" else value
        assert theirs[f"one.{name}"].contents() == stored
        assert theirs[f"list.{name}"].contents() == [stored, stored]
        assert theirs[f"one.{name}"].types == [gguf.GGUFValueType[name]]
    for tensor in gguf.GGUFReader(path).tensors:
        np.testing.assert_array_equal(tensor.data, wanted[tensor.name])


def test_the_type_table_is_that_of_gguf():
    for type_ in KNOWN_TO_GGUF:
        theirs = gguf.GGMLQuantizationType[type_.name]
        assert (int(type_), BLOCK_SIZES[type_].n_values, BLOCK_SIZES[type_].n_bytes) == (
            theirs.value,
            *gguf.GGML_QUANT_SIZES[theirs],
        )
    assert {type_.name for type_ in gguf.GGMLQuantizationType} <= {type_.name for type_ in GGMLType}
    assert {type_.name: int(type_) for type_ in ValueType} == {t.name: t.value for t in gguf.GGUFValueType}


@pytest.mark.parametrize("way", [("little", "big"), ("big", "little")])
def test_a_change_of_byte_order_is_that_of_ggufs_script(way, tmp_path):
    source, theirs, ours = (tmp_path / name for name in ("source.gguf", "theirs.gguf", "ours.gguf"))
    rng = np.random.default_rng(2)
    blocks = {t: rng.integers(0, 255, (3, 2 * BLOCK_SIZES[t].n_bytes), np.uint8) for t in SWAPPED_BY_GGUF}
    with GGUFWriter(source, byte_order=way[0]) as writer:
        for name, value in SCALARS.items():
            writer.add(f"one.{name}", value, ValueType[name])
            writer.add(f"list.{name}", [value, value], element_type=ValueType[name])
        writer.add_tensor("F32", rng.normal(size=(2, 8)).astype("f4"))
        writer.add_tensor("F16", rng.normal(size=(2, 8)).astype("f2"))
        for type_, array in blocks.items():
            writer.add_tensor(type_.name, array, type_)
    for type_, array in blocks.items():  # little-endian blocks, whatever the file's order
        np.testing.assert_array_equal(GGUFReader(source).tensor(type_.name).data, array)

    theirs.write_bytes(source.read_bytes())
    command = [sys.executable, "-m", "gguf.scripts.gguf_convert_endian", theirs, way[1]]
    subprocess.run(command, input="YES\n", text=True, check=True, capture_output=True)
    with GGUFReader(source) as reader, GGUFWriter(ours, byte_order=way[1]) as writer:
        writer.copy_metadata(reader.metadata)
        for tensor in reader.tensors:
            writer.copy_tensor(tensor)
    assert ours.read_bytes() == theirs.read_bytes()
