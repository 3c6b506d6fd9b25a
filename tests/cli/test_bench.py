"""`llamakit bench`: llama-bench's flags and outputs."""

from __future__ import annotations

import csv
import json
import re
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from llamakit.cli.app import run
from llamakit.cli.bench import numbers, pair
from llamakit.cli.bench_output import FORMATS, fields, markdown, params_text, size_text
from llamakit.cli.parsing.reader import InvalidArgument
from llamakit.core.engine.load import load_model
from llamakit.tools.bench import Grid, Result, Setup, Workload, limit_ns
from tests.api.model import TINY
from tests.fake_engine import FakeEngine
from tests.tiny import write_tiny

Capture = pytest.CaptureFixture[str]

PROMPT = Result(
    Setup("it's.gguf", n_threads=2), Workload(n_prompt=512), "llama 135M Q4_1", 96576768, 134515008, 2,
    "2026-01-02T03:04:05Z", (512 * 10**6, 512 * 10**6), 256e6,
)  # fmt: skip
GENERATION = replace(PROMPT, test=Workload(n_gen=128), samples_ns=(128 * 10**7, 64 * 10**7), limit_ns=64e7)
RESULTS = [PROMPT, GENERATION]
GRID = Grid(["it's.gguf"])

# llama-bench's fields of 2026, in its order
FIELDS = """build_commit build_number cpu_info gpu_info backends model_filename model_type model_size model_n_params
n_batch
n_ubatch n_threads cpu_mask cpu_strict poll type_k type_v n_gpu_layers n_cpu_moe split_mode main_gpu no_kv_offload
flash_attn devices tensor_split tensor_buft_overrides load_mode lazy_mode embeddings no_op_offload no_host repack
fit_target fit_min_ctx n_prompt n_gen n_depth test_time avg_ns stddev_ns avg_ts stddev_ts""".split()


def shown(name: str, results: list[Result] = RESULTS) -> str:
    return "\n".join(FORMATS[name](results, GRID))


def test_the_fields_are_llama_benchs_and_one_more() -> None:
    assert list(fields(PROMPT)) == [*FIELDS, "percent_of_limit"]


def test_markdown_is_llama_benchs_table_and_one_more_column() -> None:
    lines = shown("md").splitlines()
    assert lines[0] == (
        "| model                          |       size |     params | backend    | threads |            test |"
        "                  t/s | % of limit |"
    )
    assert lines[1] == (
        "| ------------------------------ | ---------: | ---------: | ---------- | ------: | --------------: |"
        " -------------------: | ---------: |"
    )
    assert lines[2] == (
        "| llama 135M Q4_1                |  92.10 MiB |   134.52 M | CPU        |       2 |           pp512 |"
        "       1000.00 ± 0.00 |       50.0 |"
    )
    assert lines[3].endswith("|           tg128 |       150.00 ± 70.71 |       66.7 |")
    assert re.fullmatch(r"build: llamakit-[\d.]+ \(0\)", lines[-1])


def test_markdown_shows_what_varies() -> None:
    grid = Grid(["m"], n_ubatch=(64, 512), type_k=("q8_0",), embeddings=(True,))
    header = next(iter(markdown(RESULTS, grid)))
    columns = ["threads", "n_ubatch", "type_k", "embd", "test"]
    assert [cell.strip() for cell in header.strip("|").split("|")][4:9] == columns


def test_an_error_before_the_first_row_has_no_table_over_it(capsys: Capture) -> None:
    assert run(["bench", "-m", "/no/such.gguf"]) == 2
    assert capsys.readouterr().out == ""


def test_files_of_repositories_are_named_one_each(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr("llamakit.cli.bench.model_path", lambda *what: asked.append(what) or "/no/such.gguf")
    words = ["bench", "-hf", "a/b:Q4_0,c/d", "-hff", "x.gguf,y.gguf", "-hft", "secret"]
    assert run(words) == 2
    assert [(what[0], what[3]) for what in asked] == [("hf:a/b/x.gguf", "secret"), ("hf:c/d/y.gguf", "secret")]
    assert run(["bench", "-hf", "a/b", "-hff", "x,y"]) == 1
    assert "-hff names 2 files for 1 repositories" in capsys.readouterr().err


def test_devices_are_listed(capsys: Capture) -> None:
    assert run(["bench", "--list-devices"]) == 0
    assert capsys.readouterr().out.startswith("Available devices:")


def test_embeddings_are_computed_without_the_head(tmp_path: Path, capsys: Capture) -> None:
    model = str(write_tiny(tmp_path / "tiny.gguf", TINY))
    words = ["bench", "-m", model, "-p", "8", "-n", "2", "-d", "4", "-r", "1", "-o", "json", "-embd", "0,1"]
    assert run(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["embeddings"] for row in found] == [False, False, True, True]
    assert all(row["avg_ns"] > 0 for row in found)
    assert run(["bench", "-m", model, "-embd", "2"]) == 1
    assert "-embd: 2 is not of 0 and 1" in capsys.readouterr().err


def test_the_limit_of_embeddings_leaves_out_the_head(tmp_path: Path) -> None:
    with load_model(write_tiny(tmp_path / "tiny.gguf", TINY)) as model:
        whole, headless = (
            limit_ns(Workload(n_gen=1), model, 1, OneByteASecond(), has_head) for has_head in (True, False)
        )
        head = model.reader.tensor("output.weight" if "output.weight" in model.reader else "token_embd.weight")
    assert whole - headless == pytest.approx(1e9 * head.n_bytes)


class OneByteASecond:
    def read_bandwidth(self, n_threads: int) -> float:
        return 1.0

    def int8_peak(self, n_threads: int) -> float:
        return 1.0


@pytest.mark.parametrize("n_bytes, text", [(96576768, "92.10 MiB"), (2**30, "1.00 GiB"), (5 * 2**29, "2.50 GiB")])
def test_sizes_are_in_mib_below_a_gib(n_bytes: int, text: str) -> None:
    assert size_text(n_bytes) == text


@pytest.mark.parametrize("n_params, text", [(134515008, "134.52 M"), (1070000000, "1.07 B")])
def test_parameters_are_in_millions_below_a_billion(n_params: int, text: str) -> None:
    assert params_text(n_params) == text


def test_csv_quotes_every_value() -> None:
    header, first, second = shown("csv").splitlines()
    assert header == ",".join([*FIELDS, "percent_of_limit"])
    assert first.startswith('"llamakit-')
    row = dict(zip(header.split(","), next(csv.reader([second])), strict=True))
    assert (row["n_gen"], row["cpu_strict"], row["avg_ts"]) == ("128", "0", "150.000000")


def test_json_holds_the_samples() -> None:
    first, second = json.loads(shown("json"))
    assert list(first) == [*FIELDS, "percent_of_limit", "samples_ns", "samples_ts"]
    assert second["samples_ns"] == [1280000000, 640000000]
    assert second["samples_ts"] == [100.0, 200.0]
    assert (first["cpu_strict"], first["repack"], first["no_op_offload"]) == (False, True, 0)


def test_jsonl_is_an_object_a_line() -> None:
    assert [json.loads(line)["n_prompt"] for line in shown("jsonl").splitlines()] == [512, 0]


def test_sql_runs_in_a_database() -> None:
    database = sqlite3.connect(":memory:")
    try:
        database.executescript(shown("sql"))
        rows = database.execute("SELECT model_filename, n_prompt, avg_ts FROM llama_bench").fetchall()
    finally:
        database.close()
    assert rows == [("it's.gguf", 512, 1000.0), ("it's.gguf", 0, 150.0)]


@pytest.mark.parametrize("name, empty", [("json", "[]"), ("jsonl", ""), ("csv", ""), ("sql", "")])
def test_no_results_are_still_well_formed(name: str, empty: str) -> None:
    assert shown(name, []) == empty


@pytest.mark.parametrize(
    "texts, found",
    [
        ([], []),
        (["1,2", "3"], [1, 2, 3]),
        (["1-4"], [1, 2, 3, 4]),
        (["0-512+256"], [0, 256, 512]),
        (["8-64*2,7"], [8, 16, 32, 64, 7]),
    ],
)
def test_numbers_come_as_lists_and_ranges(texts: list[str], found: list[int]) -> None:
    assert numbers("-p", texts) == found


@pytest.mark.parametrize("text", ["x", "1-", "-1", "0-8*2", "1-8*1", "1-8+0"])
def test_a_malformed_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        numbers("-p", [text])


def test_pairs_are_two_numbers() -> None:
    assert pair("512,128") == (512, 128)
    for text in ("512", "1,2,3", "a,b", "0,0"):
        with pytest.raises(InvalidArgument):
            pair(text)


def test_the_command_runs_every_test(fake_engine: FakeEngine, capsys: Capture) -> None:
    args = "-m a.gguf,b.gguf -p 8 -n 4 -pg 4,2 -r 2 -ngl 99 -fa 0,1 -mmp 0 -o jsonl".split()
    assert run(["bench", *args]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    tests = [(row["model_filename"], row["n_prompt"], row["n_gen"]) for row in rows]
    assert tests == [(model, *test) for model in ("a.gguf", "b.gguf") for test in ((8, 0), (0, 4), (4, 2))]
    assert all(len(row["samples_ns"]) == 2 for row in rows)


def test_results_can_go_to_stderr_too(fake_engine: FakeEngine, capsys: Capture) -> None:
    assert run("bench -m a.gguf -p 8 -n 0 -r 1 -o none -oe csv --progress".split()) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0] == "benchmark 1/1: a.gguf pp8"
    assert err.splitlines()[1].startswith("build_commit,")


@pytest.mark.parametrize("args", [["-o", "xml"], ["-r", "0"], ["-p", "many"]])
def test_bad_arguments_exit_1_before_anything_runs(args: list[str], fake_engine: FakeEngine, capsys: Capture) -> None:
    assert run(["bench", "-m", "a.gguf", *args]) == 1
    assert capsys.readouterr().err.startswith("error: ")
    assert fake_engine.models == []
