"""`llamakit perplexity`: llama-perplexity's flags and lines, and what happens to texts and models that are none."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llamakit.cli.app import run
from llamakit.cli.perplexity_output import Screen, time_left
from llamakit.cli.run_log import INFO, Log
from llamakit.core.engine.context import Context
from tests.tools.perplexity.models import TEXT, damage, write_model

Capture = pytest.CaptureFixture[str]
DATA = Path(__file__).parents[1] / "data"
NUMBER = re.compile(r"-?\d+\.\d+")
NAN = re.compile(r"\bnan\b", re.IGNORECASE)
EXACT = ["-ctk", "f32", "-ctv", "f32", "-fa", "off"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "a.gguf")
    write_model(folder / "b.gguf", seed=1)
    (folder / "text.txt").write_text(TEXT + "\n")
    return folder


def perplexity(folder: Path, *options: str, model: str = "a.gguf") -> int:
    return run(["perplexity", "-m", str(folder / model), *options])


def numbers(text: str) -> list[float]:
    return [float(number) for number in NUMBER.findall(text)]


# text
def test_values_are_llama_cpps_on_one_line_and_the_rest_goes_to_stderr(folder: Path, capsys: Capture) -> None:
    assert perplexity(folder, "-f", str(folder / "text.txt"), "-c", "64", "-b", "128", "--chunks", "3", *EXACT) == 0
    out, err = capsys.readouterr()
    assert re.fullmatch(r"\[1\]391\.54\d\d,\[2\]424\.07\d\d,\[3\]445\.49\d\d,\n", out)
    assert "perplexity: calculating perplexity over 3 chunks, n_ctx=64, batch_size=128, n_seq=2\n" in err
    assert re.search(r"^perplexity: \d+\.\d\d seconds per pass - ETA \d+\.\d\d minutes$", err, re.MULTILINE)
    assert re.search(r"^Final estimate: PPL = 445\.49\d\d \+/- 40\.90\d\d\d$", err, re.MULTILINE)


def test_the_other_output_has_a_line_a_window(folder: Path, capsys: Capture) -> None:
    """llama-perplexity's, but for the positions: it repeats those of windows computed together."""
    options = ["-f", str(folder / "text.txt"), "-c", "64", "--ppl-output-type", "1", *EXACT]
    assert perplexity(folder, *options) == 0
    lines = capsys.readouterr().out.splitlines()[:-1]
    golden = (DATA / "perplexity_tiny.txt").read_text().splitlines()
    assert [line[:10] for line in lines] == [f"{64 * i:8d}  " for i in range(16)]
    for line, wanted in zip(lines, golden, strict=True):
        assert numbers(line) == pytest.approx(numbers(wanted), rel=1e-6, abs=1e-6)
        assert NUMBER.sub("#", line[10:]) == NUMBER.sub("#", wanted[10:])


def test_strided_values_are_llama_cpps_without_a_final_line(folder: Path, capsys: Capture) -> None:
    options = ["-f", str(folder / "text.txt"), "-c", "64", "-b", "64", "--ppl-stride", "50", "--chunks", "4", *EXACT]
    assert perplexity(folder, *options) == 0
    out, err = capsys.readouterr()
    assert numbers(out) == pytest.approx([497.7116, 502.8602, 501.0570, 501.1593], rel=1e-6)
    assert "Calculation chunk = 256" in err and "Final estimate" not in err
    assert perplexity(folder, *options, "--ppl-output-type", "1") == 0
    assert capsys.readouterr().out.startswith("       0  497.71")


def test_json_is_all_there_is_on_stdout(folder: Path, capsys: Capture) -> None:
    assert perplexity(folder, "-f", str(folder / "text.txt"), "-c", "64", "--chunks", "2", "--json", *EXACT) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ppl"] == pytest.approx(424.0725, rel=1e-6) and found["n_scored"] == 62
    assert [chunk["ppl"] for chunk in found["chunks"]] == pytest.approx([391.5487, 424.0725], rel=1e-6)
    assert (found["measure"], found["n_ctx"], found["is_whole"]) == ("perplexity", 64, True)


@pytest.mark.parametrize("option", ["-p", "-f", "-bf"])
def test_the_text_comes_from_the_command_line_or_a_file(folder: Path, tmp_path: Path, option: str, capsys: Any) -> None:
    (tmp_path / "raw").write_text(TEXT)
    text = TEXT if option == "-p" else str(tmp_path / "raw")
    assert perplexity(folder, option, text, "-c", "64", "--chunks", "1", *EXACT) == 0
    assert capsys.readouterr().out.startswith("[1]391.54")


def test_a_curve_is_drawn_on_request(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    picture = tmp_path / "ppl.svg"
    assert perplexity(folder, "-p", TEXT, "-c", "64", "--chunks", "3", "--plot", str(picture)) == 0
    assert "<polyline" in picture.read_text()
    assert perplexity(folder, "-p", TEXT, "-c", "64", "--plot", str(tmp_path / "ppl.png")) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: --plot")


# a base model
def test_tables_against_a_base_model_are_llama_cpps(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    base = str(tmp_path / "base.kld")
    options = ["-f", str(folder / "text.txt"), "-c", "64", "--chunks", "7", "--save-all-logits", base, *EXACT]
    assert perplexity(folder, *options) == 0
    capsys.readouterr()
    assert perplexity(folder, "--kl-divergence", "--kl-divergence-base", base, *EXACT, model="b.gguf") == 0
    lines, golden = capsys.readouterr().out.splitlines(), (DATA / "kl_divergence_tiny.txt").read_text().splitlines()
    for line, wanted in zip(lines, golden[: len(lines)], strict=True):
        assert NUMBER.sub("#", line) == NUMBER.sub("#", wanted)
        assert numbers(line) == pytest.approx(numbers(wanted), rel=1e-5, abs=2e-6), line
    assert not any(golden[len(lines) :])


def test_the_json_of_a_comparison_has_its_statistics(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    base = str(tmp_path / "base.kld")
    assert perplexity(folder, "-p", TEXT, "-c", "64", "--chunks", "4", "--kl-divergence-base", base, *EXACT) == 0
    capsys.readouterr()
    options = ["--kl-divergence", "--kl-divergence-base", base, "--chunks", "2", "--json", *EXACT]
    assert perplexity(folder, *options, model="b.gguf") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kld"]["value"] == pytest.approx(1.10117, abs=1e-5) and len(found["chunks"]) == 2
    assert found["kld_percentiles"]["Maximum"] >= found["kld_percentiles"]["Median"]


# tasks
def test_stories_are_scored_line_by_line(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "stories").write_text("\n".join(f"The cat {i}\n{i % 4}\nsat\nran\nate\nsaw" for i in range(9)) + "\n")
    assert perplexity(folder, "--hellaswag", "-f", str(tmp_path / "stories"), "--hellaswag-tasks", "5") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["", "task\tacc_norm\t95% confidence interval"] and lines[-1] == ""
    pattern = r"%d\t\d{1,3}\.\d{8}%%\t\[\d+\.\d{4}%%, \d+\.\d{4}%%\]"
    assert all(re.fullmatch(pattern % i, line) for i, line in enumerate(lines[2:-1], start=1)) and len(lines) == 8


def test_gaps_are_scored_line_by_line_and_at_the_end(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "gaps.csv").write_text("".join(f"{i},The _ is {i} far.,cat,dog,{1 + i % 2}\n" for i in range(101)))
    assert perplexity(folder, "--winogrande", "-f", str(tmp_path / "gaps.csv")) == 0
    out, err = capsys.readouterr()
    lines = out.split("\n")[1:-2]
    assert len(lines) == 100  # -f takes the last newline away, and a last line without one is no task
    assert re.fullmatch(r"1\t\d+\.\d{4}\t {0,2}-\d+\.\d{6}   {0,2}-\d+\.\d{6}  [12]  1", lines[0])
    share = lines[-1].split("\t")[1]
    assert re.search(rf"^Final Winogrande score\(100 tasks\): {share} \+/- \d\.\d{{4}}$", err, re.MULTILINE)


def test_answers_are_scored_and_held_against_chance(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    def text(raw: bytes) -> bytes:
        return struct.pack("<I", len(raw)) + raw

    answers = struct.pack("<I", 2) + text(b"cat") + text(b"dog") + struct.pack("<2i", 1, 0)
    task = text(b"The") + answers + answers
    header = struct.pack("<5I", 4, *(20 + i * len(task) for i in range(4)))
    (tmp_path / "tasks.bin").write_bytes(header + 4 * task)
    assert perplexity(folder, "--multiple-choice", "-bf", str(tmp_path / "tasks.bin"), "-np", "4") == 0
    out, err = capsys.readouterr()
    assert re.fullmatch(r"\ntask\tacc_norm\n(?:\d\t(?:100|0)\.00000000\n){4}\n", out)
    assert re.search(r"^Final result: (?:100|0)\.0000 \+/- 0\.0000$", err, re.MULTILINE)
    assert "Random chance: 50.0000 +/- 28.8675\n" in err


# what goes wrong
@pytest.mark.parametrize("n_tokens", [0, 1, 40])
def test_fault_95_a_text_that_is_too_short_is_explained(folder: Path, n_tokens: int, capsys: Capture) -> None:
    assert perplexity(folder, "-p", "a" * (n_tokens - 1), "-c", "64") == 2
    out, err = capsys.readouterr()
    has = max(1, n_tokens)  # BOS
    assert out == "" and err.splitlines()[-1].startswith(
        f"error: you need at least 128 tokens to evaluate perplexity with a context of 64, and the text has {has};"
    )


def test_fault_95_an_empty_file_is_explained(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "empty").touch()
    for options in ([], ["--ppl-stride", "8"], ["--hellaswag"], ["--winogrande"], ["--multiple-choice"]):
        assert perplexity(folder, "-f", str(tmp_path / "empty"), *options) == 2
        out, err = capsys.readouterr()
        assert not NAN.search(out + err) and err.splitlines()[-1].startswith("error: ")


def test_fault_95_a_model_of_nans_gives_no_figure(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    damage(write_model(tmp_path / "bad.gguf"))
    base, stories = tmp_path / "base.kld", tmp_path / "stories"
    assert perplexity(folder, "-p", TEXT, "-c", "64", "--chunks", "2", "--kl-divergence-base", str(base)) == 0
    stories.write_text("The cat\n0\nsat\nran\nate\nsaw\n")
    capsys.readouterr()
    for options in (
        ["-p", TEXT, "-c", "64"],
        ["-p", TEXT, "-c", "64", "--ppl-stride", "20"],
        ["-p", TEXT, "-c", "64", "--save-all-logits", str(tmp_path / "bad.kld")],
        ["--kl-divergence", "--kl-divergence-base", str(base)],
        ["--hellaswag", "-f", str(stories)],
    ):
        assert perplexity(tmp_path, *options, model="bad.gguf") == 2
        out, err = capsys.readouterr()
        assert not NAN.search(out + err) and "PPL =" not in err
        assert err.splitlines()[-1].startswith("error: the model's output is not a number")
    assert not (tmp_path / "bad.kld").exists()


def test_fault_95_a_context_beyond_what_was_trained_is_mentioned(folder: Path, capsys: Capture) -> None:
    assert perplexity(folder, "-p", TEXT, "-c", "300", "--chunks", "1") == 0
    assert "model was trained on only 256 context tokens (300 specified)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options, message",
    [
        (["-c", "0"], "-c: perplexity needs windows of a fixed length"),
        (["-c", "2"], "no room to score"),
        (["-b", "0"], "-b, -ub"),
        (["--ppl-output-type", "2"], "not 0 or 1"),
        (["--ppl-stride", "-1"], "less than 0"),
        (["--ppl-stride", "2000"], "stride of 2000"),
        (["--kl-divergence"], "--kl-divergence-base FILE"),
        (["--hellaswag", "--winogrande"], "choose one of"),
        (["--ppl-stride", "8", "--kl-divergence-base", "x"], "cannot be saved"),
        (["--kl-divergence", "--kl-divergence-base", "/nowhere/x.kld"], "x.kld: cannot read: No such file"),
        (["--kl-divergence-base", "/nowhere/x.kld"], "x.kld: cannot write: No such file"),
    ],
)
def test_options_that_make_no_sense_are_explained(
    folder: Path, options: list[str], message: str, capsys: Capture
) -> None:
    assert perplexity(folder, "-p", TEXT, "-c", "64", *options) in (1, 2)
    out, err = capsys.readouterr()
    assert out.strip() == "" and message in err.splitlines()[-1]


def test_without_a_text_there_is_nothing_to_measure(folder: Path, capsys: Capture) -> None:
    assert perplexity(folder) == 2
    assert capsys.readouterr().err == "error: there is nothing to measure on: give a text file with -f\n"


def test_a_run_that_is_interrupted_says_what_is_known(
    folder: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, n_calls = Context.slices, 0

    def slices(self: Context, chunks: Any) -> Any:
        nonlocal n_calls
        n_calls += 1
        if n_calls % 3 == 0:
            raise KeyboardInterrupt
        return original(self, chunks)

    monkeypatch.setattr(Context, "slices", slices)
    options = ["-p", TEXT, "-c", "64", "-b", "64", *EXACT]
    assert perplexity(folder, *options) == 130
    out, err = capsys.readouterr()
    assert re.fullmatch(r"\[1\]391\.54\d\d,\[2\]424\.07\d\d,\n", out)
    assert "Final estimate: PPL = 424.07" in err and err.endswith("Interrupted by user\n")
    base = tmp_path / "base.kld"
    assert perplexity(folder, *options, "--json", "--kl-divergence-base", str(base)) == 130
    out, err = capsys.readouterr()
    assert json.loads(out)["is_whole"] is False and f"{base} was not written" in err and not base.exists()


def test_help_imports_nothing_heavy() -> None:
    code = (
        "from llamakit.cli.app import run; import sys; assert run(['perplexity', '--help']) == 0; print(*sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "--kl-divergence-base" in shown
    assert not {"numpy", "numba", "tqdm", "llamakit.core.engine.context"} & set(shown.splitlines()[-1].split())


# the screen
@pytest.mark.parametrize(
    "seconds, n, text",
    [
        (0.5, 20, "0.50 seconds per pass - ETA 0.17 minutes"),
        (2, 2000.25, "2.00 seconds per pass - ETA 1 hours 6.67 minutes"),
    ],
)
def test_the_time_left_is_llama_cpps(seconds: float, n: float, text: str) -> None:
    assert time_left(seconds, n) == text


def test_above_a_bar_values_come_line_by_line(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llamakit.cli.perplexity_output.is_terminal", lambda stream: True)
    shown: list[tuple[str, int, int]] = []
    screen = Screen(lambda *what: shown.append(what), json=False, log=Log(INFO, None, None))
    for i in range(10):
        screen.value(f"[{i}]")
        screen.progress(i + 1, 10, "chunks")
    assert capsys.readouterr().out == "[0][1][2][3][4][5][6][7]\n"
    screen.end_values()
    assert capsys.readouterr().out == "[8][9]\n" and shown[-1] == ("chunks", 10, 10)
