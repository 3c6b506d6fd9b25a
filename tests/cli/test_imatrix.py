"""`llamakit imatrix` as a command: text in, file and running perplexity out."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from llamakit.cli.app import run
from llamakit.tools import imatrix as tool
from llamakit.tools.imatrix_file import read_imatrix

from ..api.model import TINY
from ..tiny import write_tiny

Capture = pytest.CaptureFixture[str]
N_CTX = 32


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", TINY))


@pytest.fixture
def text(tmp_path: Path) -> str:
    (tmp_path / "text.txt").write_text("the cat catches the cats that teach each other to cheat. " * 6)
    return str(tmp_path / "text.txt")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "imatrix.gguf"


def compute(model: str, text: str, out: Path, *more: str) -> int:
    return run(["imatrix", "-m", model, "-f", text, "-o", str(out), "-c", str(N_CTX), *more])


def test_a_text_becomes_a_file_and_a_running_perplexity(model: str, text: str, out: Path, capsys: Capture) -> None:
    assert compute(model, text, out, "--chunks", "3") == 0
    shown = capsys.readouterr()
    assert re.fullmatch(r"(\[\d\]\d+\.\d{4},){3}\nFinal estimate: PPL = \d+\.\d{4} \+/- \d+\.\d{5}\n", shown.out)
    matrix = read_imatrix(out)
    assert (matrix.n_chunks, matrix.chunk_size, matrix.datasets) == (3, N_CTX, (text,))
    assert len(matrix.entries) == 2 * 7


@pytest.mark.parametrize("more, n_entries", [(["--no-ppl"], 14), (["--no-ppl", "--process-output"], 15)])
def test_without_perplexity_nothing_is_printed(
    model: str, text: str, out: Path, more: list[str], n_entries: int, capsys: Capture
) -> None:
    assert compute(model, text, out, *more) == 0
    assert capsys.readouterr().out == ""
    assert len(read_imatrix(out).entries) == n_entries


def test_the_older_format_and_copies_on_the_way(model: str, text: str, tmp_path: Path) -> None:
    out = tmp_path / "imatrix.dat"
    more = ["--output-format", "dat", "--save-frequency", "2", "--chunks", "5", "--no-ppl", "-ub", "32"]
    assert compute(model, text, out, *more) == 0
    assert sorted(path.name for path in tmp_path.glob("imatrix*")) == [
        "imatrix.dat", "imatrix.dat.at_2", "imatrix.dat.at_4",
    ]  # fmt: skip
    assert [read_imatrix(path).n_chunks for path in sorted(tmp_path.glob("imatrix*"))] == [5, 2, 4]


def test_an_interrupt_saves_and_resume_goes_on(
    model: str, text: str, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    whole = out.with_name("whole.gguf")
    assert compute(model, text, whole, "--chunks", "5") == 0
    original = tool.Collector.compute

    def interrupted(self, windows):  # type: ignore[no-untyped-def]
        for i, nll in enumerate(original(self, windows)):
            if i == 2:
                raise KeyboardInterrupt
            yield nll

    monkeypatch.setattr(tool.Collector, "compute", interrupted)
    assert compute(model, text, out, "--chunks", "5", "-ub", "32") == 130
    assert "--resume" in capsys.readouterr().err
    assert read_imatrix(out).n_chunks == 3  # all that was summed up by then
    monkeypatch.setattr(tool.Collector, "compute", original)
    assert compute(model, text, out, "--chunks", "5", "--resume") == 0
    resumed, wanted = read_imatrix(out), read_imatrix(whole)
    assert resumed.n_chunks == 5
    for name, entry in wanted.entries.items():
        np.testing.assert_allclose(resumed.entries[name].sums, entry.sums, rtol=1e-5)


def test_matrices_are_merged_without_a_text(model: str, text: str, out: Path, tmp_path: Path, capsys: Capture) -> None:
    first, second = tmp_path / "a.gguf", tmp_path / "b.gguf"
    assert compute(model, text, first, "--chunks", "2", "--no-ppl") == 0
    assert compute(model, text, second, "--chunks", "3", "--no-ppl", "--in-file", str(first)) == 0
    assert run(["imatrix", "--in-file", str(first), "--in-file", str(second), "-o", str(out), "-c", str(N_CTX)]) == 0
    assert [read_imatrix(path).n_chunks for path in (first, second, out)] == [2, 5, 7]
    assert capsys.readouterr().err.endswith(f"saved 14 entries of 7 chunks in {out}\n")


def test_chunks_computed_together_are_saved_together(model: str, text: str, out: Path, tmp_path: Path) -> None:
    """512 tokens at once are 16 chunks of 32; a copy is named after the chunks that it holds."""
    assert compute(model, text, out, "--chunks", "5", "--save-frequency", "2", "--no-ppl") == 0
    copies = list(tmp_path.glob("imatrix.gguf.at_*"))
    assert [path.name for path in copies] == ["imatrix.gguf.at_5"] and read_imatrix(copies[0]).n_chunks == 5


def test_statistics_are_llama_imatrixs_tables(model: str, text: str, out: Path, capsys: Capture) -> None:
    assert compute(model, text, out, "--no-ppl", "--chunks", "2") == 0
    capsys.readouterr()
    assert run(["imatrix", "--in-file", str(out), "--show-statistics"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line]
    assert lines[1][:6] == ["Layer", "Tensor", "Σ(Act²)", "Min", "Max", "μ"]
    assert len([line for line in lines if len(line) == 13 and line[0] in "01"]) == 14
    assert [line[0] for line in lines[-2:]] == ["0", "1"]


@pytest.mark.parametrize(
    "args, message",
    [
        ([], "neither a text"),
        (["--output-format", "csv"], "neither gguf nor dat"),
        (["--show-statistics"], "--in-file"),
        (["-c", "0"], "at least 1"),
    ],
)
def test_what_cannot_be_done_is_one_line(args: list[str], message: str, capsys: Capture) -> None:
    assert run(["imatrix", *args]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
