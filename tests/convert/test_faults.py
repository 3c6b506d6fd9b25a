"""Damaged checkpoints: each is told in one line, none is half read, nothing of it is ever run."""

from __future__ import annotations

import io
import json
import pickle
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llamakit.cli.app import run
from llamakit.convert.checkpoint import INDEX, PICKLE_INDEX, Checkpoint, open_checkpoint
from llamakit.convert.plan import OUTPUT_TYPES, Source, make_plan, metadata
from llamakit.convert.run import Options, carry_out
from llamakit.convert.safetensors import read_safetensors
from llamakit.core.gguf.reader import GGUFReader
from llamakit.errors import LlamakitError, ModelError, UsageError, VocabError

from .folders import CONFIG, SPLIT, safetensors_bytes, tensors, tokenizer, with_header, write_folder

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "tiny")


def entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    "raw, words",
    [
        (b"", "too few"),
        (b"\xff" * 8, "header would have"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ((1 << 20).to_bytes(8, "little") + b"{}", "header would have"),
        ((0).to_bytes(8, "little") + b"{}", "header would have"),
        ((1).to_bytes(8, "little") + b"{}", "header would have"),
        (with_header(b"not JSON"), "no JSON object"),
        (with_header(b"[1, 2]"), "not an object"),
        (with_header(b'{"a": {}, "a": {}}'), "twice"),
        (with_header(b"[" * 100_000), "no JSON object"),
        (with_header(b'{"\xff": 1}'), "no JSON object"),
        (with_header(b'{"a": ' + b"1" * 5000 + b"}"), "no JSON object"),
    ],
)
def test_fault_44_headers_that_make_no_sense(raw: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(raw)
    with pytest.raises(ModelError, match=words) as caught:
        read_safetensors(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "header, n_data, words",
    [
        ({"a": entry(offsets=[8, 0])}, 8, "data offsets"),
        ({"a": entry(), "b": entry(offsets=[4, 12])}, 12, "overlaps"),
        ({"a": entry(), "b": entry(offsets=[12, 20])}, 20, "unused bytes"),
        ({"a": entry(offsets=[0, 8])}, 4, "cut short"),
        ({"a": entry(shape=[3])}, 8, "do not fit its shape"),
        ({"a": entry(shape=[-2])}, 8, "the shape"),
        ({"a": entry(shape=[2.0])}, 8, "the shape"),
        ({"a": entry(shape=[1 << 40, 1 << 40])}, 8, "do not fit its shape"),
        ({"a": entry(dtype="F5")}, 8, "unknown dtype"),
        ({"a": entry(dtype=None)}, 8, "unknown dtype"),
        ({"a": entry()}, 9, "follow the last tensor"),
        ({"a": 7}, 0, "described by a JSON int"),
    ],
)
def test_fault_45_offsets_and_shapes_that_disagree(header: Any, n_data: int, words: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(with_header(json.dumps(header).encode(), bytes(n_data)))
    with pytest.raises(ModelError, match=words):
        read_safetensors(path)


@pytest.mark.parametrize("file", ["../outside.safetensors", "/etc/passwd", "..", "", "a/b.safetensors"])
def test_fault_46_an_index_never_leads_out_of_its_folder(file: str, folder: Path) -> None:
    (folder.parent / "outside.safetensors").write_bytes(safetensors_bytes(tensors()))
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": file}}))
    with pytest.raises(ModelError, match="refused"):
        open_checkpoint(folder)


def test_fault_46_an_index_that_names_what_is_not_there(folder: Path) -> None:
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": "absent.safetensors"}}))
    with pytest.raises(ModelError, match=r"missing, the first is absent\.safetensors"):
        open_checkpoint(folder)
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": "model.safetensors"}}))
    with pytest.raises(ModelError, match="tensor 'a' is not in"):
        open_checkpoint(folder)


def test_fault_46_a_tensor_in_two_files(folder: Path) -> None:
    (folder / "model2.safetensors").write_bytes(safetensors_bytes({"model.norm.weight": np.zeros(32, np.float32)}))
    with pytest.raises(ModelError, match=r"'model\.norm\.weight' is in model\.safetensors too"):
        open_checkpoint(folder)


@pytest.mark.parametrize("name", ["model-00001-of-00002.safetensors", "pytorch_model-00001-of-00002.bin"])
def test_fault_46_a_set_without_its_index_must_be_whole(name: str, folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / name)
    with pytest.raises(ModelError, match=f"1 of 2 files are missing, the first is {name.replace('00001', '00002')}"):
        open_checkpoint(folder, allow_pickle=True)


class Evil:
    """Its pickle would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (str(self.path), "w")


def write_pickle(path: Path, payload: bytes, data: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", payload)
        for name, raw in data.items():
            archive.writestr(f"archive/data/{name}", raw)


def test_fault_47_pickles_are_refused_unless_asked_for_and_never_run(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    write_pickle(folder / "pytorch_model.bin", pickle.dumps(Evil(tmp_path / "made")), {})
    with pytest.raises(UsageError, match="--allow-pickle"):
        open_checkpoint(folder)
    with pytest.raises(ModelError, match=r"names .*open, which no checkpoint needs"):
        open_checkpoint(folder, allow_pickle=True)
    assert not (tmp_path / "made").exists()


class _Size(tuple[int, ...]):
    """Stands for torch.Size."""


class _TorchPickler(pickle._Pickler):  # type: ignore[misc,name-defined]
    """Writes arrays as torch.save does, without torch."""

    def save(self, obj: Any, save_persistent_id: bool = True) -> Any:
        if isinstance(obj, np.ndarray):
            self.write(b"ctorch._utils\n_rebuild_tensor_v2\n(")
            self.write(b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu")
            super().save((obj if obj.base is None else obj.base).size)
            self.write(b"tQ")
            super().save(0)
            super().save(obj.shape)
            super().save(tuple(s // 4 for s in obj.strides))
            self.write(b"\x89ccollections\nOrderedDict\n)RtR")
            return None
        if isinstance(obj, _Size):
            self.write(b"ctorch\nSize\n(")
            super().save(tuple(obj))
            self.write(b"tR")
            return None
        return super().save(obj, save_persistent_id)


@pytest.mark.parametrize(
    "state",
    [
        {"shape": (2.5,)}, {"shape": (-1,)}, {"first": -4}, {"storage": 7}, {"shape": 3}, {"shape": (2, 2)},
        {"strides": (-1,)}, {"strides": (1 << 40,)}, {"shape": (1 << 40,), "strides": (0,)},
    ],
)  # fmt: skip
def test_fault_47_fields_that_a_pickle_changes_afterwards_are_checked(state: dict[str, Any], folder: Path) -> None:
    array, out = np.zeros(4, np.float32), io.BytesIO()
    pickler = _TorchPickler(out, 2)
    pickler.write(b"}X\x01\x00\x00\x00a")
    pickler.save(array)
    pickler.save(state)
    pickler.write(b"bs.")  # BUILD: the tensor's fields are set; then it goes into the dictionary
    (folder / "model.safetensors").unlink()
    write_pickle(folder / "pytorch_model.bin", out.getvalue(), {"0": array.tobytes()})
    with pytest.raises(ModelError, match=r"pytorch_model\.bin"):
        open_checkpoint(folder, allow_pickle=True)


def pickled(folder: Path, value: Any, array: np.ndarray) -> Checkpoint:
    """A folder whose only file of tensors is a pickle of a value in which there is an array, or a view of it."""
    out = io.BytesIO()
    _TorchPickler(out, 2).dump(value)
    (folder / "model.safetensors").unlink()
    write_pickle(folder / "pytorch_model.bin", out.getvalue(), {"0": array.tobytes()})
    return open_checkpoint(folder, allow_pickle=True)


ARRAY = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.mark.parametrize("array", [ARRAY, ARRAY.T, ARRAY[:, :2], ARRAY[0], ARRAY[:, 0]])
def test_fault_47_tensors_of_a_pickle_are_read_on_request(array: np.ndarray, folder: Path) -> None:
    found = pickled(folder, {"a": array}, ARRAY)
    np.testing.assert_array_equal(found.weight("a").load(), array)
    found.tensors["a"].release()


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_fault_47_tensors_lie_beside_what_belongs_to_the_training(key: str, folder: Path) -> None:
    found = pickled(folder, {key: {"a": ARRAY, "size": _Size((3, 4))}, "epoch": 3}, ARRAY)
    assert list(found) == ["a"]


def test_fault_47_the_format_before_pytorch_1_6_is_told(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2))
    with pytest.raises(ModelError, match=r"pytorch_model\.bin: in the format of PyTorch before 1\.6"):
        open_checkpoint(folder, allow_pickle=True)


def test_fault_46_the_index_of_pickles_is_read(folder: Path) -> None:
    array, out = np.zeros(4, np.float32), io.BytesIO()
    _TorchPickler(out, 2).dump({"a": array})
    (folder / "model.safetensors").unlink()
    write_pickle(folder / "pytorch_model-1.bin", out.getvalue(), {"0": array.tobytes()})
    (folder / PICKLE_INDEX).write_text(json.dumps({"weight_map": {"a": "pytorch_model-1.bin"}}))
    assert list(open_checkpoint(folder, allow_pickle=True)) == ["a"]
    (folder / PICKLE_INDEX).write_text(json.dumps({"weight_map": {"a": "pytorch_model-1.bin", "b": "absent.bin"}}))
    with pytest.raises(ModelError, match=r"1 of 2 files are missing, the first is absent\.bin"):
        open_checkpoint(folder, allow_pickle=True)


@pytest.mark.parametrize(
    "config, words",
    [
        ("", "no JSON"),
        ("[]", "not an object"),
        ("null", "not an object"),
        ('{"architectures": ["LlamaForCausalLM"]}', "num_hidden_layers"),
        (json.dumps({**CONFIG, "hidden_size": "wide"}), "hidden_size is 'wide', not a whole number"),
        (json.dumps({**CONFIG, "num_hidden_layers": None}), "missing"),
        (json.dumps({**CONFIG, "rope_scaling": [1]}), "rope_scaling is"),
        (json.dumps({**CONFIG, "architectures": ["LlamaForCausalLN"]}), "nearest known are LlamaForCausalLM"),
        ("{}", "what model is it"),
        ('{"vocab_size": ' + "1" * 5000 + "}", "no JSON"),
        (json.dumps({**CONFIG, "num_hidden_layers": -1}), "num_hidden_layers is -1"),
        (json.dumps({**CONFIG, "num_hidden_layers": 10**9}), "no tensors of layer 2 of 1000000000"),
        (json.dumps({**CONFIG, "num_attention_heads": 0}), "num_attention_heads is 0"),
        (json.dumps({**CONFIG, "num_attention_heads": 7}), "cannot be converted"),
        (json.dumps({**CONFIG, "quantization_config": 5}), "quantization_config is 5, not an object"),
    ],
)
def test_fault_48_configs_that_make_no_sense(config: str, words: str, folder: Path) -> None:
    (folder / "config.json").write_text(config)
    if "LlamaForCausalLN" in config:
        (folder / "config.json").write_text(config.replace('"llama"', '"x"'))
    with pytest.raises(ModelError, match=words):
        metadata(Source.open(folder))


@pytest.mark.parametrize(
    "change, words",
    [
        ({"model": None}, "of the kind None"),
        ({"model": {"type": "Oracle"}}, "of the kind 'Oracle'"),
        ({"model": {"type": "BPE", "vocab": [1], "merges": []}}, "no object of texts and ids"),
        ({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["ab"]}}, "is not of two parts"),
        ({"added_tokens": [{"id": "x", "content": "y"}]}, "no id or no content"),
        ({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": 7}}, "merges is no list"),
        ({"normalizer": [1]}, "normalizer is a JSON list"),
        ({"normalizer": {"type": "Sequence", "normalizers": 3}}, "no list of objects"),
        ({"post_processor": {"type": "Sequence", "processors": [5]}}, "no list of objects"),
        (
            {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated", "invert": False}},
            "pre_tok",
        ),
    ],
)
def test_fault_48_tokenizers_that_make_no_sense(change: dict[str, Any], words: str, folder: Path) -> None:
    (folder / "tokenizer.json").write_text(json.dumps({**tokenizer(), **change}))
    with pytest.raises(VocabError, match=words):
        metadata(Source.open(folder))


def test_fault_48_a_tokenizer_that_its_library_panics_at_is_converted_without_golden_strings(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = {**tokenizer(), "normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}}
    (folder / "tokenizer.json").write_text(json.dumps(damaged))
    assert "llamakit.golden.texts" not in metadata(Source.open(folder))
    assert "no golden strings" in caplog.text


@pytest.mark.parametrize("n_vocab", [10**12, -3, 0])
def test_fault_48_vocabularies_of_sizes_that_no_model_has(n_vocab: int, folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({**CONFIG, "vocab_size": n_vocab}))
    with pytest.raises(VocabError, match=f"a vocabulary of {n_vocab} tokens"):
        metadata(Source.open(folder))


def test_fault_48_expressions_that_take_for_ever_give_up(folder: Path) -> None:
    regex = r"(\w+\s?)*\x00"
    rule = {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}
    (folder / "tokenizer.json").write_text(json.dumps({**tokenizer(), "pre_tokenizer": rule}))
    began = time.process_time()
    assert metadata(Source.open(folder))["llamakit.pre.regex"] == [regex]
    assert time.process_time() - began < 5


def test_fault_48_no_tokenizer_at_all(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    with pytest.raises(VocabError, match=r"no tokenizer\.model and no tokenizer\.json"):
        metadata(Source.open(folder))


def test_fault_48_an_unknown_pre_tokenizer_goes_into_the_file(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    split = {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated", "invert": False}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    whole = {"type": "Sequence", "pretokenizers": [split, byte_level]}
    (folder / "tokenizer.json").write_text(json.dumps({**tokenizer(), "pre_tokenizer": whole}))
    keys = metadata(Source.open(folder))
    assert keys["llamakit.pre.regex"] == [SPLIT]
    assert "rules of its own" in caplog.text


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_fault_49_nan_and_infinity_are_counted_and_refused_unless_allowed(
    bad: float, folder: Path, tmp_path: Path
) -> None:
    arrays = tensors()
    arrays["model.norm.weight"][3:5] = bad
    (folder / "model.safetensors").write_bytes(safetensors_bytes(arrays))
    source = Source.open(folder)
    plan = make_plan(source, metadata(source), OUTPUT_TYPES["f32"])
    with pytest.raises(ModelError, match=r"output_norm\.weight .* has 2 values that are NaN or infinite"):
        list(carry_out(plan, tmp_path / "out.gguf", Options()))
    assert not list(tmp_path.glob("out.gguf*"))
    options = Options(allow_non_finite=True)
    list(carry_out(plan, tmp_path / "out.gguf", options))
    assert options.non_finite == {"output_norm.weight": 2}


def test_fault_49_other_widths_are_counted_too(folder: Path, tmp_path: Path) -> None:
    for dtype, code, bits in (
        ("BF16", "<u2", 0x7FC0),
        ("F16", "<u2", 0x7C00),
        ("F64", "<f8", np.nan),
        ("F8_E4M3", "u1", 0x7F),
    ):
        arrays = {name: np.zeros(array.shape, code) for name, array in tensors().items()}
        arrays["model.norm.weight"][0] = bits
        (folder / "model.safetensors").write_bytes(safetensors_bytes(arrays, dtype))
        source = Source.open(folder)
        with pytest.raises(ModelError, match="has 1 values"):
            list(carry_out(make_plan(source, metadata(source), OUTPUT_TYPES["f32"]), tmp_path / "out.gguf", Options()))


def test_fault_49_what_f16_cannot_hold_is_counted_as_infinite(folder: Path, tmp_path: Path) -> None:
    arrays = tensors()
    arrays["lm_head.weight"][3, :3] = [7e4, -1e5, 65504]
    (folder / "model.safetensors").write_bytes(safetensors_bytes(arrays))
    source = Source.open(folder)
    with pytest.raises(ModelError, match=r"output\.weight .* has 2 values that are NaN or infinite in F16"):
        list(carry_out(make_plan(source, metadata(source), OUTPUT_TYPES["f16"]), tmp_path / "out.gguf", Options()))
    list(carry_out(make_plan(source, metadata(source), OUTPUT_TYPES["bf16"]), tmp_path / "out.gguf", Options()))


def test_fault_50_code_beside_a_checkpoint_is_never_imported(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    code = f"open({str(tmp_path / 'made')!r}, 'w')"
    for name in ("modeling_evil.py", "configuration_evil.py", "tokenization_evil.py"):
        (folder / name).write_text(code)
    evil = {"auto_map": {"AutoModelForCausalLM": "modeling_evil.Evil"}, "trust_remote_code": True}
    (folder / "config.json").write_text(json.dumps({**CONFIG, **evil}))
    assert run(["convert-hf", str(folder), "--outtype", "f32", "--outfile", str(tmp_path / "out.gguf")]) == 0
    assert not (tmp_path / "made").exists()
    with GGUFReader(tmp_path / "out.gguf") as reader:
        assert len(reader.tensors) == len(tensors())


def test_every_error_of_a_damaged_checkpoint_is_ours(folder: Path) -> None:
    """Bytes of the header turned over, one at a time: an error of ours, or a checkpoint that reads."""
    raw = bytearray((folder / "model.safetensors").read_bytes())
    n_header = int.from_bytes(raw[:8], "little")
    for i in range(0, 8 + n_header, 7):
        damaged = bytearray(raw)
        damaged[i] ^= 0x15
        (folder / "model.safetensors").write_bytes(damaged)
        try:
            Source.open(folder)
        except LlamakitError:
            continue
