"""What classifiers make of a state: their layers, functions and labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llamakit.core.engine.load import Model
from llamakit.core.engine.pooling import Pool, Pooling
from llamakit.errors import ModelError

from ... import golden
from ...encoders import N_EMBD, write_tiny_encoder

STATE = np.random.default_rng(3).normal(size=(1, N_EMBD)).astype(np.float32)
NORMED = [("cls.weight", (N_EMBD, N_EMBD)), ("cls.norm.weight", (N_EMBD,)), ("cls.output.weight", (1, N_EMBD))]


def modern(path: Path, *more: tuple[str, tuple[int, ...]], **keys: Any) -> Pool:
    """ModernBERT's classifier: a layer with a norm behind it."""
    named = {f"llamakit.classifier.{key}": value for key, value in keys.items()}
    return Pool(Model(write_tiny_encoder(path, "modern-bert", named, [*NORMED, *more])), Pooling.RANK)


@pytest.mark.parametrize("has_bias", [False, True])
def test_a_classifiers_layer_may_have_a_norm_behind_it(tmp_path, has_bias):
    pool = modern(tmp_path / "model.gguf", *[("cls.norm.bias", (N_EMBD,))] * has_bias, activation="relu")
    x = np.maximum(pool.matrices["cls"] @ STATE[0], 0)
    x = (x - x.mean()) / np.sqrt(x.var() + 1e-5) * pool.matrices["cls.norm"]
    x = x + pool.tensor("cls.norm.bias") if has_bias else x
    np.testing.assert_allclose(pool(STATE), pool.matrices["cls.output"] @ x, rtol=1e-4)


def test_a_classifiers_function_is_one_that_is_known(tmp_path):
    with pytest.raises(ModelError, match="applies 'laplace'"):
        modern(tmp_path / "model.gguf", activation="laplace")


@pytest.mark.parametrize("labels, is_share", [(["yes", "no"], True), (["bad", "good"], False), (None, False)])
def test_only_yes_and_no_become_shares(tmp_path, labels, is_share):
    made = golden.excerpts()["qwen3-dense"]
    keys = [["qwen3.classifier.output_labels", "ARRAY:STRING", labels]] if labels else []
    spec = made.spec | {"kv": made.spec["kv"] + keys}
    others = [tensor for tensor in spec["tensors"] if not tensor[0].startswith("cls.")]
    spec["tensors"] = [*others, ["cls.output.weight", [128, 2], "F32"]]
    pool = Pool(Model(golden.write_golden(replace(made, spec=spec), tmp_path / "model.gguf")), Pooling.RANK)
    state = np.random.default_rng(4).normal(size=(1, 128)).astype(np.float32)
    scores = pool.matrices["cls.output"] @ state[0]
    wanted = np.exp(scores) / np.exp(scores).sum() if is_share else scores
    np.testing.assert_allclose(pool(state), wanted, rtol=1e-4)
