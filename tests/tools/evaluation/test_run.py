"""A model at tasks, two models at the same ones, the report, the command."""

from __future__ import annotations

import json

import pytest

from llamakit.cli.app import run as run_command
from llamakit.core.engine.context import Chunk, Outputs
from llamakit.core.engine.load import load_model
from llamakit.core.sampling.logprobs import logprobs
from llamakit.errors import UsageError
from llamakit.tools.evaluation.formats import Suite
from llamakit.tools.evaluation.report import as_json, page
from llamakit.tools.evaluation.run import EvalParams, Result, difference, evaluate, find_suites

from ...api.model import TINY
from ...running import open_context
from ...tiny import Tiny, write_tiny

WORDS = ["the cat", "cat the", "the the the", "ca", "t"]
RECORDS = [
    {"question": f"{WORDS[i % 5]} {i}", "choices": [WORDS[(i + k) % 5] for k in range(3)], "answer": i % 3,
     "category": "even" if i % 2 == 0 else "odd"}
    for i in range(12)
]  # fmt: skip


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", TINY)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    (folder / "sub").mkdir()
    (folder / "sub" / "words_test.jsonl").write_text("\n".join(map(json.dumps, RECORDS)))
    return folder


def test_answers_are_chosen_by_the_sums_of_their_log_probabilities(path, folder):
    (suite,) = find_suites(["words"], str(folder), 0)
    (result,) = evaluate(str(path), EvalParams([suite], n_threads=1))
    vocab = load_model(path).vocab
    with open_context(path, type_k="f16", type_v="f16", n_threads=1) as context:
        for record, is_right, by_length in zip(RECORDS, result.right, result.right_by_length, strict=True):
            prompt = f"Question: {record['question']}\nAnswer:"
            n = len(vocab.encode(prompt))
            sums = []
            for choice in record["choices"]:
                tokens = vocab.encode(f"{prompt} {choice}")
                context.truncate(0)
                rows = context.decode([Chunk(tokens, 0, Outputs.ALL)])
                sums.append(sum(logprobs(rows[i - 1], [tokens[i]])[0] for i in range(n, len(tokens))))
            lengths = [len(choice.encode()) for choice in record["choices"]]
            assert is_right == (sums.index(max(sums)) == record["answer"])
            shares = [total / length for total, length in zip(sums, lengths, strict=True)]
            assert by_length == (shares.index(max(shares)) == record["answer"])
    assert {name: share.n for name, share in result.groups.items()} == {"even": 6, "odd": 6}


def result(*right: bool) -> Result:
    return Result(Suite("words", "choices", [None] * len(right), None, [""] * len(right)), right, right)


def test_two_models_are_compared_pair_by_pair():
    d = difference(result(True, True, False, False), result(True, False, True, True))
    assert (d.difference, d.only_a, d.only_b) == (0.25, 1, 2)
    assert d.error == pytest.approx((((3 / 4) - 0.0625) / 3) ** 0.5)
    assert d.p_value == 1.0
    assert difference(result(*[False] * 10), result(*[True] * 10)).p_value == pytest.approx(2 / 1024)


def test_the_report_has_every_figure():
    runs = [[result(True, True, False)], [result(True, False, False)]]
    made = as_json(["a.gguf", "b.gguf"], runs)
    assert json.loads(json.dumps(made, allow_nan=False))["tasks"][0]["versus"]["difference"] == pytest.approx(-1 / 3)
    text = page(["a.gguf", "<b>.gguf"], runs)
    assert "66.67" in text and "&lt;b&gt;" in text and "<b>.gguf" not in text


@pytest.mark.parametrize(
    "names, words", [(["nothing"], "there is no such file"), (["w"], None), (["/not/there.csv"], "no such file")]
)
def test_tasks_are_found_by_name(folder, names, words):
    if words is None:
        assert find_suites(names, str(folder), 3)[0].groups == ["even", "odd", "even"]
    else:
        with pytest.raises(UsageError, match=words):
            find_suites(names, str(folder) if names[0] == "nothing" else None, 0)


def test_a_name_that_means_several_files_is_refused(tmp_path):
    for name in ("arc_easy.jsonl", "arc_challenge.jsonl"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(UsageError, match=r"means arc_challenge\.jsonl, arc_easy\.jsonl"):
        find_suites(["arc"], str(tmp_path), 0)


def test_the_command_prints_a_table_json_and_a_page(path, folder, tmp_path, capsys):
    other = str(write_tiny(tmp_path / "other.gguf", Tiny(**{**vars(TINY), "seed": 5})))
    report = tmp_path / "report.html"
    base = ["eval", str(path), "--tasks", "words", "--data", str(folder), "-t", "1"]
    assert run_command([*base, "--vs", other, "--report", str(report)]) == 0
    assert "words" in capsys.readouterr().out and "<svg" in report.read_text()
    assert run_command([*base, "--json", "--n-tasks", "5"]) == 0
    assert json.loads(capsys.readouterr().out)["tasks"][0]["n_tasks"] == 5
    (tmp_path / "nothing.gguf").touch()  # a page that cannot be written is refused before a model is opened
    refused = ["eval", str(tmp_path / "nothing.gguf"), *base[2:], "--report", str(tmp_path / "none/report.html")]
    assert run_command(refused) == 2
    assert "none/report.html: cannot write" in capsys.readouterr().err
    assert run_command(["eval", "-m", str(path)]) == 1
    assert "--tasks" in capsys.readouterr().err
