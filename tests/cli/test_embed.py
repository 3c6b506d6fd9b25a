"""`llamakit embed`: vectors and cosines in llama-embedding's formats."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from llamakit.cli.app import run

from ..encoders import N_EMBD, N_VOCAB, write_tiny_encoder

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁a", "▁b", "▁c"]
VOCAB = {
    "tokenizer.ggml.model": "bert",
    "tokenizer.ggml.tokens": WORDS + [f"▁w{i}" for i in range(N_VOCAB - len(WORDS))],
    "tokenizer.ggml.token_type": [3, 3, 3, 3] + [1] * (N_VOCAB - 4),
    "tokenizer.ggml.bos_token_id": 2,
    "tokenizer.ggml.unknown_token_id": 1,
    "tokenizer.ggml.seperator_token_id": 3,
    "tokenizer.ggml.padding_token_id": 0,
    "bert.pooling_type": 1,
}
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_encoder(tmp_path_factory.mktemp("models") / "model.gguf", "bert", VOCAB))


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> str:
    tensors = [("cls.output.weight", (1, N_EMBD))]
    path = tmp_path_factory.mktemp("models") / "model.gguf"
    return str(write_tiny_encoder(path, "bert", {**VOCAB, "bert.pooling_type": 4}, tensors))


def shown(capsys: Capture, *args: str) -> str:
    assert run(["embed", *args]) == 0
    return capsys.readouterr().out


def vectors_of(text: str) -> np.ndarray:
    return np.array([each["embedding"] for each in json.loads(text)["data"]])


def test_one_text_is_shown_in_full(model: str, capsys: Capture) -> None:
    (line,) = shown(capsys, "-m", model, "-p", "a b c").strip().splitlines()
    name, _, numbers = line.partition(": ")
    assert name == "embedding 0"
    assert len(numbers.split()) == N_EMBD
    assert np.linalg.norm(np.array(numbers.split(), float)) == pytest.approx(1, abs=1e-4)


def test_several_texts_are_followed_by_their_cosines(model: str, capsys: Capture) -> None:
    lines = shown(capsys, "-m", model, "-p", r"a b\nc w1 w2 w3 w4 w5\na b").splitlines()
    assert [len(line.split()) for line in lines[1:4]] == [2 + 16] * 3
    assert lines[4:8] == ["", "cosine similarity matrix:", "", "   a b c w1 w    a b "]
    table = [line[:21].split() for line in lines[8:]]
    assert [row[i] for i, row in enumerate(table)] == ["1.00"] * 3
    assert table[0][2] == table[2][0] == "1.00"
    assert table[0][1] == table[1][0] != "1.00"
    assert [line[21:] for line in lines[8:]] == ["a b", "c w1 w2 w3", "a b"]


def test_json_is_openai_s_list(model: str, capsys: Capture) -> None:
    text = shown(capsys, "-m", model, "-p", "a|b c", "--embd-separator", "|", "--embd-output-format", "json")
    answer = json.loads(text)
    assert answer["object"] == "list"
    assert [(each["object"], each["index"]) for each in answer["data"]] == [("embedding", 0), ("embedding", 1)]
    assert vectors_of(text).shape == (2, N_EMBD)
    more = json.loads(
        shown(capsys, "-m", model, "-p", "a|b c", "--embd-separator", "|", "--embd-output-format", "json+")
    )
    vectors = vectors_of(text)
    np.testing.assert_allclose(more.pop("cosineSimilarity"), vectors @ vectors.T, atol=0.0051)
    assert more == answer


def test_arrays_and_raw_lines_hold_the_same_numbers(model: str, capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("a b\nc\n")
    file = ["-m", model, "-f", str(tmp_path / "t.txt"), "--embd-output-format"]
    arrays = json.loads(shown(capsys, *file, "array"))
    raw = [list(map(float, line.split())) for line in shown(capsys, *file, "raw").splitlines()]
    assert arrays == raw
    assert np.array(raw).shape == (2, N_EMBD)


@pytest.mark.parametrize(
    "norm, of", [("0", lambda x: np.abs(x).max() / 32760), ("1", lambda x: np.abs(x).sum()), ("2", np.linalg.norm)]
)
def test_norms_are_chosen(model: str, norm: str, of, capsys: Capture) -> None:
    options = ["-m", model, "-p", "a b c", "--embd-output-format", "json"]
    plain = vectors_of(shown(capsys, *options, "--embd-normalize", "-1"))[0]
    normed = vectors_of(shown(capsys, *options, "--embd-normalize", norm))[0]
    np.testing.assert_allclose(normed, plain / of(plain), atol=0.5 if norm == "0" else 1e-6)


def test_without_pooling_there_is_a_vector_for_each_token(model: str, capsys: Capture) -> None:
    lines = shown(capsys, "-m", model, "-p", "a b c", "--pooling", "none").strip().splitlines()
    assert [line.split(":")[0] for line in lines] == [f"embedding {i}" for i in range(5)]  # CLS and SEP around
    assert all(line.split()[5] == "..." for line in lines)


def test_attention_can_be_causal(model: str, capsys: Capture) -> None:
    options = ["-m", model, "--pooling", "cls", "--embd-output-format", "json", "-p"]
    first = [shown(capsys, *options, text, "--attention", "causal") for text in ("a b", "a c")]
    assert first[0] == first[1]
    assert shown(capsys, *options, "a b") != shown(capsys, *options, "a c", "--attention", "non-causal")


def test_rerankers_score_a_query_with_a_document(reranker: str, capsys: Capture) -> None:
    lines = shown(capsys, "-m", reranker, "-p", r"a\tb c\na[SEP]b c\na\tw1").strip().splitlines()
    assert [line.split(":")[0] for line in lines] == [f"rerank score {i}" for i in range(3)]
    scores = [float(line.split(":")[1]) for line in lines]
    assert scores[0] == scores[1] != scores[2]


@pytest.mark.parametrize(
    "args, word",
    [
        (["--pooling", "max"], "pooling 'max'"),
        (["--attention", "both"], "--attention: 'both'"),
        (["--embd-normalize", "-2"], "--embd-normalize: -2"),
        (["--embd-output-format", "xml"], "--embd-output-format: 'xml'"),
        (["--pooling", "rank"], "no classifier"),
        (["-c", "2"], "text 0 has 3 tokens"),
    ],
)
def test_what_makes_no_sense_is_told(model: str, args: list[str], word: str, capsys: Capture) -> None:
    assert run(["embed", "-m", model, "-p", "a", *args]) in (1, 2)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert word in captured.err
    assert captured.err.count("\n") == 1
