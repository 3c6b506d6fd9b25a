"""What could not be loaded is not written: the plan is held against the architecture's formula."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llamakit.cli.app import run
from llamakit.convert.plan import OUTPUT_TYPES, Plan, Source, make_plan, metadata
from llamakit.convert.run import Options, carry_out
from llamakit.errors import ModelError

from .folders import safetensors_bytes, tensors, write_folder

Capture = pytest.CaptureFixture[str]
Q = "model.layers.1.self_attn.q_proj.weight"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "tiny")


def plan_of(folder: Path, changes: dict[str, tuple[int, ...] | None], **config: Any) -> Plan:
    """The plan of a folder whose tensors have other shapes, or are missing (None)."""
    arrays = tensors()
    for name, shape in changes.items():
        if shape is None:
            del arrays[name]
        else:
            arrays[name] = np.zeros(shape, np.float32)
    write_folder(folder, config)
    (folder / "model.safetensors").write_bytes(safetensors_bytes(arrays))
    source = Source.open(folder)
    return make_plan(source, metadata(source), OUTPUT_TYPES["f32"])


@pytest.mark.parametrize(
    "name, shape, words",
    [
        (Q, None, f"blk.1.attn_q.weight is missing (needs shape [32, 32]): {Q}"),
        ("model.norm.weight", None, "output_norm.weight is missing (needs shape [32]): norm.weight"),
        (
            "model.embed_tokens.weight", None,
            "token_embd.weight is missing (needs shape [262, 32]): embed_tokens.weight",
        ),
        (Q, (24, 32), f"blk.1.attn_q.weight has shape [24, 32], needs [32, 32]: {Q}"),
        (
            "model.layers.0.mlp.up_proj.weight", (48, 32),
            "blk.0.ffn_up.weight has shape [48, 32], needs [64, 32]: model.layers.0.mlp.up_proj.weight",
        ),
    ],
)  # fmt: skip
def test_fault_45_tensors_that_are_missing_or_misshapen(
    name: str, shape: tuple[int, ...] | None, words: str, folder: Path
) -> None:
    assert plan_of(folder, {name: shape}).problems == [words]


def test_a_kind_of_tensor_that_no_layer_has_is_named_by_the_familys_words(folder: Path) -> None:
    both = {f"model.layers.{i}.self_attn.o_proj.weight": None for i in range(2)}
    assert plan_of(folder, both).problems == [
        f"blk.{i}.attn_output.weight is missing (needs shape [32, 32]): self_attn.o_proj.weight of layer {i}"
        for i in range(2)
    ]


def test_nothing_is_written_and_a_dry_run_tells_why(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    output = tmp_path / "out.gguf"
    plan = plan_of(folder, {Q: None})
    with pytest.raises(ModelError, match=r"cannot be loaded: blk\.1\.attn_q\.weight is missing"):
        list(carry_out(plan, output, Options()))
    command = ["convert-hf", str(folder), "--outtype", "f32", "--outfile", str(output)]
    assert run(command) == 2
    assert run([*command, "--split-max-tensors", "4"]) == 2
    assert Q in capsys.readouterr().err
    assert not list(tmp_path.glob("out*"))
    assert run([*command, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["problems"] == list(plan.problems)


def test_a_vocabulary_alone_lacks_nothing(folder: Path) -> None:
    source = Source.open(folder, has_weights=False)
    assert make_plan(source, metadata(source), OUTPUT_TYPES["f32"]).problems == []


def test_opening_a_vocabulary_alone_says_what_it_is(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "vocabulary.gguf"
    assert run(["convert-hf", str(folder), "--vocab-only", "--outfile", str(path)]) == 0
    capsys.readouterr()
    assert run(["run", "-m", str(path), "-p", "a", "-n", "1"]) == 2
    assert capsys.readouterr().err.strip().endswith("a vocabulary only: the file has no tensors to compute with")


def test_fewer_than_no_tensors_in_a_shard_are_refused(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    assert run(["convert-hf", str(folder), "--outfile", str(tmp_path / "x.gguf"), "--split-max-tensors", "-1"]) == 1
    assert "--split-max-tensors -1" in capsys.readouterr().err
    assert not (tmp_path / "x.gguf").exists()


HEAD = "lm_head.weight"


def test_a_head_that_is_not_the_embedding_must_be_there(folder: Path) -> None:
    assert "there is no head (lm_head.weight)" in plan_of(folder, {HEAD: None}).problems[0]
    assert plan_of(folder, {HEAD: None}, tie_word_embeddings=True).problems == []
    assert plan_of(folder, {HEAD: None}, tie_word_embeddings=None).problems == []


def test_where_parts_of_the_config_disagree_the_head_may_be_the_embedding(folder: Path) -> None:
    text = {"tie_word_embeddings": False}
    assert plan_of(folder, {HEAD: None}, tie_word_embeddings=True, text_config=text).problems == []
    assert plan_of(folder, {HEAD: None}, tie_word_embeddings=False, text_config=text).problems != []


def test_an_architecture_that_the_engine_does_not_have_is_converted_as_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llamakit.convert.fit.lookup", lambda arch: None)
    assert plan_of(folder, {Q: None}).problems == []
