"""Importance matrices of both formats are read, written and refused by what they hold (fault 57)."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.errors import GGUFError, UsageError
from llamakit.tools.imatrix_file import Imatrix, ImatrixEntry, merge, read_imatrix, write_dat, write_gguf

NAME = "blk.0.ffn_down.weight"


def entry(sums: object, counts: object) -> ImatrixEntry:
    return ImatrixEntry(np.array(sums, np.float32), np.array(counts, np.float32))


EXAMPLE = Imatrix(
    {NAME: entry([[8, 16], [1, 2], [0, 0]], [8, 2, 0]), "output.weight": entry([[4, 4, 12]], [4])}, ("a.txt",), 2, 4
)


def dat(*entries: tuple[str, int, list[float]], tail: bytes = b"") -> bytes:
    parts = [struct.pack("<i", len(entries))]
    for name, n_calls, values in entries:
        raw = name.encode()
        parts.append(struct.pack("<i", len(raw)) + raw + struct.pack("<ii", n_calls, len(values)))
        parts.append(np.array(values, "<f4").tobytes())
    return b"".join(parts) + tail


def test_importance_is_the_mean_square_and_one_where_nothing_was_seen() -> None:
    np.testing.assert_array_equal(EXAMPLE.entries[NAME].importance, [[1, 2], [0.5, 1], [1, 1]])


def test_gguf_keeps_everything(tmp_path: Path) -> None:
    write_gguf(tmp_path / "i.gguf", EXAMPLE)
    again = read_imatrix(tmp_path / "i.gguf")
    assert (again.datasets, again.n_chunks, again.chunk_size) == (("a.txt",), 2, 4)
    for name, old in EXAMPLE.entries.items():
        np.testing.assert_array_equal(again.entries[name].sums, old.sums)
        np.testing.assert_array_equal(again.entries[name].counts, old.counts)


def test_gguf_has_llama_imatrix_names_and_shapes(tmp_path: Path) -> None:
    write_gguf(tmp_path / "i.gguf", EXAMPLE)
    with GGUFReader(tmp_path / "i.gguf") as reader:
        assert dict(reader.metadata) == {
            "general.type": "imatrix",
            "imatrix.datasets": ["a.txt"],
            "imatrix.chunk_count": 2,
            "imatrix.chunk_size": 4,
        }
        assert [(t.name, t.shape) for t in reader.tensors][:2] == [
            (f"{NAME}.in_sum2", (2, 3)),
            (f"{NAME}.counts", (1, 3)),
        ]


def test_dat_keeps_the_mean_squares(tmp_path: Path) -> None:
    write_dat(tmp_path / "i.dat", EXAMPLE)
    again = read_imatrix(tmp_path / "i.dat")
    assert (again.datasets, again.n_chunks, again.chunk_size) == (("a.txt",), 2, 0)
    for name, old in EXAMPLE.entries.items():
        np.testing.assert_array_equal(again.entries[name].importance, old.importance.reshape(1, -1))
    assert again.entries[NAME].counts == [2]  # calls: 8 inputs in chunks of 4


def test_dat_is_read_byte_by_byte_as_described(tmp_path: Path) -> None:
    tail = struct.pack("<ii", 7, 5) + b"w.txt"
    (tmp_path / "i.dat").write_bytes(dat((NAME, 2, [2, 4, 6]), ("x", 0, [3]), tail=tail))
    matrix = read_imatrix(tmp_path / "i.dat")
    np.testing.assert_array_equal(matrix.entries[NAME].importance, [[1, 2, 3]])
    np.testing.assert_array_equal(matrix.entries["x"].importance, [[3]])  # no calls: taken as it is
    assert (matrix.n_chunks, matrix.datasets) == (7, ("w.txt",))


def test_dat_without_its_tail_is_read(tmp_path: Path) -> None:
    (tmp_path / "i.dat").write_bytes(dat((NAME, 1, [1])))
    assert read_imatrix(tmp_path / "i.dat").n_chunks == 0


def test_merging_adds_sums_counts_and_chunks() -> None:
    both = merge([EXAMPLE, EXAMPLE])
    np.testing.assert_array_equal(both.entries[NAME].sums, [[16, 32], [2, 4], [0, 0]])
    assert (both.n_chunks, both.datasets, both.chunk_size) == (4, ("a.txt", "a.txt"), 4)


def test_chunks_become_tokens_before_merging() -> None:
    legacy = Imatrix({NAME: entry([[2, 4]], [2])}, (), 2, 0)
    tokens = legacy.with_chunk_size(512)
    assert (tokens.chunk_size, tokens.entries[NAME].counts.tolist()) == (512, [1024])
    np.testing.assert_array_equal(tokens.entries[NAME].importance, [[1, 2]])
    assert EXAMPLE.with_chunk_size(512) is EXAMPLE


@pytest.mark.parametrize(
    "other",
    [Imatrix({NAME: entry([[1, 1, 1]], [1])}, (), 1, 4), Imatrix({}, (), 1, 8)],
)
def test_matrices_of_other_shapes_or_chunks_do_not_merge(other: Imatrix) -> None:
    with pytest.raises(UsageError, match=r"different models|do not add"):
        merge([EXAMPLE, other])


@pytest.mark.parametrize(
    "raw, message",
    [
        (b"", "the number of entries does not fit"),
        (b"\0\0\0\0", "neither a GGUF nor a .dat"),
        (b"hello, I am a text file", "neither a GGUF nor a .dat"),
        (dat((NAME, 1, [1, 2]))[:-3], f"the values of '{NAME}' does not fit.*cut short"),
        (dat((NAME, 1, [1]))[:4] + b"\xff\xff\xff\x7f" + bytes(20), "the name of entry 1 of 1 has 2147483647 bytes"),
        (dat((NAME, 1, [])) + bytes(20), "damaged: 0 values"),
        (dat((NAME, 1, [1]), (NAME, 1, [1])), "is damaged"),
        (dat((NAME, 1, [1, float("nan")])), f"entry '{NAME}' holds nan as a sum of squares"),
        (dat((NAME, 1, [float("inf")])), "holds inf"),
        (dat((NAME, 1, [-1])), "holds -1.0"),
    ],
)
def test_fault_57_a_dat_file_that_makes_no_sense_is_refused(tmp_path: Path, raw: bytes, message: str) -> None:
    (tmp_path / "i.dat").write_bytes(raw)
    with pytest.raises(GGUFError, match=message):
        read_imatrix(tmp_path / "i.dat")


@pytest.mark.parametrize("cut", range(0, 60, 7))
def test_fault_57_a_dat_file_cut_anywhere_is_refused(tmp_path: Path, cut: int) -> None:
    whole = dat((NAME, 1, [1, 2, 3]), ("x", 1, [4]))
    (tmp_path / "i.dat").write_bytes(whole[:cut])
    with pytest.raises(GGUFError):
        read_imatrix(tmp_path / "i.dat")


@pytest.mark.parametrize(
    "tensors, message",
    [
        ({"token_embd.weight": [[1.0]]}, "holds no importance matrix: it is a model"),
        ({f"{NAME}.in_sum2": [[1.0]]}, "lacks its '.counts'"),
        ({f"{NAME}.counts": [[1.0]]}, "lacks its '.in_sum2'"),
        ({f"{NAME}.in_sum2": [[1.0]], f"{NAME}.counts": [[1.0], [2.0]]}, "1 sums for 2 matrices"),
        ({f"{NAME}.in_sum2": [[np.nan]], f"{NAME}.counts": [[1.0]]}, "holds nan as a sum of squares"),
        ({f"{NAME}.in_sum2": [[1.0]], f"{NAME}.counts": [[-1.0]]}, "holds -1.0 as a count"),
    ],
)
def test_fault_57_a_gguf_file_that_makes_no_sense_is_refused(
    tmp_path: Path, tensors: dict[str, list[list[float]]], message: str
) -> None:
    with GGUFWriter(tmp_path / "i.gguf") as writer:
        writer.add("general.type", "model")
        for name, values in tensors.items():
            writer.add_tensor(name, np.array(values, np.float32))
    with pytest.raises(GGUFError, match=message):
        read_imatrix(tmp_path / "i.gguf")
