"""`llamakit gguf dump`, library side: gguf-dump's JSON, and one line a key or tensor."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.types import GGMLType, ValueType
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.tools.inspect import as_json, brief, metadata_rows, tensor_rows


@pytest.fixture(params=["little", "big"])
def reader(request, tmp_path):
    path = tmp_path / "model.gguf"
    with GGUFWriter(path, byte_order=request.param) as writer:
        writer.add("general.architecture", "llama")
        writer.add("llama.block_count", 2)
        writer.add("llama.eps", 1e-5)
        writer.add("llama.yes", True)
        writer.add("tokens", [f"t{i}" for i in range(10)])
        writer.add("types", [1, -2])
        writer.add_tensor("a", np.zeros((3, 4), np.float32))
        writer.add_tensor("b", np.zeros((2, 68), np.uint8), GGMLType.Q8_0)
    with GGUFReader(path) as reader:
        yield reader


@pytest.mark.parametrize("flags", [[], ["--json-array"], ["--no-tensors"]])
def test_the_json_is_that_of_gguf_dump(flags, reader):
    command = [sys.executable, "-m", "gguf.scripts.gguf_dump", "--json", *flags, reader.path]
    wanted = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    got = as_json(reader, tensors="--no-tensors" not in flags, arrays="--json-array" in flags)
    assert json.loads(json.dumps(got)) == wanted
    assert list(got["metadata"]) == list(wanted["metadata"])


def test_a_split_lists_the_tensors_of_all_shards(tmp_path):
    for i in range(2):
        with GGUFWriter(tmp_path / f"m-0000{i + 1}-of-00002.gguf") as writer:
            writer.add("split.no", i, ValueType.UINT16)
            writer.add("split.count", 2, ValueType.UINT16)
            writer.add_tensor(f"t{i}", np.zeros(8, np.float32))
    with GGUFReader(tmp_path / "m-00002-of-00002.gguf") as reader:
        listed = as_json(reader)
    assert {name: tensor["index"] for name, tensor in listed["tensors"].items()} == {"t0": 0, "t1": 1}
    assert listed["metadata"]["GGUF.tensor_count"]["value"] == 1


def test_rows_name_types_values_and_shapes(reader):
    rows = {key: (kind, value) for kind, key, value in metadata_rows(reader)}
    assert rows["llama.block_count"] == ("uint32", "2")
    assert rows["llama.yes"] == ("bool", "true")
    assert rows["types"] == ("[int32]", "[1, -2]")
    assert rows["tokens"] == ("[string]", "[t0, t1, t2, t3, t4, t5, ... 10 in all]")
    assert tensor_rows(reader) == [("a", "4 x 3", "F32", "48"), ("b", "64 x 2", "Q8_0", "136")]


@pytest.mark.parametrize(
    "value, shown",
    [("a\nb\x1b", "a\\nb\\x1b"), ("x" * 61, "x" * 57 + "..."), ("\udcff", "\\udcff"), (0.5, "0.5"), ([], "[]")],
)
def test_a_value_is_shown_on_one_printable_line(value, shown):
    assert brief(value) == shown
    assert brief(value).isprintable()
