"""`llamakit trace` and `llamakit diff`."""

from __future__ import annotations

import json

import numpy as np
import pytest

from llamakit.cli.app import run

from ..core.vocab.vocabs import spm_metadata
from ..tiny import Tiny, write_tiny

KEYS = spm_metadata()
TINY = Tiny(n_vocab=len(KEYS["tokenizer.ggml.tokens"]), metadata=KEYS)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", TINY))


def test_trace_shows_sizes_and_writes_the_numbers(model, tmp_path, capsys):
    path = tmp_path / "values.npz"
    assert run(["trace", "-m", model, "-p", "hello", "--values", "blk.*.attn_out", "-o", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["value", "blk.0.attn_output", "blk.1.attn_output"]
    with np.load(path) as values:
        assert f"{len(values['tokens'])} x 64" in lines[1]
        assert f"{np.sqrt(np.mean(values['blk.0.attn_output'] ** 2)):.3g}"[:4] in lines[1]


def test_trace_prints_json(model, capsys):
    assert run(["trace", model, "-p", "hello", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert set(made["values"]) == {"blk.0.out", "blk.1.out"} and made["values"]["blk.0.out"]["rms"] > 0
    assert run(["trace", "-m", model, "--names", "--json"]) == 0
    names = json.loads(capsys.readouterr().out)
    assert names[0] == "token_embd" and names[-1] == "output" and "blk.1.attn_weights" in names


def test_trace_shows_the_logit_lens(model, capsys):
    assert run(["trace", "-m", model, "-p", "hello", "--logit-lens"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["blk.0.out", "blk.1.out"]
    assert run(["trace", "-m", model, "-p", "hello", "--logit-lens", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["layers"]) == 2


@pytest.mark.parametrize(
    "options, words",
    [
        (["--values", "blk.0.atn"], "no value of this model is called 'blk.0.atn'"),
        (["--logit-lens", "-o", "x.npz"], "--logit-lens"),
    ],
)
def test_trace_says_what_is_wrong(model, options, words, capsys):
    assert run(["trace", "-m", model, "-p", "hello", *options]) in (1, 2)
    assert words in capsys.readouterr().err


def test_diff_and_export_lora_know_architectures_of_ones_own(model, tmp_path, capsys):
    for command in (["diff", model, model], ["export-lora", "-m", model, "--lora", "a.gguf"]):
        assert run([*command, "--arch-file", str(tmp_path / "absent.py")]) == 2
        assert "--arch-file names a Python file" in capsys.readouterr().err


def test_diff_says_where_files_begin_to_differ(model, tmp_path, capsys):
    other = str(write_tiny(tmp_path / "q.gguf", Tiny(**{**vars(TINY), "type": "q4_0"})))
    assert run(["diff", model, model]) == 0
    assert "no value differs" in capsys.readouterr().out
    assert run(["diff", model, other, "-p", "hello world", "--threshold", "1e-6"]) == 1
    assert "<- the first beyond the threshold" in capsys.readouterr().out
    assert run(["diff", model, other, "--json", "--threshold", "1e-6"]) == 1
    made = json.loads(capsys.readouterr().out)
    assert made["first"] == "token_embd"
    assert run(["diff", model, other, "--threshold", "-1"]) == 1
    assert "--threshold" in capsys.readouterr().err
