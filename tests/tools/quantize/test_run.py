"""The new file holds the packed rows of the old one's tensors, whatever the pieces and threads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.types import GGMLType, ValueType
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.core.quants import quantize
from llamakit.errors import GGUFError
from llamakit.tools.gguf_split import plan as plan_split
from llamakit.tools.gguf_split import split
from llamakit.tools.imatrix_file import Imatrix, ImatrixEntry
from llamakit.tools.quantize import pieces
from llamakit.tools.quantize.file_types import parse_file_type
from llamakit.tools.quantize.plan import Options, make_plan
from llamakit.tools.quantize.run import carry_out
from tests.tools.quantize.model import quantized, types_of, weights, write_model

Q = "blk.0.attn_q.weight"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_model(tmp_path / "in.gguf")


def data_of(path: Path) -> dict[str, bytes]:
    with GGUFReader(path) as reader:
        return {tensor.name: tensor.raw.tobytes() for tensor in reader.tensors}


@pytest.mark.parametrize("dtype", ["f4", "f2", "bf16"])
@pytest.mark.parametrize("byte_order", ["little", "big"])
def test_every_tensor_is_packed_as_the_quantizer_packs_it(dtype: str, byte_order: str, tmp_path: Path) -> None:
    path = write_model(tmp_path / "in.gguf", dtype=dtype, byte_order=byte_order)  # type: ignore[arg-type]
    quantized(path, tmp_path / "out.gguf", "Q4_K_M", output_type=GGMLType.F16)
    with GGUFReader(tmp_path / "out.gguf", strict=True) as reader:
        assert {tensor.type.name for tensor in reader.tensors} == {"F32", "F16", "Q4_K", "Q6_K"}
        for tensor in reader.tensors:
            floats = weights()[tensor.name]
            if floats.ndim > 1:
                floats = (floats.view(np.uint32) >> 16 << 16).view("f4") if dtype == "bf16" else floats.astype(dtype)
            np.testing.assert_array_equal(tensor.raw.reshape(-1), quantize(floats, tensor.type).reshape(-1))


def test_neither_pieces_nor_threads_change_a_byte(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantized(source, tmp_path / "one.gguf", "Q4_K_M", n_threads=1)
    monkeypatch.setattr(pieces, "PIECE", 1000)
    quantized(source, tmp_path / "three.gguf", "Q4_K_M", n_threads=3)
    assert (tmp_path / "one.gguf").read_bytes() == (tmp_path / "three.gguf").read_bytes()


def test_each_expert_has_its_own_importance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE", 600)
    name = "blk.0.ffn_up_exps.weight"
    values = weights({name: (256, 5, 3)})
    sums = np.random.default_rng(1).uniform(0.1, 9, (3, 256)).astype(np.float32)
    counts = np.array([4, 0, 2], np.float32)
    imatrix = Imatrix({name: ImatrixEntry(sums, counts)})
    quantized(write_model(tmp_path / "in.gguf", values, "f4"), tmp_path / "out.gguf", "Q4_0", imatrix=imatrix)
    want = [
        quantize(values[name][0], "q4_0", sums[0] / 4),
        quantize(values[name][1], "q4_0", np.ones(256, np.float32)),  # saw no input
        quantize(values[name][2], "q4_0", sums[2] / 2),
    ]
    assert data_of(tmp_path / "out.gguf")[name] == b"".join(part.tobytes() for part in want)


def test_metadata_is_the_sources_with_what_was_done_behind_it(source: Path, tmp_path: Path) -> None:
    entry = ImatrixEntry(np.ones((1, 256), np.float32), np.ones(1, np.float32))
    imatrix = Imatrix({Q: entry}, ("wiki.txt", "b.txt"), 7, 512)
    overrides = {"general.name": "new", "a.float": 0.5, "a.int": -3, "a.bool": True}
    quantized(source, tmp_path / "out.gguf", "Q8_0", imatrix=imatrix, imatrix_path="i.gguf", overrides=overrides)
    with GGUFReader(tmp_path / "out.gguf") as reader:
        assert dict(reader.metadata) == {
            "general.architecture": "llama",
            "llama.block_count": 2,
            "tokenizer.ggml.tokens": ["a", "b"],
            "general.quantization_version": 2,
            "general.file_type": 7,
            "general.name": "new",
            "a.float": 0.5,
            "a.int": 3,
            "a.bool": True,
            "quantize.imatrix.file": "i.gguf",
            "quantize.imatrix.dataset": "wiki.txt",
            "quantize.imatrix.entries_count": 1,
            "quantize.imatrix.chunks_count": 7,
        }
        assert [*reader.metadata][:3] == ["general.architecture", "llama.block_count", "tokenizer.ggml.tokens"]
        assert reader.metadata.field("quantize.imatrix.entries_count").types == (ValueType.UINT32,)


def test_copy_keeps_file_type_types_and_bytes(source: Path, tmp_path: Path) -> None:
    quantized(source, tmp_path / "out.gguf", "COPY")
    assert data_of(tmp_path / "out.gguf") == data_of(source)
    with GGUFReader(tmp_path / "out.gguf") as reader:
        assert reader.metadata["general.file_type"] == 1


def test_pruned_layers_are_gone_and_counted(source: Path, tmp_path: Path) -> None:
    quantized(source, tmp_path / "out.gguf", "COPY", prune_layers=frozenset({0}))
    old, new = data_of(source), data_of(tmp_path / "out.gguf")
    assert new.keys() == {name for name in old if not name.startswith("blk.1.")}
    assert new[Q] == old["blk.1.attn_q.weight"]
    with GGUFReader(tmp_path / "out.gguf") as reader:
        assert reader.metadata["llama.block_count"] == 1


def shards_of(source: Path, prefix: Path) -> Path:
    with GGUFReader(source) as reader:
        shards = plan_split(reader, max_tensors=4)
        for _ in split(reader, shards, str(prefix)):
            pass
    return Path(f"{prefix}-00001-of-{len(shards):05d}.gguf")


def test_a_split_source_becomes_one_file(source: Path, tmp_path: Path) -> None:
    quantized(source, tmp_path / "whole.gguf")
    quantized(shards_of(source, tmp_path / "m"), tmp_path / "out.gguf")
    assert (tmp_path / "out.gguf").read_bytes() == (tmp_path / "whole.gguf").read_bytes()


def test_kept_shards_hold_the_tensors_they_held(source: Path, tmp_path: Path) -> None:
    first = shards_of(source, tmp_path / "m")
    quantized(first, tmp_path / "q.gguf", keep_split=True)
    with GGUFReader(first) as old, GGUFReader(tmp_path / "q-00001-of-00003.gguf", strict=True) as new:
        assert [[t.name for t in f.tensors] for f in new.files] == [[t.name for t in f.tensors] for f in old.files]
        assert "general.name" in new.files[0].metadata and "general.name" not in new.files[1].metadata
        quantized(source, tmp_path / "whole.gguf")
        assert {tensor.name: tensor.raw.tobytes() for tensor in new.tensors} == data_of(tmp_path / "whole.gguf")


def test_a_file_that_is_no_split_stays_one_when_splits_are_kept(source: Path, tmp_path: Path) -> None:
    quantized(source, tmp_path / "q.gguf", keep_split=True)
    assert types_of(tmp_path / "q.gguf")[Q] == "Q4_0"


def test_what_is_quantized_can_be_quantized_further(source: Path, tmp_path: Path) -> None:
    quantized(source, tmp_path / "q8.gguf", "Q8_0")
    quantized(tmp_path / "q8.gguf", tmp_path / "q4.gguf", "Q4_0", allow_requantize=True)
    assert types_of(tmp_path / "q4.gguf")[Q] == "Q4_0"


def test_steps_tell_what_is_done(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE", 5000)
    with GGUFReader(source) as reader:
        plan = make_plan(reader, parse_file_type("Q4_0"), Options())
        steps = list(carry_out(plan, reader, tmp_path / "out.gguf"))
    assert sum(step.source_bytes for step in steps) == plan.source_bytes
    assert [step.tensor.name for step in steps if step.is_last] == [tensor.name for tensor in plan.tensors]
    assert len(steps) > len(plan.tensors)


def test_whoever_stops_asking_discards_the_file(source: Path, tmp_path: Path) -> None:
    with GGUFReader(source) as reader:
        steps = carry_out(make_plan(reader, parse_file_type("Q4_0"), Options()), reader, tmp_path / "out.gguf")
        next(steps)
        assert (tmp_path / "out.gguf.partial").exists()
        steps.close()  # type: ignore[attr-defined]
    assert [path.name for path in tmp_path.iterdir()] == ["in.gguf"]


@pytest.mark.parametrize("dtype", ["f4", "f2", "bf16"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_refused_by_name(dtype: str, value: float, tmp_path: Path) -> None:
    values = weights()
    values["blk.1.ffn_down.weight"][200, 17] = value
    source = write_model(tmp_path / "in.gguf", values, dtype)
    with pytest.raises(GGUFError, match=r"'blk.1.ffn_down.weight' holds NaN or infinity in row 200, column 17"):
        quantized(source, tmp_path / "out.gguf")
    assert [path.name for path in tmp_path.iterdir()] == ["in.gguf"]


@pytest.mark.parametrize("name", ["blk.1.attn_norm.weight", "blk.0.attn_q.weight"])
def test_what_is_only_copied_is_looked_at_too(name: str, tmp_path: Path) -> None:
    values = weights()
    values[name][..., 5] = np.nan
    with pytest.raises(GGUFError, match=f"'{name}' holds NaN or infinity in row 0, column 5"):
        quantized(write_model(tmp_path / "in.gguf", values), tmp_path / "out.gguf", "COPY")


def test_blocks_that_are_copied_must_have_sound_scales(tmp_path: Path) -> None:
    blocks = quantize(weights()[Q], "q8_0")
    blocks[3, 1] = 0x7C  # the upper byte of the first block's scale: infinity
    blocks[3, 0] = 0
    with GGUFWriter(tmp_path / "in.gguf") as writer:
        writer.add("general.architecture", "llama")
        writer.add_tensor(Q, blocks, GGMLType.Q8_0)
    with pytest.raises(GGUFError, match=f"'{Q}' holds NaN or infinity in a block"):
        quantized(tmp_path / "in.gguf", tmp_path / "out.gguf", "COPY")


def test_weights_too_large_for_the_types_scales_are_refused(tmp_path: Path) -> None:
    values = weights()
    values[Q][0, 0] = 1e30
    with pytest.raises(GGUFError, match=f"'{Q}' has weights too large for Q4_0"):
        quantized(write_model(tmp_path / "in.gguf", values, "f4"), tmp_path / "out.gguf")
