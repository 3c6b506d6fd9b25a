"""`llamakit gguf set`, library side: typed changes, in place or in a copy, and nothing that breaks the model."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from llamakit.core.gguf.file import GGUFFile
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.types import ValueType
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.errors import GGUFError, UsageError
from llamakit.tools.gguf_set import tokenizer
from llamakit.tools.gguf_set.changes import Change, changed, parse_types, remove_key, set_key, set_text
from llamakit.tools.gguf_set.check import check_changes
from llamakit.tools.gguf_set.write import fits_in_place, write_copy, write_in_place
from tests.kills import kill_at_each_step
from tests.tiny import Tiny, write_tiny

T = ValueType
NUMBERS = {
    "UINT8": (7, "255", 255),
    "INT8": (-7, "-128", -128),
    "UINT16": (7, "0xffff", 65_535),
    "INT16": (-7, "12", 12),
    "UINT32": (7, "4000000000", 4_000_000_000),
    "INT32": (-7, "-1", -1),
    "UINT64": (7, "18446744073709551615", (1 << 64) - 1),
    "INT64": (-7, "-9223372036854775808", -(1 << 63)),
    "FLOAT32": (0.5, "-1e-3", float(np.float32(-1e-3))),
    "FLOAT64": (0.5, "0.1", 0.1),
    "BOOL": (True, "false", False),
}


def write(path: Path, byte_order: str = "little") -> Path:
    with GGUFWriter(path, byte_order=byte_order) as writer:
        writer.add("general.architecture", "other")
        for name, (value, _, _) in NUMBERS.items():
            writer.add(f"n.{name}", value, T[name])
        writer.add("text", "old")
        writer.add("list", [1, 2, 3])
        writer.add("texts", ["a", "b"])
        writer.add("nested", [[1], [2, 3]])
        writer.add("last", True)
        writer.add_tensor("a", np.arange(8, dtype=np.float32))
        writer.add_tensor("b", np.arange(3, dtype=np.float32))
    return path


@pytest.fixture(params=["little", "big"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write(tmp_path / "m.gguf", request.param)


def copy(model: Path, output: Path, *changes: Change) -> GGUFReader:
    with GGUFFile(model) as file:
        for _ in write_copy(file, changes, str(output)):
            pass
    return GGUFReader(output, strict=True)


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_is_changed_in_its_place_and_nothing_else_is(name, model):
    before, (_, text, value) = model.read_bytes(), NUMBERS[name]
    with GGUFFile(model) as file:
        change = set_key(file.metadata, f"n.{name}", text)
        field = file.metadata.field(f"n.{name}")
        assert fits_in_place(file, [change])
        write_in_place(file, change)
    after = model.read_bytes()
    assert GGUFReader(model, strict=True).metadata[f"n.{name}"] == value
    assert after[: field.value_offset] + after[field.end :] == before[: field.value_offset] + before[field.end :]


@pytest.mark.parametrize(
    "key, text, type_name, types, value",
    [
        ("text", "neu: ü\n", None, (T.STRING,), "neu: ü\n"),
        ("list", "[4, -5]", None, (T.ARRAY, T.INT32), [4, -5]),
        ("texts", '["x", "é", ""]', None, (T.ARRAY, T.STRING), ["x", "é", ""]),
        ("nested", "[[9], []]", None, (T.ARRAY, T.ARRAY, T.INT32), [[9], []]),
        ("text", "12", "u8", (T.UINT8,), 12),
        ("n.UINT32", "12", "str", (T.STRING,), "12"),
        ("new.one", "1.5", "FLOAT32", (T.FLOAT32,), 1.5),
        ("new.list", "[]", "[f32]", (T.ARRAY, T.FLOAT32), []),
        ("new.lists", '[["a"]]', "[[str]]", (T.ARRAY, T.ARRAY, T.STRING), [["a"]]),
        ("general.alignment", "128", "u32", (T.UINT32,), 128),
    ],
)
def test_all_else_goes_to_a_copy_with_the_keys_in_their_order(key, text, type_name, types, value, model, tmp_path):
    with GGUFFile(model) as file:
        change = set_key(file.metadata, key, text, type_name)
        assert not fits_in_place(file, [change])
        keys = list(file.metadata)
    copied, source = copy(model, tmp_path / "copy.gguf", change), GGUFReader(model)
    assert copied.metadata[key] == value
    assert copied.metadata.field(key).types == types
    assert list(copied.metadata) == (keys if key in keys else [*keys, key])
    assert {**copied.metadata, key: 0} == {**source.metadata, key: 0}
    assert copied.byte_order == source.byte_order
    for tensor in source.tensors:
        np.testing.assert_array_equal(copied.tensor(tensor.name).raw, tensor.raw)


def test_a_copy_without_changes_is_the_same_file(model, tmp_path):
    copy(model, tmp_path / "copy.gguf")
    assert (tmp_path / "copy.gguf").read_bytes() == model.read_bytes()


def test_keys_are_removed(model, tmp_path):
    with GGUFFile(model) as file:
        gone = [remove_key(file.metadata, key) for key in ("text", "nested")]
        left = [key for key in file.metadata if key not in ("text", "nested")]
    assert list(copy(model, tmp_path / "copy.gguf", *gone).metadata) == left


@pytest.mark.parametrize(
    "key, text, type_name, words",
    [
        ("n.UINT8", "256", None, "'256' is no uint8: .* does not fit UINT8"),
        ("n.UINT8", "-1", None, "does not fit UINT8"),
        ("n.UINT8", "1.5", None, "is no uint8"),
        ("n.INT32", "0x80000000", None, "does not fit INT32"),
        ("n.FLOAT32", "nan", None, "only finite"),
        ("n.FLOAT32", "1e39", None, "does not fit FLOAT32"),
        ("n.FLOAT64", "-inf", None, "only finite"),
        ("n.BOOL", "yes", None, "give true or false"),
        ("list", "7", None, "give a JSON array"),
        ("list", "[1, 2", None, r"is no \[int32\]"),
        ("list", '["a"]', None, r"is no \[int32\]"),
        ("texts", "[1]", None, "is not a string"),
        ("nested", "[1]", None, "is not an array"),
        ("txt", "x", None, "no key txt; did you mean text"),
        ("altogether.new", "x", None, "name a type with --type"),
        ("new", "x", "u128", "'u128' is no type"),
        ("new", "x", "array", "'array' is no type"),
        ("", "x", "str", "a metadata key is empty"),
        ("a\nb", "x", "str", "cannot be printed"),
        ("split.count", "2", "u16", "belongs to the files of a split"),
    ],
)
def test_a_value_or_a_key_that_cannot_be_is_refused(key, text, type_name, words, model):
    with GGUFFile(model) as file, pytest.raises(UsageError, match=words):
        set_key(file.metadata, key, text, type_name)


@pytest.mark.parametrize("key, words", [("txt", "did you mean text"), ("split.no", "belongs to")])
def test_only_keys_that_are_there_can_be_removed(key, words, model):
    with GGUFFile(model) as file, pytest.raises(UsageError, match=words):
        remove_key(file.metadata, key)


@pytest.mark.parametrize("name", ["u8", "I16", "uint64", "f64", "bool", "str", "STRING"])
def test_types_have_short_and_long_names(name):
    assert parse_types(f"[{name}]") == (T.ARRAY, *parse_types(name))


def test_a_change_to_what_is_there_is_none(model):
    with GGUFFile(model) as file:
        metadata = file.metadata
        assert not set_key(metadata, "text", "old").is_needed(metadata)
        assert set_key(metadata, "text", "new").is_needed(metadata)
        assert not set_key(metadata, "n.UINT8", "7").is_needed(metadata)
        assert set_key(metadata, "n.UINT8", "7", "u16").is_needed(metadata)
        assert set_text("new", "").is_needed(metadata)
        assert remove_key(metadata, "text").is_needed(metadata)
        assert not Change("new", None).is_needed(metadata)


def test_several_changes_or_a_number_across_two_sectors_are_no_matter_of_one_write(tmp_path):
    with GGUFWriter(tmp_path / "m.gguf") as writer:
        writer.add("fill", "x" * (512 - 24 - (8 + 4 + 4 + 8) - (8 + 4 + 4) - 2))  # the next value begins at byte 510
        writer.add("near", 1)
        writer.add("far", 1)
    with GGUFFile(tmp_path / "m.gguf") as file:
        assert file.metadata.field("near").value_offset == 510
        near, far = (set_key(file.metadata, key, "2") for key in ("near", "far"))
        assert not fits_in_place(file, [near])
        assert fits_in_place(file, [far])
        assert not fits_in_place(file, [far, far])


def test_a_file_that_changed_meanwhile_is_left_alone(model):
    with GGUFFile(model) as file:
        change = set_key(file.metadata, "n.UINT32", "9")
        with GGUFFile(model) as other:
            write_in_place(other, set_key(other.metadata, "n.UINT32", "8"))
        with pytest.raises(GGUFError, match="changed meanwhile"):
            write_in_place(file, change)
    assert GGUFReader(model).metadata["n.UINT32"] == 8


@pytest.mark.parametrize("link", [None, os.link, os.symlink])
def test_fault_53_a_copy_onto_the_file_itself_is_refused(link, model, tmp_path):
    output = model if link is None else tmp_path / "other.gguf"
    if link:
        link(model, output)
    before = model.read_bytes()
    with pytest.raises(UsageError, match="is the file itself"):
        copy(model, output, set_text("text", "new"))
    assert model.read_bytes() == before


SET = """
from llamakit.core.gguf.file import GGUFFile
from llamakit.tools.gguf_set.changes import set_key
from llamakit.tools.gguf_set.write import write_copy, write_in_place

def work(step):
    with GGUFFile(f"{step}.gguf") as file:
        change = set_key(file.metadata, "n.UINT32", "9")
        write_in_place(file, change) if WAY == "place" else list(write_copy(file, [change], f"{step}.out"))
"""


@pytest.mark.parametrize("way, most_steps", [("place", 2), ("copy", 20)])
def test_fault_51_killed_at_any_step_the_file_is_the_old_or_the_new_one(way, most_steps, tmp_path):
    old = write(tmp_path / "m.gguf").read_bytes()
    copy(tmp_path / "m.gguf", tmp_path / "new.gguf", Change("n.UINT32", (T.UINT32,), 9))
    new = (tmp_path / "new.gguf").read_bytes()
    for step in range(most_steps + 1):
        (tmp_path / f"{step}.gguf").write_bytes(old)
    n_steps = kill_at_each_step(f"WAY = {way!r}\n{SET}", tmp_path)
    assert 2 <= n_steps <= most_steps
    for step in range(n_steps + 1):
        content, output = (tmp_path / f"{step}.gguf").read_bytes(), tmp_path / f"{step}.out"
        assert content == old or (way == "place" and content == new)
        assert not output.exists() or output.read_bytes() == new
    assert ((tmp_path / f"{n_steps}.gguf") if way == "place" else output).read_bytes() == new


VOCABULARY = {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "default",
    "tokenizer.ggml.tokens": ["a", "b", "ab", "<end>", "a"],
    "tokenizer.ggml.token_type": [1, 1, 1, 3, 1],
    "tokenizer.ggml.merges": ["a b"],
    "tokenizer.ggml.eos_token_id": 3,
    "tokenizer.chat_template": "{{ old }}",
    "tokenizer.chat_template.tool": "{{ tool }}",
    "tokenizer.chat_templates": ["tool"],
}


@pytest.fixture
def chatty(tmp_path: Path) -> GGUFReader:
    return GGUFReader(write_tiny(tmp_path / "chatty.gguf", Tiny(metadata=VOCABULARY)))


@pytest.mark.parametrize(
    "role, key", [("bos", "bos"), ("pad", "padding"), ("sep", "seperator"), ("fim_pre", "fim_pre")]
)
def test_special_tokens_are_found_by_their_text(role, key, chatty):
    change, ids = tokenizer.special_token(chatty.metadata, role, "<end>")
    assert change == Change(f"tokenizer.ggml.{key}_token_id", (T.UINT32,), 3)
    assert ids == [3]


def test_of_tokens_with_one_text_the_first_is_taken_and_all_are_told(chatty):
    change, ids = tokenizer.special_token(chatty.metadata, "bos", "a")
    assert (change.value, ids) == (0, [0, 4])


@pytest.mark.parametrize(
    "role, token_id, words", [("bos", 5, "the ids 0..4"), ("bos", -1, "is no token"), ("x", 1, "'x'")]
)
def test_an_id_that_is_no_token_or_a_role_that_is_none_is_refused(role, token_id, words, chatty):
    with pytest.raises(UsageError, match=words):
        tokenizer.special_token_by_id(chatty.metadata, role, token_id)


def test_a_text_that_is_no_token_is_refused(chatty, model):
    with pytest.raises(UsageError, match="no token of the vocabulary is '<eos>'"):
        tokenizer.special_token(chatty.metadata, "eos", "<eos>")
    with GGUFFile(model) as file, pytest.raises(UsageError, match="has no vocabulary"):
        tokenizer.special_token(file.metadata, "eos", "a")


def test_a_new_chat_template_takes_the_place_of_all_old_ones(chatty):
    new = changed(chatty.metadata, list(tokenizer.template_changes(chatty.metadata, "{{ new }}")))
    assert {key: value for key, value in new.items() if "chat" in key} == {"tokenizer.chat_template": "{{ new }}"}


def test_named_chat_templates_become_keys_of_their_own(chatty):
    given = tokenizer.parse_template(
        '[{"name": "default", "template": "D"}, {"name": "rag-2", "template": "R"}, {"name": "tool", "template": "T"}]'
    )
    new = changed(chatty.metadata, list(tokenizer.template_changes(chatty.metadata, given)))
    assert {key: value for key, value in new.items() if "chat" in key} == {
        "tokenizer.chat_template": "D",
        "tokenizer.chat_template.rag_2": "R",
        "tokenizer.chat_template.tool": "T",
        "tokenizer.chat_templates": ["rag_2", "tool"],
    }


def test_a_template_that_begins_with_a_bracket_but_is_no_json_is_told(chatty):
    with pytest.raises(UsageError, match="not JSON"):
        tokenizer.parse_template("[INST]")
    with pytest.raises(UsageError, match="must hold"):
        list(tokenizer.template_changes(chatty.metadata, [{"name": "default"}]))


def test_a_config_gives_its_chat_template(tmp_path):
    path = tmp_path / "tokenizer_config.json"
    path.write_text('{"chat_template": "{{ x }}"}')
    assert tokenizer.template_of_config(str(path)) == "{{ x }}"
    path.write_text('{"chat_template": [{"name": "default", "template": "D"}]}')
    assert tokenizer.template_of_config(str(path)) == [{"name": "default", "template": "D"}]
    for text, words in (("{}", "holds no chat_template"), ("{", "not JSON"), ("[" * 10**5, "not JSON")):
        path.write_text(text)
        with pytest.raises(UsageError, match=words):
            tokenizer.template_of_config(str(path))
    with pytest.raises(UsageError, match="cannot read"):
        tokenizer.template_of_config(str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    "change, words",
    [
        (Change("general.architecture", None), "general.architecture: is missing"),
        (Change("llama.block_count", (T.UINT32,), 3), "blk.2.attn_norm.weight is missing"),
        (Change("llama.block_count", None), "llama.block_count is missing"),
        (Change("llama.attention.head_count", (T.UINT32,), 5), "head"),
        (Change("llama.rope.freq_base", (T.STRING,), "1"), "llama.rope.freq_base"),
        (Change("tokenizer.ggml.eos_token_id", (T.UINT32,), 5), "eos_token_id is 5"),
        (Change("tokenizer.ggml.tokens", (T.ARRAY, T.STRING), ["a"]), "tokens"),
        (Change("tokenizer.ggml.tokens", None), "tokens: is missing"),
        (Change("tokenizer.ggml.merges", None), "merges is absent"),
        (Change("general.name", (T.UINT32,), 1), "must be a text"),
    ],
)
def test_what_would_break_the_model_is_refused(change, words, chatty):
    with pytest.raises(UsageError, match=f"would be broken: .*{words}"):
        check_changes(chatty, [change])


def test_harmless_changes_pass_and_odd_ones_are_warned_of(chatty):
    assert check_changes(chatty, [set_text("general.name", "x"), Change("tokenizer.chat_templates", None)]) == []
    (warning,) = check_changes(chatty, [set_text("tokenizer.chat_template", "{% if x %}")])
    assert "no Jinja template" in warning.message


def test_what_was_broken_before_is_not_held_against_a_change(tmp_path):
    reader = GGUFReader(write_tiny(tmp_path / "m.gguf", Tiny(metadata=VOCABULARY | {"general.name": 9})))
    assert check_changes(reader, [set_text("general.url", "x")]) == []
    assert check_changes(reader, [set_text("general.name", "x")]) == []
