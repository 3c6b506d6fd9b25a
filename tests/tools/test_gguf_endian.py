"""`llamakit gguf convert-endian`, library side: every type, there and back."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from llamakit.core.gguf.file import GGUFFile
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.types import BLOCK_SIZES, GGMLType, ValueType
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.errors import UsageError
from llamakit.tools.gguf_endian import convert, parse_order
from tests.kills import kill_at_each_step

OTHER = {"little": "big", "big": "little"}


def write(path: Path, byte_order: str) -> Path:
    """A tensor of each type and a value of each kind."""
    rng = np.random.default_rng(0)
    with GGUFWriter(path, byte_order=byte_order, alignment=64) as writer:
        writer.add("general.architecture", "other")
        for type_ in ValueType:
            if type_ is ValueType.STRING:
                writer.add("STRING", ["", "é"])
            elif type_ is not ValueType.ARRAY:
                writer.add(type_.name, type_ is ValueType.BOOL or 65, type_)
                writer.add(f"[{type_.name}]", [type_ is ValueType.BOOL or 65] * 3, element_type=type_)
        writer.add("nested", [[1, 2], [3]])
        for type_ in GGMLType:
            writer.declare_tensor(type_.name, (2 * BLOCK_SIZES[type_].n_values, 3), type_)
        for type_ in GGMLType:
            raw = rng.integers(0, 256, 6 * BLOCK_SIZES[type_].n_bytes, np.uint8)
            writer.write_part(type_.name, 0, raw.data)
    return path


def turned(path: Path, output: Path) -> Path:
    with GGUFFile(path) as file:
        for _ in convert(file, OTHER[file.byte_order], output):
            pass
    return output


@pytest.mark.parametrize("byte_order", ["little", "big"])
def test_every_type_goes_there_and_back_to_the_same_bytes(byte_order, tmp_path):
    model = write(tmp_path / "m.gguf", byte_order)
    other = turned(model, tmp_path / "other.gguf")
    assert turned(other, tmp_path / "back.gguf").read_bytes() == model.read_bytes()


@pytest.mark.parametrize("byte_order", ["little", "big"])
def test_the_turned_file_says_the_same(byte_order, tmp_path):
    model = GGUFReader(write(tmp_path / "m.gguf", byte_order))
    other = GGUFReader(turned(model.path, tmp_path / "other.gguf"), strict=True)
    assert other.byte_order == OTHER[byte_order]
    assert (other.alignment, dict(other.metadata)) == (model.alignment, dict(model.metadata))
    for tensor in model.tensors:
        theirs = other.tensor(tensor.name)
        assert (theirs.type, theirs.shape, theirs.offset) == (tensor.type, tensor.shape, tensor.offset)
        got, wanted = theirs.data, tensor.data
        native = [array.astype(array.dtype.newbyteorder("=")) for array in (got, wanted)]
        assert native[0].tobytes() == native[1].tobytes(), tensor.name  # NaN equals itself


def test_a_file_may_be_turned_where_it_lies(tmp_path):
    model = write(tmp_path / "m.gguf", "little")
    wanted = turned(model, tmp_path / "other.gguf").read_bytes()
    assert turned(model, model).read_bytes() == wanted
    assert sorted(os.listdir(tmp_path)) == ["m.gguf", "other.gguf"]


def test_what_was_not_finished_leaves_the_file_as_it_was(tmp_path):
    model = write(tmp_path / "m.gguf", "little")
    before = model.read_bytes()
    with GGUFFile(model) as file:
        steps = convert(file, "big", model)
        next(steps)
        steps.close()
    assert (model.read_bytes(), os.listdir(tmp_path)) == (before, ["m.gguf"])


CONVERT = """
from llamakit.core.gguf.file import GGUFFile
from llamakit.tools.gguf_endian import convert

def work(step):
    with GGUFFile(f"{step}.gguf") as file:
        list(convert(file, "big", f"{step}.gguf"))
"""


def test_fault_51_killed_at_any_step_the_file_is_the_old_or_the_new_one(tmp_path):
    with GGUFWriter(tmp_path / "old.gguf") as writer:
        writer.add("general.architecture", "other")
        writer.add_tensor("a", np.ones(8, np.float32))
        writer.add_tensor("b", np.ones((2, 18), np.uint8), GGMLType.Q4_0)
    old = (tmp_path / "old.gguf").read_bytes()
    new = turned(tmp_path / "old.gguf", tmp_path / "new.gguf").read_bytes()
    for step in range(20):
        (tmp_path / f"{step}.gguf").write_bytes(old)
    n_steps = kill_at_each_step(CONVERT, tmp_path)
    assert 5 < n_steps < 20
    for step in range(n_steps):
        assert (tmp_path / f"{step}.gguf").read_bytes() in (old, new)
        (tmp_path / f"{step}.gguf").write_bytes(old)
        assert turned(tmp_path / f"{step}.gguf", tmp_path / f"{step}.gguf").read_bytes() == new
        assert not (tmp_path / f"{step}.gguf.partial").exists()
    assert (tmp_path / f"{n_steps}.gguf").read_bytes() == new


def test_orders_have_names():
    assert (parse_order("big"), parse_order("little"), parse_order("native")) == ("big", "little", sys.byteorder)
    with pytest.raises(UsageError, match="'middle' is no byte order"):
        parse_order("middle")
