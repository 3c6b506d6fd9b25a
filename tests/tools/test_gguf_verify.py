"""`llamakit gguf verify`, library side: every kind of damage is found, with its place (fault 34)."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from llamakit.core.gguf.file import GGUFFile
from llamakit.core.gguf.types import BLOCK_SIZES, GGMLType, ValueType
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.core.quants import dequantize
from llamakit.errors import GGUFError
from llamakit.tools.gguf_verify import blocks
from llamakit.tools.gguf_verify.finding import Finding, Level
from llamakit.tools.gguf_verify.run import verify
from tests.tiny import Tiny, write_tiny

T, N_BLOCKS = GGMLType, 12
HALF = {"nan": 0x7E01, "-nan": 0xFC01, "inf": 0x7C00, "-inf": 0xFC00, "subnormal": 0x0001, "negative": 0xBC00}
BRAIN = {"nan": 0x7FC0, "inf": 0x7F80, "-inf": 0xFF80}
SINGLE = {"nan": 0x7FC00000, "inf": 0x7F800000, "-inf": 0xFF800000, "subnormal": 1, "negative": 0xBF800000}
DOUBLE = {"nan": 0x7FF << 52 | 1, "inf": 0x7FF << 52, "-inf": 0xFFF << 52}


@dataclass(frozen=True)
class Place:
    """A number in the blocks of a type: where, how wide, and what it looks like when it is bad."""

    type: GGMLType
    offset: int
    bits: dict[str, int]
    width: int = 2
    is_signed: bool = False


PLACES = [
    Place(T.F16, 0, HALF),
    Place(T.BF16, 0, BRAIN),
    Place(T.F32, 0, SINGLE, 4),
    Place(T.F64, 0, DOUBLE, 8),
    *(Place(t, 0, HALF, is_signed=True) for t in (T.Q4_0, T.Q5_0, T.IQ4_NL, T.IQ4_XS)),
    *(Place(t, 0, HALF) for t in (T.Q4_1, T.Q5_1, T.Q8_0, T.Q8_1, T.Q4_K, T.Q5_K, T.Q1_0, T.Q2_0)),
    *(Place(t, 0, HALF) for t in (T.IQ1_S, T.IQ2_XXS, T.IQ2_XS, T.IQ2_S, T.IQ3_XXS, T.IQ3_S)),
    *(Place(t, 2, HALF, is_signed=True) for t in (T.Q4_1, T.Q5_1, T.Q8_1)),
    *(Place(t, 2, HALF) for t in (T.Q4_K, T.Q5_K)),
    Place(T.Q2_K, 80, HALF),
    Place(T.Q2_K, 82, HALF),
    Place(T.Q3_K, 108, HALF, is_signed=True),
    Place(T.Q6_K, 208, HALF, is_signed=True),
    Place(T.Q8_K, 0, SINGLE, 4, is_signed=True),
    Place(T.TQ1_0, 52, HALF),
    Place(T.TQ2_0, 64, HALF),
    Place(T.MXFP4, 0, {"nan": 0xFF}, 1),
    *(Place(T.NVFP4, i, {"nan": 0x7F, "-nan": 0xFF, "negative": 0xB8}, 1) for i in range(4)),
]
CASES = [(place, name) for place in PLACES for name in place.bits]
PLAIN = {T.F16, T.BF16, T.F32, T.F64}
NAMES = [f"{place.type.name}-{place.offset}-{name}" for place, name in CASES]


def sound_blocks(type_: GGMLType, byte_order: str = "little") -> np.ndarray:
    """Blocks of zero bytes, their floats 1.0: uint8 [N_BLOCKS, block_bytes]."""
    data = np.zeros((N_BLOCKS, BLOCK_SIZES[type_].n_bytes), np.uint8)
    ones = {2: 0x3C00, 4: 0x3F800000, 8: 0x3FF << 52, 1: 0x38}
    for place in PLACES:
        if place.type is type_:
            number = np.frombuffer(ones[place.width].to_bytes(place.width, byte_order), np.uint8)
            data[:, place.offset : place.offset + place.width] = number
    if type_ is T.IQ1_M:
        put_iq1_m(data, slice(None), 0x3C00, byte_order)
    return data


def put_iq1_m(data: np.ndarray, block: object, bits: int, byte_order: str) -> None:
    """The half's nibbles, lowest first, go to the tops of four words."""
    high = 1 if byte_order == "little" else 0
    for i in range(4):
        data[block, 48 + 2 * i + high] = (bits >> 4 * i & 15) << 4


def write(path: Path, type_: GGMLType, data: np.ndarray, byte_order: str = "little") -> Path:
    """A file whose second tensor has these blocks as they are to lie in it."""
    with GGUFWriter(path, byte_order=byte_order) as writer:
        writer.add("general.type", "imatrix")  # what follows is no model
        writer.add("general.quantization_version", 2)
        writer.add_tensor("first", np.ones(8, np.float32))
        writer.declare_tensor("second", (len(data) * BLOCK_SIZES[type_].n_values,), type_)
        writer.write_tensor("first", np.ones(8, np.float32))
        plain = np.zeros(data.size, np.uint8)
        if type_ in PLAIN - {T.BF16}:
            writer.write_tensor("second", plain.view(f"f{BLOCK_SIZES[type_].n_bytes}"))
        else:
            writer.write_tensor("second", plain)
    with GGUFFile(path) as file:
        offset = file.tensors[1].offset
    raw = bytearray(path.read_bytes())
    raw[offset : offset + data.size] = data.tobytes()
    path.write_bytes(raw)
    return path


def found(path: Path) -> list[Finding]:
    return list(verify(path))


@pytest.mark.parametrize("byte_order", ["little", "big"])
@pytest.mark.parametrize("place, name", CASES, ids=NAMES)
def test_fault_34_a_bad_scale_is_found_with_its_tensor_block_and_byte(place, name, byte_order, tmp_path):
    data = sound_blocks(place.type, byte_order)
    path = write(tmp_path / "sound.gguf", place.type, data, byte_order) if byte_order == "little" else None
    assert path is None or found(path) == []
    bad = np.frombuffer(place.bits[name].to_bytes(place.width, byte_order), np.uint8)
    for block in (5, 9):
        data[block, place.offset : place.offset + place.width] = bad
    path = write(tmp_path / "bad.gguf", place.type, data, byte_order)
    level = {"negative": Level.WARNING, "subnormal": Level.NOTE}.get(name, Level.ERROR)
    if level is not Level.ERROR and (place.type in PLAIN or (name == "negative" and place.is_signed)):
        assert found(path) == []
        return
    (finding,) = found(path)
    assert (finding.level, finding.tensor, finding.type) == (level, "second", place.type.name)
    assert (finding.block, finding.n_blocks, finding.blocks) == (5, 2, (5, 9))
    with GGUFFile(path) as file:
        start = file.tensors[1].offset
    assert finding.offset == start + 5 * BLOCK_SIZES[place.type].n_bytes + place.offset


@pytest.mark.parametrize("byte_order", ["little", "big"])
@pytest.mark.parametrize("bits, level", [(0x7E01, Level.ERROR), (0xFC00, Level.ERROR), (0x8400, Level.WARNING)])
def test_fault_34_the_scattered_scale_of_iq1_m_too(bits, level, byte_order, tmp_path):
    data = sound_blocks(T.IQ1_M, byte_order)
    put_iq1_m(data, 7, bits, byte_order)
    (finding,) = found(write(tmp_path / "bad.gguf", T.IQ1_M, data, byte_order))
    assert (finding.level, finding.block, finding.tensor) == (level, 7, "second")


NO_WEIGHTS = [  # ggml makes numbers of a MXFP4 or NVFP4 scale that is none, and stores no Q8_1 and Q8_K
    (place, name)
    for place, name in CASES
    if name.lstrip("-") in ("nan", "inf") and place.type not in {T.MXFP4, T.NVFP4, T.Q8_1, T.Q8_K} | PLAIN
]


@pytest.mark.parametrize("place, name", NO_WEIGHTS)
def test_what_is_told_as_no_number_makes_weights_that_are_none(place, name):
    """The other way round: the oracle is `dequantize`."""
    data = sound_blocks(place.type) | 1  # a zero for a weight would hide an infinite scale
    bad = place.bits[name].to_bytes(place.width, "little")
    data[5, place.offset : place.offset + place.width] = np.frombuffer(bad, np.uint8)
    floats = dequantize(data, place.type)
    assert not np.isfinite(floats[5]).all()
    assert np.isfinite(np.delete(floats, 5, axis=0)).all()


def test_every_type_but_whole_numbers_has_a_case():
    integers = {T.I8, T.I16, T.I32, T.I64}
    assert {place.type for place in PLACES} | {T.IQ1_M} | integers == set(T)


@pytest.mark.parametrize("type_", [T.I8, T.I16, T.I32, T.I64])
def test_whole_numbers_may_be_any(type_, tmp_path):
    dtype = f"i{BLOCK_SIZES[type_].n_bytes}"
    with GGUFWriter(tmp_path / "m.gguf") as writer:
        writer.add("general.architecture", "other")
        writer.add_tensor("t", np.full(9, -1, dtype))
    assert {finding.level for finding in found(tmp_path / "m.gguf")} == {Level.NOTE}


def test_blocks_are_counted_across_the_pieces_of_a_tensor(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "PIECE", 3 * 18)
    data = np.repeat(sound_blocks(T.Q4_0), 3, axis=0)
    data[4:, 1] = 0x7E
    (finding,) = found(write(tmp_path / "m.gguf", T.Q4_0, data))
    assert (finding.block, finding.n_blocks, finding.blocks) == (4, 32, tuple(range(4, 20)))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "tiny.gguf", Tiny())


def test_a_sound_model_has_no_finding_and_progress_ends_at_its_bytes(model):
    steps: list[tuple[int, int]] = []
    assert list(verify(model, lambda done, total: steps.append((done, total)))) == []
    assert steps[-1][0] == steps[-1][1] > 0


VOCABULARY = {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "default",
    "tokenizer.ggml.tokens": ["a", "b", "ab", "c"],
    "tokenizer.ggml.token_type": [1, 1, 1, 3],
    "tokenizer.ggml.merges": ["a b"],
    "tokenizer.ggml.eos_token_id": 3,
}


@pytest.mark.parametrize(
    "changes, level, key, words",
    [
        ({}, None, "", ""),
        ({"general.architecture": None}, "error", "general.architecture", "is missing"),
        ({"general.name": 3}, "error", "general.name", "must be a text, not 3"),
        ({"general.tags": "chat"}, "error", "general.tags", "list of texts"),
        ({"general.file_type": "Q4_0"}, "error", "general.file_type", "whole number"),
        ({"general.name": "x\udcff"}, "warning", "general.name", "UTF-8"),
        ({"llama.some.number": float("nan")}, "error", "llama.some.number", "not a finite number"),
        ({"llama.some.numbers": [1.0, float("inf")]}, "error", "llama.some.numbers", "not a finite number"),
        ({"llama.block_count": 3}, "error", None, "blk.2.attn_norm.weight is missing"),
        ({"llama.attention.head_count": 0}, "error", None, "llama.attention.head_count is 0"),
        ({"llama.embedding_length": None}, "error", None, "llama.embedding_length"),
        ({"tokenizer.ggml.token_type": [1, 1]}, "error", "tokenizer.ggml.tokens", "has 2 entries for 4 tokens"),
        ({"tokenizer.ggml.token_type": [1, 1, 1, 9]}, "error", "tokenizer.ggml.tokens", "outside 0..6"),
        ({"tokenizer.ggml.scores": [0.5]}, "error", "tokenizer.ggml.tokens", "has 1 entries for 4 tokens"),
        ({"tokenizer.ggml.eos_token_id": 4}, "error", "tokenizer.ggml.tokens", "eos_token_id is 4"),
        ({"tokenizer.ggml.merges": ["ab"]}, "error", "tokenizer.ggml.tokens", "not two parts"),
        ({"tokenizer.ggml.merges": ["a x"]}, "warning", "tokenizer.ggml.merges", "1 merges .* 'a x'"),
        ({"tokenizer.ggml.merges": ["b a"]}, "warning", "tokenizer.ggml.merges", "1 merges .* 'b a'"),
        ({"tokenizer.ggml.tokens": ["a", "b", "ab", "a"]}, "warning", "tokenizer.ggml.tokens", "1 tokens have"),
        ({"tokenizer.ggml.model": None}, "error", "tokenizer.ggml.model", "must name the kind"),
        (
            {"llamakit.golden.texts": ["ab"], "llamakit.golden.counts": [1], "llamakit.golden.ids": [1]},
            "error",
            "llamakit.golden.texts",
            r"'ab' has the ids \[2\] here, \[1\] in the model's",
        ),
        ({"tokenizer.ggml.model": "morse"}, "note", "tokenizer.ggml.model", "'morse' is not known here"),
        ({"tokenizer.ggml.tokens": [f"t{i}" for i in range(68)]}, "error", "tokenizer.ggml.tokens", ".*"),
        ({"general.architecture": "martian"}, "note", "general.architecture", "'martian' is not known here"),
    ],
)
def test_metadata_that_cannot_be_right_is_named(changes, level, key, words, tmp_path):
    model = write_tiny(tmp_path / "m.gguf", Tiny(metadata=VOCABULARY | changes))
    findings = found(model)
    if level is None:
        assert findings == []
        return
    (finding,) = findings
    assert (finding.level.value, finding.key) == (level, key)
    assert re.search(words, finding.message)


def test_more_tokens_than_the_table_has_rows_are_an_error(tmp_path):
    tokens = ["a", "b", "ab", *map(str, range(65))]
    changes = {"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": [1] * 68}
    (finding,) = found(write_tiny(tmp_path / "m.gguf", Tiny(metadata=VOCABULARY | changes)))
    assert "68 tokens, but token_embd.weight has only 67 rows" in finding.message


def test_a_vocabulary_alone_is_sound(tmp_path):
    with GGUFWriter(tmp_path / "m.gguf") as writer:
        for key, value in ({"general.architecture": "llama", "llama.block_count": 32} | VOCABULARY).items():
            writer.add(key, value)
    assert found(tmp_path / "m.gguf") == []


@pytest.mark.parametrize(
    "template, words",
    [
        ("{% for m in messages %}{% generation %}{{ m }}{% endgeneration %}{% break %}{% endfor %}", None),
        ("{% for m in messages %}", "no Jinja template: line 1: "),
        ("{{ x ", "no Jinja template"),
        (["{{ x }}"], "must be a text"),
        ("{{ " + "(" * 5000, "nested too deep|no Jinja template"),
    ],
)
def test_a_chat_template_that_cannot_be_read_is_a_warning(template, words, tmp_path):
    model = write_tiny(tmp_path / "m.gguf", Tiny(metadata=VOCABULARY | {"tokenizer.chat_template": template}))
    if words is None:
        assert found(model) == []
        return
    (finding,) = found(model)
    assert (finding.level, finding.key) == (Level.WARNING, "tokenizer.chat_template")
    assert re.search(words, finding.message)


def test_quantized_tensors_want_a_quantization_version(tmp_path):
    (finding,) = found(write_tiny(tmp_path / "m.gguf", Tiny(type="q4_0")))
    assert (finding.level, finding.key) == (Level.WARNING, "general.quantization_version")


def test_padding_that_is_not_zero_is_told_with_its_byte(tmp_path):
    path = tmp_path / "m.gguf"
    with GGUFWriter(path) as writer:
        writer.add("general.type", "imatrix")
        writer.add_tensor("a", np.ones(3, np.float32))
        writer.add_tensor("b", np.ones(3, np.float32))
    raw = bytearray(path.read_bytes())
    for at in (-18, -50):  # in the last padding and in the one before
        raw[at] = 7
    path.write_bytes(raw)
    assert [(finding.level, finding.offset) for finding in found(path)] == [
        (Level.WARNING, len(raw) - 50),
        (Level.WARNING, len(raw) - 18),
    ]


def test_bytes_behind_the_last_tensor_are_a_warning(model):
    model.write_bytes(model.read_bytes() + b"appended")
    assert [(finding.level, "8 bytes follow" in finding.message) for finding in found(model)] == [(Level.WARNING, True)]


@pytest.mark.parametrize("size", [0, 3, 30, 2000, -1])
def test_a_file_cut_short_is_one_error_with_a_byte(size, model):
    raw = model.read_bytes()
    model.write_bytes(raw[:size] if size >= 0 else raw[:-40])
    (finding,) = found(model)
    assert finding.level is Level.ERROR
    assert finding.offset is not None
    assert str(model) not in finding.message


def test_fault_38_a_file_cut_short_meanwhile_is_a_finding(tmp_path):
    path = tmp_path / "m.gguf"
    with GGUFWriter(path) as writer:
        writer.add("general.architecture", "other")
        writer.add_tensor("a", np.ones(8, np.float32))
        writer.add_tensor("b", np.ones(1 << 16, np.float32))
    findings = verify(path, lambda done, total: os.truncate(path, 4096))  # after the first tensor
    assert "became shorter" in next(finding for finding in findings if finding.level is Level.ERROR).message


def test_a_missing_shard_is_named_and_the_one_given_gone_through_all_the_same(tmp_path):
    shard = tmp_path / "m-00002-of-00002.gguf"
    with GGUFWriter(shard) as writer:
        writer.add("split.no", 1, ValueType.UINT16)
        writer.add("split.count", 2, ValueType.UINT16)
        writer.add_tensor("t", np.array([1, np.nan], np.float32))
    lost, bad = found(shard)
    assert "m-00001-of-00002.gguf" in lost.message
    assert (lost.level, bad.level, bad.tensor, bad.block) == (Level.ERROR, Level.ERROR, "t", 1)


def test_a_path_that_cannot_be_opened_is_no_finding(tmp_path):
    with pytest.raises(GGUFError, match="no such file"):
        found(tmp_path / "nowhere.gguf")
    with pytest.raises(GGUFError, match="a directory"):
        found(tmp_path)


def test_a_finding_is_one_printable_line_and_plain_data():
    finding = Finding(Level.ERROR, Path("m.gguf"), "is\nNaN", 80, tensor="t\x1b", type="Q4_0", block=3, n_blocks=2)
    assert str(finding) == r"error: tensor t\x1b (Q4_0), block 3 and 1 more, byte 80: is\nNaN"
    assert finding.as_json()["level"] == "error"
    assert "key" not in finding.as_json()


def test_fault_32_whatever_bits_flip_there_are_findings_and_no_crash(tmp_path):
    tiny = Tiny(metadata=VOCABULARY | {"tokenizer.chat_template": "{{ x }}"}, n_layer=1, n_embd=16, n_head=2, n_ff=16)
    raw, path = write_tiny(tmp_path / "m.gguf", tiny).read_bytes(), tmp_path / "flipped.gguf"
    with GGUFFile(tmp_path / "m.gguf") as file:
        n_header = file.data_offset
    rng, n_found = np.random.default_rng(0), 0
    for _ in range(300):
        flipped = bytearray(raw)
        for at in rng.integers(0, n_header, rng.integers(1, 4)):
            flipped[at] ^= 1 << rng.integers(0, 8)
        path.write_bytes(flipped)
        findings = found(path)
        assert all(str(finding).isprintable() and json.dumps(finding.as_json()) for finding in findings)
        n_found += bool(findings)
    assert n_found > 200
