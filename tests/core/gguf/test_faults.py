"""The file format's part of the fault list; each test carries the number of its case."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from llamakit.core.gguf.header import MAX_KEYS, MAX_STRINGS, MAX_TENSORS
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.types import REMOVED_TYPES, ValueType
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.errors import GGUFError

U64 = (1 << 64) - 1
STRING, ARRAY, U8, BOOL = 8, 9, 0, 7


def touch_all(reader: GGUFReader) -> None:
    """Decode every value and look at every byte of every tensor."""
    dict(reader.metadata)
    for tensor in reader.tensors:
        tensor.data.tobytes()


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
    started = time.perf_counter()
    assert len(opened(pieces.file(fields)).metadata) == MAX_KEYS
    assert time.perf_counter() - started < 2


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


def test_fault_31_no_truncated_file_is_accepted(pieces, tmp_path):
    whole = pieces.small_model()
    path = _written(tmp_path / "cut.gguf", whole)
    data_end = len(whole) - 28  # the last 28 bytes are padding, which a writer may leave out
    for n_bytes in reversed(range(len(whole))):
        os.truncate(path, n_bytes)
        with pytest.raises(GGUFError):
            GGUFReader(path, strict=n_bytes == data_end)


def test_fault_31_the_last_padding_may_be_missing_but_not_half_of_it(pieces, opened, refused):
    whole = pieces.small_model()
    touch_all(opened(whole[:-28]))
    refused(whole[:-27], "inside the padding")
    refused(whole[:-28], "strict mode: the padding", strict=True)


def test_fault_32_no_flipped_bit_of_the_header_crashes(pieces, tmp_path):
    whole = pieces.small_model()
    path = _written(tmp_path / "flipped.gguf", whole)
    with GGUFReader(path) as reader:
        n_header = reader.data_offset
    outcomes = {"loads": 0, "refused": 0}
    with path.open("r+b", buffering=0) as file:
        for i in range(n_header * 8):
            os.pwrite(file.fileno(), bytes([whole[i // 8] ^ 1 << i % 8]), i // 8)
            try:
                touch_all(GGUFReader(path))
                outcomes["loads"] += 1
            except GGUFError:
                outcomes["refused"] += 1
            os.pwrite(file.fileno(), whole[i // 8 : i // 8 + 1], i // 8)
    assert outcomes["loads"] > 0 and outcomes["refused"] > n_header


def test_fault_32_flipped_bits_of_the_data_change_nothing_else(pieces, tmp_path):
    whole, rng = pieces.small_model(), random.Random(1)
    path = _written(tmp_path / "flipped.gguf", whole)
    with GGUFReader(path) as reader:
        metadata, start = dict(reader.metadata), reader.data_offset
    with path.open("r+b", buffering=0) as file:
        for _ in range(1000):  # 100 flips each: 10^5 in all
            data = np.frombuffer(whole[start:], np.uint8).copy()
            for _ in range(100):
                data[rng.randrange(data.size)] ^= 1 << rng.randrange(8)
            os.pwrite(file.fileno(), data.tobytes(), start)
            with GGUFReader(path) as reader:
                assert dict(reader.metadata) == metadata
                touch_all(reader)


def _written(path: Path, content: bytes | bytearray) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("tail", [b"x", b"PK\x03\x04" + bytes(100)])
def test_fault_33_trailing_bytes_are_warned_of_and_refused_when_strict(tail, pieces, opened, refused):
    content = pieces.small_model() + tail
    assert f"{len(tail)} bytes follow the last tensor" in opened(content).warnings[0]
    refused(content, f"strict mode: {len(tail)} bytes follow", strict=True)


@pytest.mark.parametrize("use_mmap", [True, False])
def test_fault_38_a_file_that_shrinks_while_open_gives_an_error(use_mmap, pieces, tmp_path):
    path = _written(tmp_path / "model.gguf", pieces.small_model())
    reader = GGUFReader(path, use_mmap=use_mmap)
    os.truncate(path, reader.data_offset + 64)
    assert reader.tensor("one").data[0, 1] == 1
    with pytest.raises(GGUFError, match="became shorter"):
        _ = reader.tensor("two").data
    assert reader.metadata["tokens"] == ["a", "", "é"]  # the header was read, not mapped


def test_fault_38_without_mmap_an_array_outlives_the_truncation_of_its_file(pieces, tmp_path):
    path = _written(tmp_path / "model.gguf", pieces.small_model())
    array = GGUFReader(path, use_mmap=False).tensor("one").data
    os.truncate(path, 0)
    assert array.sum() == sum(range(16))


def test_fault_39_a_file_replaced_while_open_keeps_its_old_content(pieces, tmp_path):
    path = _written(tmp_path / "model.gguf", pieces.small_model())
    reader = GGUFReader(path)
    os.replace(_written(tmp_path / "new.gguf", bytes(10)), path)
    assert reader.tensor("one").data[1, 7] == 15


def test_fault_40_what_is_not_a_regular_file_is_refused_at_once(tmp_path):
    pipe, loop, unix = tmp_path / "pipe", tmp_path / "loop", tmp_path / "s"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(unix))
        for path, words in (
            (pipe, "named pipe"),
            (tmp_path, "directory"),
            (Path("/dev/null"), "character device"),
            (loop, "leads to itself"),
            (unix, "socket"),
            (tmp_path / "absent", "no such file"),
            (tmp_path / ("x" * 300), "too long"),
            (pipe / "x", "a file"),
        ):
            started = time.perf_counter()
            with pytest.raises(GGUFError, match=words) as caught:
                GGUFReader(path)
            assert time.perf_counter() - started < 1
            assert caught.value.path == path


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_fault_40_a_file_one_may_not_read_is_refused(pieces, tmp_path):
    path = _written(tmp_path / "model.gguf", pieces.small_model())
    path.chmod(0)
    with pytest.raises(GGUFError, match="permission denied"):
        GGUFReader(path)


@pytest.mark.parametrize("name", [b"new\nline.gguf", b"odd\xff.gguf"])
def test_fault_40_an_odd_path_opens_like_any_other(name, pieces, tmp_path):
    path = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))
    touch_all(GGUFReader(_written(path, pieces.small_model())))


def test_fault_41_a_sparse_file_of_the_largest_size_is_bounded(pieces, tmp_path):
    path = _written(tmp_path / "model.gguf", pieces.small_model())
    for exponent in (63, 50, 43):  # as large as this file system allows
        try:
            os.truncate(path, (1 << exponent) - 4096)
            break
        except OSError:
            continue
    started = time.perf_counter()
    with GGUFReader(path) as reader:
        touch_all(reader)
        assert "bytes follow the last tensor" in reader.warnings[0]
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    "element_type, n", [(STRING, 1 << 21), (STRING, 1 << 40), (U8, 1 << 40), (ARRAY, 1 << 40), (BOOL, 1 << 28)]
)
def test_fault_41_a_header_that_fills_a_sparse_file_is_refused(element_type, n, pieces, tmp_path):
    head = pieces.file((pieces.field(b"key", ARRAY, pieces.array(element_type, n, b"")),), n_fields=2)
    path = _written(tmp_path / "model.gguf", head)
    os.truncate(path, 1 << 43)
    started = time.perf_counter()
    with pytest.raises(GGUFError):
        GGUFReader(path)
    assert time.perf_counter() - started < 1.5


KILLED = """
import sys, time
import numpy as np
from llamakit.core.gguf.types import GGMLType
from llamakit.core.gguf.writer import GGUFWriter
writer = GGUFWriter(sys.argv[1])
writer.add("general.architecture", "llama")
for name in ("a", "b"):
    writer.declare_tensor(name, (1 << 16,), GGMLType.F32)
writer.write_tensor("a", np.ones(1 << 16, np.float32))
print("half", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("old", [None, b"the old file"])
def test_fault_43_a_killed_writer_leaves_no_half_file_and_a_rerun_clears_up(old, tmp_path):
    path = tmp_path / "out.gguf"
    if old is not None:
        path.write_bytes(old)
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None and child.stdout.readline() == "half\n"
    with pytest.raises(GGUFError, match="another process is writing it"):
        GGUFWriter(path)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert (path.read_bytes() if path.exists() else None) == old

    with GGUFWriter(path) as writer:
        writer.add_tensor("a", np.arange(8, dtype=np.float32))
    assert GGUFReader(path, strict=True).tensor("a").data.tolist() == [*range(8)]
    assert os.listdir(tmp_path) == ["out.gguf"]


def test_fault_43_an_error_while_writing_removes_what_was_written(tmp_path):
    path = tmp_path / "out.gguf"
    with pytest.raises(KeyboardInterrupt), GGUFWriter(path) as writer:
        writer.add("a", 1)
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_fault_52_a_full_disk_leaves_nothing_and_the_old_file_intact(pieces, tmp_path):
    path = _written(tmp_path / "model.gguf", pieces.small_model())
    script = """
        import resource, sys
        import numpy as np
        from llamakit.core.gguf.writer import GGUFWriter
        from llamakit.errors import GGUFError
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            with GGUFWriter(sys.argv[1]) as writer:
                writer.add_tensor("w", np.zeros(1 << 16, np.float32))
        except GGUFError as error:
            print(error)
        """
    command = [sys.executable, "-c", textwrap.dedent(script), str(path)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "cannot write: File too large" in shown
    assert path.read_bytes() == pieces.small_model()
    assert os.listdir(tmp_path) == ["model.gguf"]


@pytest.mark.parametrize("place", ["absent/out.gguf", "folder", "file/out.gguf"])
def test_fault_54_a_place_that_cannot_be_written_is_refused_at_once(place, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(GGUFError, match="cannot write"):
        GGUFWriter(tmp_path / place)


def split_model(folder: Path, n: int = 3, **changes: int) -> list[Path]:
    """A model of `n` tensors in as many shards."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"m-{i + 1:05d}-of-{n:05d}.gguf" for i in range(n)]
    for i, path in enumerate(paths):
        with GGUFWriter(path) as writer:
            if i == 0:
                writer.add("general.architecture", "llama")
            writer.add("split.no", i, ValueType.UINT16)
            writer.add("split.count", changes.get(f"count_{i}", n), ValueType.UINT16)
            writer.add("split.tensors.count", changes.get("tensors", n), ValueType.INT32)
            writer.add_tensor(f"t{changes.get(f'name_{i}', i)}", np.full(8, i, np.float32))
    return paths


@pytest.mark.parametrize("given", range(3))
def test_fault_42_any_shard_opens_the_whole_split(given, tmp_path):
    reader = GGUFReader(split_model(tmp_path)[given], strict=True)
    assert [tensor.name for tensor in reader.tensors] == ["t0", "t1", "t2"]
    assert [float(tensor.data[0]) for tensor in reader.tensors] == [0, 1, 2]
    assert reader.metadata["general.architecture"] == "llama"


def test_fault_42_a_missing_shard_is_named(tmp_path):
    paths = split_model(tmp_path)
    paths[1].unlink()
    with pytest.raises(GGUFError, match=paths[1].name):
        GGUFReader(paths[0])


def test_fault_42_swapped_names_are_named(tmp_path):
    paths = split_model(tmp_path)
    paths[1].rename(tmp_path / "other")
    paths[2].rename(paths[1])
    (tmp_path / "other").rename(paths[2])
    with pytest.raises(GGUFError, match=r"shard 3 by its split.no, but 2 by its name"):
        GGUFReader(paths[0])


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"count_1": 4}, "differs from|split.count is 4"),
        ({"count_0": 65_535}, "split.count is 65535"),
        ({"name_2": 1}, "'t1' lies in"),
        ({"tensors": 4}, "split.tensors.count is 4"),
    ],
)
def test_fault_42_shards_that_contradict_each_other_are_refused(changes, words, tmp_path):
    paths = split_model(tmp_path, **changes)
    with pytest.raises(GGUFError, match=words):
        GGUFReader(paths[0])


def test_fault_42_a_shard_of_another_model_is_refused(tmp_path):
    paths = split_model(tmp_path)
    with GGUFWriter(paths[1]) as writer:
        writer.add("general.architecture", "qwen2")
        writer.add("split.no", 1, ValueType.UINT16)
        writer.add("split.count", 3, ValueType.UINT16)
        writer.add_tensor("t1", np.zeros(8, np.float32))
    with pytest.raises(GGUFError, match=r"general.architecture.*another model"):
        GGUFReader(paths[0])


def test_fault_42_a_truncated_shard_is_named(tmp_path):
    paths = split_model(tmp_path)
    os.truncate(paths[0], paths[0].stat().st_size - 8)
    with pytest.raises(GGUFError, match="cut short") as caught:
        GGUFReader(paths[2])
    assert caught.value.path == paths[0]


def test_fault_42_a_split_of_65535_shards_is_refused_at_once(tmp_path):
    path = split_model(tmp_path)[0]
    many = tmp_path / "m-00001-of-65535.gguf"
    shutil.copy(path, many)
    started = time.perf_counter()
    with pytest.raises(GGUFError, match="more"):
        GGUFReader(many)
    assert time.perf_counter() - started < 2


def test_fault_42_a_shard_under_another_name_is_refused(pieces, tmp_path):
    paths = split_model(tmp_path)
    with pytest.raises(GGUFError, match="rename"):
        GGUFReader(paths[0].rename(tmp_path / "model.gguf"))
    with pytest.raises(GGUFError, match="rename"):
        GGUFReader(_written(tmp_path / "x-00001-of-00002.gguf", pieces.small_model()))


def test_a_whole_model_named_as_the_only_shard_opens(pieces, tmp_path):
    assert len(GGUFReader(_written(tmp_path / "x-00001-of-00001.gguf", pieces.small_model())).tensors) == 2
