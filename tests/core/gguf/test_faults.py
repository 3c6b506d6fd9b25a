"""Headers that are wrong: the file format's part of the fault list; each test carries the number of its case."""

from __future__ import annotations

import time

import pytest

from llamakit.core.gguf.header import MAX_KEYS, MAX_STRINGS, MAX_TENSORS
from llamakit.core.gguf.types import REMOVED_TYPES

U64 = (1 << 64) - 1
STRING, ARRAY, U8, BOOL = 8, 9, 0, 7


def test_the_small_model_itself_is_accepted(pieces, opened):
    reader = opened(pieces.small_model(), strict=True)
    assert reader.metadata["nested"] == [[1, 2], ["x"]]
    assert reader.metadata["tokens"] == ["a", "", "é"]
    assert reader.tensor("one").data.tolist() == [[*range(8)], [*range(8, 16)]]


@pytest.mark.parametrize("n_bytes", range(24))
def test_fault_01_a_file_shorter_than_the_fixed_header_is_refused(n_bytes, pieces, refused):
    refused(pieces.small_model()[:n_bytes], "truncated header")


@pytest.mark.parametrize(
    "head, words",
    [
        (b"FUGG", "byte-swapped"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"PK\x03\x04", "zip"),
        (b"\x80\x02}q\x00", "pickle"),
        ((90).to_bytes(8, "little") + b'{"w": {"dtype":', "safetensors"),
        (b"tjgg\x03\x00\x00\x00", "ggjt"),
        (b"<!DOCTYPE html>", "web page"),
        (b'{"error": "gone"}', "JSON"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
        (b"\0" * 8, "zeros"),
        (b"\xa7\x31\x9c\x55", "not a known format"),
    ],
)
def test_fault_02_another_format_is_named(head, words, refused):
    refused(head + (b"\0" if words == "zeros" else b"x") * 64, f"not a GGUF file: it is .*{words}", offset=0)


@pytest.mark.parametrize("version", [0, 4, 0x10000, U64 >> 32])
@pytest.mark.parametrize("order", ["little", "big"])
def test_fault_03_an_unknown_version_is_refused(version, order, pieces, refused):
    refused(pieces.file(version=version.to_bytes(4, order)), "version .* not supported", offset=4)


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("mark, order", [("<", "little"), (">", "big")])
def test_fault_03_every_version_is_read_in_both_byte_orders(version, mark, order, pieces, opened):
    reader = opened(type(pieces)(mark, version).small_model())
    assert (reader.version, reader.byte_order) == (version, order)
    assert dict(reader.metadata) == dict(opened(pieces.small_model()).metadata)
    assert reader.tensor("one").data.tolist() == [[*range(8)], [*range(8, 16)]]


@pytest.mark.parametrize("n", [U64, 1 << 63, 10**9, 40])
def test_fault_04_a_huge_tensor_count_is_refused(n, pieces, refused):
    refused(pieces.file(n_tensors=n, data=bytes(1000)), f"{n} tensors do not fit", offset=8)


@pytest.mark.parametrize("n", [U64, 1 << 63, 10**9, 80])
def test_fault_05_a_huge_metadata_count_is_refused(n, pieces, refused):
    refused(pieces.file(n_fields=n, data=bytes(1000)), f"{n} metadata entries do not fit", offset=16)


@pytest.mark.parametrize("length, words", [(U64, "at most 65535"), (65_536, "at most 65535"), (60_000, "does not fit")])
def test_fault_06_a_key_longer_than_the_file_or_the_limit_is_refused(length, words, pieces, refused):
    refused(pieces.file((pieces.text(b"key", length) + bytes(100),)), words, offset=24)


@pytest.mark.parametrize(
    "key, words",
    [(b"", "empty"), (b"a\0b", "x00"), (b"a\nb", "printed"), (b"\xff\xfe", "UTF-8.*xff"), (b"a\x1b[2J", "printed")],
)
def test_fault_07_an_odd_key_is_refused_and_shown_escaped(key, words, pieces, refused):
    error = refused(pieces.file((pieces.field(key, U8, b"\1"),)), words, offset=24)
    assert str(error).isprintable()


@pytest.mark.parametrize("second_type, value", [(U8, b"\1"), (4, b"\1\0\0\0")])
def test_fault_08_a_duplicate_key_is_refused_with_both_places(second_type, value, pieces, refused):
    first = pieces.field(b"key", U8, b"\1")
    refused(pieces.file((first, pieces.field(b"key", second_type, value))), "at byte 24", offset=24 + len(first))


@pytest.mark.parametrize("length", [101, 1 << 40, 1 << 63, U64])
def test_fault_09_a_string_longer_than_the_file_is_refused(length, pieces, refused):
    refused(pieces.file((pieces.field(b"key", STRING, pieces.text(b"x" * 100, length)),)), "'key'", offset=39)


@pytest.mark.parametrize("bad", [0, 2, 4])
def test_fault_09_a_string_in_an_array_longer_than_the_file_is_named_by_its_byte(bad, pieces, refused):
    texts = b"".join(pieces.text(b"word", 1 << 30 if i == bad else None) for i in range(5))
    refused(pieces.file((pieces.field(b"key", ARRAY, pieces.array(STRING, 5, texts)),)), "'key'", offset=51 + 12 * bad)


@pytest.mark.parametrize("type_", [13, (1 << 32) - 1])
def test_fault_10_an_unknown_value_type_is_refused(type_, pieces, refused):
    refused(pieces.file((pieces.field(b"key", type_, bytes(100)),)), f"{type_}, which is no value type", offset=35)
    array = pieces.field(b"key", ARRAY, pieces.array(type_, 1, bytes(100)))
    refused(pieces.file((array,)), f"{type_}, which is no value type", offset=39)


def test_fault_10_deeply_nested_arrays_are_refused_without_recursion(pieces, refused):
    value = pieces.array(ARRAY, 1, b"") * 100_000 + pieces.array(U8, 1, b"\1")
    refused(pieces.file((pieces.field(b"key", ARRAY, value),)), "nested deeper than 8")


@pytest.mark.parametrize("element_type", [U8, 5, STRING, ARRAY, 12])
@pytest.mark.parametrize("n", [101, 1 << 60, 1 << 61, 1 << 63, U64])
def test_fault_11_an_array_larger_than_the_file_is_refused(element_type, n, pieces, refused):
    refused(pieces.file((pieces.field(b"key", ARRAY, pieces.array(element_type, n, bytes(100))),)), "does not fit")


@pytest.mark.parametrize("alignment", [0, 1, 3, 13, 1 << 31, (1 << 32) - 1])
def test_fault_12_an_odd_alignment_is_refused(alignment, pieces, refused):
    field = pieces.field(b"general.alignment", 4, pieces.pack("I", alignment))
    refused(pieces.file((field,)), "power of two", offset=24 + 8 + 17 + 4)


@pytest.mark.parametrize(
    "type_, value", [(5, b"\x20\0\0\0"), (STRING, b"\2\0\0\0\0\0\0\x0032"), (10, b"\x20" + bytes(7))]
)
def test_fault_12_an_alignment_of_another_type_is_refused(type_, value, pieces, refused):
    refused(pieces.file((pieces.field(b"general.alignment", type_, value),)), "must be UINT32")


@pytest.mark.parametrize("alignment", [8, 64, 4096])
def test_fault_12_a_power_of_two_is_obeyed(alignment, pieces, opened):
    field = pieces.field(b"general.alignment", 4, pieces.pack("I", alignment))
    reader = opened(pieces.file((field,), (pieces.info(b"w", (2,)),), pieces.pack("2f", 1, 2), alignment=alignment))
    assert reader.alignment == alignment
    assert reader.data_offset % alignment == 0
    assert reader.tensor("w").data.tolist() == [1, 2]


def test_fault_18_a_truth_value_that_is_neither_is_refused(pieces, refused):
    refused(pieces.file((pieces.field(b"key", BOOL, b"\2"),)), "neither 0 nor 1", offset=39)
    refused(pieces.file((pieces.field(b"key", ARRAY, pieces.array(BOOL, 3, b"\0\1\2")),)), "neither 0 nor 1", offset=53)


def test_fault_19_texts_that_are_not_utf8_open_and_keep_their_bytes(pieces, opened):
    odd = [b"\xff\xfe", b"", b"\xed\xa0\x80", b"x" * 10_000_000, "ok é".encode()]
    reader = opened(
        pieces.file((pieces.field(b"tokens", ARRAY, pieces.array(STRING, 5, b"".join(map(pieces.text, odd)))),))
    )
    assert [text.encode("utf-8", "surrogateescape") for text in reader.metadata["tokens"]] == odd


def test_fault_20_ten_million_strings_are_refused(pieces, refused):
    n = MAX_STRINGS + 1
    refused(pieces.file((pieces.field(b"merges", ARRAY, pieces.array(STRING, n, bytes(8 * n))),)), "exceeds")


def test_fault_23_more_keys_than_any_model_has_are_refused(pieces, refused):
    fields = pieces.field(b"k", U8, b"\1") * 1_000_000
    refused(pieces.file((fields,), n_fields=1_000_000), f"more than the {MAX_KEYS}")


def test_fault_23_as_many_keys_as_allowed_are_read_in_linear_time(pieces, opened):
    fields = tuple(pieces.field(b"%d" % i, U8, b"\1") for i in range(MAX_KEYS))
    started = time.process_time()
    assert len(opened(pieces.file(fields)).metadata) == MAX_KEYS
    assert time.process_time() - started < 2


def test_fault_23_more_tensors_than_any_model_has_are_refused(pieces, refused):
    refused(pieces.file(n_tensors=MAX_TENSORS + 1, data=bytes(40 * MAX_TENSORS)), f"more than the {MAX_TENSORS}")


@pytest.mark.parametrize("n_dims", [0, 5, (1 << 32) - 1])
def test_fault_24_a_wrong_number_of_dimensions_is_refused(n_dims, pieces, refused):
    refused(pieces.file((), (pieces.info(b"w", (8, 8), n_dims=n_dims),), bytes(256)), f"{n_dims} dimensions")


@pytest.mark.parametrize(
    "shape",
    [(0,), (8, 0), (U64,), (8, U64 - 3), (1 << 63,), (1 << 62, 2), (1 << 32, 1 << 32), (0x7FFFFFFFFFFFFFC0,) * 2],
)
def test_fault_25_a_dimension_of_zero_or_a_product_beyond_64_bits_is_refused(shape, pieces, refused):
    refused(pieces.file((), (pieces.info(b"w", shape),), bytes(256)), "'w'.*(zero or negative|64 bits)", offset=24)


@pytest.mark.parametrize("type_, n", [(12, 100), (2, 31), (8, 33), (14, 128)])
def test_fault_26_a_row_that_is_no_whole_number_of_blocks_is_refused(type_, n, pieces, refused):
    refused(pieces.file((), (pieces.info(b"w", (n, 2), type_),), bytes(4096)), "whole number")


@pytest.mark.parametrize("type_", [*REMOVED_TYPES, 43, 99, (1 << 32) - 1])
def test_fault_27_an_unknown_or_removed_type_is_named(type_, pieces, refused):
    words = f"{REMOVED_TYPES[type_]}, removed" if type_ in REMOVED_TYPES else f"unknown type {type_}"
    refused(pieces.file((), (pieces.info(b"w", (256,), type_),), bytes(4096)), words, offset=24 + 9 + 4 + 8)


@pytest.mark.parametrize(
    "name, words",
    [(b"", "empty"), (b"x" * 64, "at most 63"), (b"../x", "climbs"), (b"a/../../x", "climbs"), (b"a\0", "printed")],
)
def test_fault_28_an_odd_tensor_name_is_refused(name, words, pieces, refused):
    refused(pieces.file((), (pieces.info(name, (8,)),), bytes(32)), words, offset=24)


def test_fault_28_a_duplicate_tensor_name_is_refused(pieces, refused):
    infos = (pieces.info(b"w", (8,)), pieces.info(b"w", (8,), offset=32))
    refused(pieces.file((), infos, bytes(64)), "already declared at byte 24")


@pytest.mark.parametrize("offset", [1, 4, 33])
def test_fault_29_data_that_is_not_aligned_is_refused(offset, pieces, refused):
    refused(pieces.file((), (pieces.info(b"w", (8,), offset=offset),), bytes(256)), "multiple of 32")


@pytest.mark.parametrize("offset", [256, 1 << 40, 1 << 63, U64 - 31])
def test_fault_29_data_beyond_the_end_of_the_file_is_refused(offset, pieces, refused):
    refused(pieces.file((), (pieces.info(b"w", (8,), offset=offset),), bytes(256)), "cut short")


@pytest.mark.parametrize("second", [0, 32])
def test_fault_30_tensors_that_overlap_are_refused(second, pieces, refused):
    infos = (pieces.info(b"a", (16,)), pieces.info(b"b", (8,), offset=second))
    refused(pieces.file((), infos, bytes(64)), "'b' overlaps that of 'a'|'a' overlaps that of 'b'")


def test_fault_30_a_gap_is_warned_of_and_refused_when_strict(pieces, opened, refused):
    content = pieces.file((), (pieces.info(b"a", (8,)), pieces.info(b"b", (8,), offset=96)), bytes(128))
    assert opened(content).warnings == ("64 unused bytes lie before tensor 'b'",)
    refused(content, "strict mode: 64 unused bytes", strict=True)
