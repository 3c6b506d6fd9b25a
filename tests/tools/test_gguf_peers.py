"""What llama-gguf-split and llama-gguf-hash of 2026 made of one file, to the byte."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from llamakit.core.gguf.file import GGUFFile
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.types import GGMLType
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.tools.gguf_hash.hashes import hash_file
from llamakit.tools.gguf_split import plan, split


@pytest.fixture
def model(tmp_path: Path) -> Path:
    with GGUFWriter(tmp_path / "fixed.gguf") as writer:
        writer.add("general.architecture", "llama")
        writer.add("split.comment", "é")
        writer.add("tokens", ["a", "", "b"])
        for i, size in enumerate((100, 8, 300, 7)):
            writer.add_tensor(f"t{i}", np.arange(size, dtype=np.float32))
        blocks = np.arange(3 * 144, dtype=np.uint16).astype(np.uint8).reshape(3, 144)
        writer.add_tensor("q", blocks, GGMLType.Q4_K)
    return tmp_path / "fixed.gguf"


@pytest.mark.parametrize(
    "limits, digests",
    [
        ({"max_tensors": 2}, ["2b2e166bfe6816e6", "2532f8f4d3fc645c", "bbfb47cc6915b69c"]),
        ({"max_bytes": 10**6}, ["23942382b523188b"]),
        (
            {"max_tensors": 3, "has_tensors_first": False},
            ["75122d58a63116dd", "f8d23cc081fad31e", "5c9ef28c5cecb2ae"],
        ),
    ],
)
def test_shards_are_llama_gguf_splits(limits, digests, model, tmp_path):
    with GGUFReader(model) as reader:
        for _ in split(reader, plan(reader, **limits), str(tmp_path / "part")):
            pass
    made = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(tmp_path.glob("part-*"))]
    assert [digest[:16] for digest in made] == digests


HASHES = """
xxh64     cff6c333cc6a5e44  fixed.gguf:t0
sha1      913283ec8502ba1423d38a7ea62cb8e492e87b23  fixed.gguf:t0
xxh64     a627e270d7209670  fixed.gguf:t1
sha1      a00dc06e2530ee9f9d0babf934c6ce4e590b5a0c  fixed.gguf:t1
xxh64     a22a424d4b937308  fixed.gguf:t2
sha1      61c7d94ffed9bb99b8a7b787e8c54c1676fb4b4e  fixed.gguf:t2
xxh64     00df1cc9aa33a006  fixed.gguf:t3
sha1      03f5c8dfe8953b4705e15fe92d9be8aa9872aa3b  fixed.gguf:t3
xxh64     b163fe5b5352dbeb  fixed.gguf:q
sha1      055a0c549e6f648794cc65bddc08cfefffccdf9b  fixed.gguf:q
xxh64     1c1bef58ef1a8c1f  fixed.gguf
sha1      b1b4f858684b38f014f75207e6897049e6d35399  fixed.gguf
uuid      d2eaf387-3540-5005-83e6-6b0fdcc4a2de  fixed.gguf
"""


def test_hashes_are_llama_gguf_hashs(model):
    with GGUFFile(model) as file:
        made = hash_file(file, "fixed.gguf", ["uuid", "sha1", "xxh64"])
        assert "\n".join(map(str, made)) == HASHES.strip()
