"""Files that are cut, flipped, replaced or half written, and places that are odd: faults 31 to 41, 43, 52 and 54."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.errors import GGUFError

STRING, ARRAY, U8, BOOL = 8, 9, 0, 7


def touch_all(reader: GGUFReader) -> None:
    """Decode every value and look at every byte of every tensor."""
    dict(reader.metadata)
    for tensor in reader.tensors:
        tensor.data.tobytes()


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
    started = time.process_time()
    with GGUFReader(path) as reader:
        touch_all(reader)
        assert "bytes follow the last tensor" in reader.warnings[0]
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "element_type, n", [(STRING, 1 << 21), (STRING, 1 << 40), (U8, 1 << 40), (ARRAY, 1 << 40), (BOOL, 1 << 28)]
)
def test_fault_41_a_header_that_fills_a_sparse_file_is_refused(element_type, n, pieces, tmp_path):
    head = pieces.file((pieces.field(b"key", ARRAY, pieces.array(element_type, n, b"")),), n_fields=2)
    path = _written(tmp_path / "model.gguf", head)
    os.truncate(path, 1 << 43)
    started = time.process_time()
    with pytest.raises(GGUFError):
        GGUFReader(path)
    assert time.process_time() - started < 1.5


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
