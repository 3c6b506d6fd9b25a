"""Quantizing against real kills, full disks, inputs as outputs and a second writer (faults 51 to 55)."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from llamakit.core.gguf.reader import GGUFReader
from llamakit.errors import GGUFError, LlamakitError, UsageError
from llamakit.tools.gguf_split import plan as plan_split
from llamakit.tools.gguf_split import split
from llamakit.tools.imatrix_file import Imatrix, ImatrixEntry
from tests.tools.quantize.model import quantized, write_model

ROOT = str(Path(__file__).parents[3])
OLD = b"the old file"

# Quantizes and says after each of its steps how many there were; where told to, it waits for a word before going on.
SLOW = """
import sys
sys.path.insert(0, sys.argv[1])
from llamakit.core.gguf.reader import GGUFReader
from llamakit.tools.quantize import pieces
from llamakit.tools.quantize.file_types import parse_file_type
from llamakit.tools.quantize.plan import Options, make_plan
from llamakit.tools.quantize.run import carry_out
pieces.PIECE = 1 << 13
with GGUFReader(sys.argv[2]) as reader:
    plan = make_plan(reader, parse_file_type("Q4_0"), Options())
    for n, step in enumerate(carry_out(plan, reader, sys.argv[3], 2), start=1):
        print(n, flush=True)
        if n == int(sys.argv[4]):
            sys.stdin.readline()
print("done", flush=True)
"""
N_STEPS = 55


def start(source: Path, output: Path, wait_after: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SLOW, ROOT, str(source), str(output), str(wait_after)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    for read in process.stdout:
        if read.strip() == line:
            return
    raise AssertionError(f"the process ended before it said {line!r}")


def end(process: subprocess.Popen[str]) -> None:
    process.communicate(timeout=60)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_model(tmp_path / "in.gguf")


def whole(source: Path, folder: Path) -> bytes:
    """What the output must be."""
    quantized(source, folder / "whole.gguf")
    raw = (folder / "whole.gguf").read_bytes()
    (folder / "whole.gguf").unlink()
    return raw


@pytest.mark.parametrize("old", [None, OLD])
@pytest.mark.parametrize("after", [1, *random.Random(51).sample(range(2, N_STEPS), 2), N_STEPS])
def test_fault_51_a_kill_leaves_the_old_file_or_none_and_a_rerun_works(
    after: int, old: bytes | None, source: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.gguf"
    if old is not None:
        output.write_bytes(old)
    process = start(source, output, wait_after=after)
    wait_for(process, str(after))
    process.send_signal(signal.SIGKILL)
    end(process)
    assert process.returncode == -signal.SIGKILL
    assert (output.read_bytes() if output.exists() else None) == old
    quantized(source, output)
    assert {path.name for path in tmp_path.iterdir()} == {"in.gguf", "out.gguf"}
    assert output.read_bytes() == whole(source, tmp_path)


def test_fault_51_a_kill_at_any_moment_of_the_end_leaves_a_whole_file(source: Path, tmp_path: Path) -> None:
    output, new = tmp_path / "out.gguf", whole(source, tmp_path)
    output.write_bytes(OLD)
    for _ in range(3):
        process = start(source, output)
        wait_for(process, str(N_STEPS))
        process.send_signal(signal.SIGKILL)  # while the file is brought to the disk and renamed
        end(process)
        assert output.read_bytes() in (OLD, new)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if (
        mount is None
        or subprocess.run(
            [mount, "-t", "tmpfs", "-o", "size=256k", "none", str(folder)], capture_output=True
        ).returncode
    ):
        pytest.skip("this user may not mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_fault_52_a_disk_that_fills_up_is_an_error_and_nothing_stays(source: Path, small_disk: Path) -> None:
    before = source.read_bytes()
    (small_disk / "out.gguf").write_bytes(OLD)
    with pytest.raises(GGUFError, match=r"out.gguf: cannot write: No space left on device"):
        quantized(source, small_disk / "out.gguf", "Q8_0")
    assert [(path.name, path.read_bytes()) for path in small_disk.iterdir()] == [("out.gguf", OLD)]
    assert source.read_bytes() == before


def test_fault_52_a_full_disk_is_an_error_and_nothing_stays(source: Path, small_disk: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "filler").write_bytes(bytes(1 << 20))
    with pytest.raises(GGUFError, match="cannot write: No space left on device"):
        quantized(source, small_disk / "out.gguf", "Q8_0")
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


def test_fault_52_what_fits_just_so_is_written(source: Path, small_disk: Path) -> None:
    quantized(source, small_disk / "out.gguf", "Q2_K")
    with GGUFReader(small_disk / "out.gguf", strict=True) as reader:
        assert len(reader.tensors) == 9


@pytest.mark.parametrize("call, number", [("fsync", errno.EIO), ("replace", errno.ENOSPC), ("ftruncate", errno.EDQUOT)])
def test_fault_52_an_error_at_the_very_end_leaves_nothing(
    call: str, number: int, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        if call != "ftruncate" or args[1]:  # a new file is cut to nothing first
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(GGUFError, match=f"cannot write: {os.strerror(number)}"):
        quantized(source, tmp_path / "out.gguf")
    assert [path.name for path in tmp_path.iterdir()] == ["in.gguf"]


def test_fault_52_a_limit_on_the_files_size_is_an_error(source: Path, tmp_path: Path) -> None:
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n" + SLOW
    command = [sys.executable, "-c", limited, ROOT, str(source), str(tmp_path / "out.gguf"), "0"]
    process = subprocess.run(command, capture_output=True, text=True)
    assert process.returncode != 0
    assert "cannot write: File too large" in process.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in.gguf"]


def test_fault_52_a_device_is_no_place_for_a_model(source: Path) -> None:
    with pytest.raises(GGUFError, match="not a regular file"):
        quantized(source, Path("/dev/full"))


@pytest.mark.parametrize("kind", ["same", "spelled otherwise", "hardlink", "symlink", "symlink in between", "draft"])
def test_fault_53_the_input_is_never_the_output(kind: str, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "link.gguf"
    if kind == "same":
        output = source
    elif kind == "spelled otherwise":
        output = tmp_path / ".." / tmp_path.name / "in.gguf"
    elif kind == "hardlink":
        os.link(source, output)
    elif kind == "symlink":
        output.symlink_to(source.name)
    elif kind == "symlink in between":
        (tmp_path / "folder").symlink_to(tmp_path)
        output = tmp_path / "folder" / "in.gguf"
    else:  # the name under which the output would be drafted
        source = source.rename(tmp_path / "link.gguf.partial")
    before = source.read_bytes()
    with pytest.raises(UsageError, match=r"would overwrite .*, which is being read; choose another output"):
        quantized(source, output)
    assert source.read_bytes() == before


def test_fault_53_shards_and_importance_are_inputs_too(source: Path, tmp_path: Path) -> None:
    with GGUFReader(source) as reader:
        for _ in split(reader, plan_split(reader, max_tensors=5), str(tmp_path / "m")):
            pass
    first, second = (tmp_path / f"m-0000{i}-of-00002.gguf" for i in (1, 2))
    entry = ImatrixEntry(np.ones((1, 256), np.float32), np.ones(1, np.float32))
    imatrix = {"imatrix": Imatrix({"blk.0.attn_q.weight": entry}), "imatrix_path": str(source)}
    for output, options in ((second, {}), (tmp_path / "m.gguf", {"keep_split": True}), (source, imatrix)):
        with pytest.raises(UsageError, match="would overwrite"):
            quantized(first, output, **options)


@pytest.mark.parametrize("place", ["absent/out.gguf", "in.gguf/out.gguf", "folder"])
def test_fault_54_a_place_that_cannot_be_written_is_refused(place: str, source: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(GGUFError, match=f"{place}: cannot write"):
        quantized(source, tmp_path / place)
    assert {path.name for path in tmp_path.iterdir()} == {"in.gguf", "folder"}


def test_fault_54_a_read_only_disk_is_refused(source: Path, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(GGUFError, match="cannot write: Read-only file system"):
        quantized(source, small_disk / "out.gguf")


def test_fault_54_a_read_only_folder_is_refused(source: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (tmp_path / "folder").mkdir(mode=0o500)
    with pytest.raises(GGUFError, match="cannot write: Permission denied"):
        quantized(source, tmp_path / "folder" / "out.gguf")


def test_fault_55_of_two_writers_of_one_file_the_second_gives_up(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.gguf"
    first = start(source, output, wait_after=N_STEPS // 2)
    wait_for(first, str(N_STEPS // 2))
    with pytest.raises(LlamakitError, match="another process is writing it"):
        quantized(source, output, "Q8_0")
    assert not output.exists()
    assert first.stdin is not None
    first.stdin.write("go on\n")
    first.stdin.flush()
    wait_for(first, "done")
    end(first)
    assert output.read_bytes() == whole(source, tmp_path)
