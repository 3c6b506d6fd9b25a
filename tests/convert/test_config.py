"""Settings in the spellings of transformers 4 and 5, and beside or inside of text_config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llamakit.convert.config import Config
from llamakit.convert.rotation import llama3_factors, scaling_keys
from llamakit.errors import ModelError

SHAPE = {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2, "max_position_embeddings": 256}
LLAMA3 = {"factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 64}


def config(**values: Any) -> Config:
    return Config(Path("config.json"), {**SHAPE, **values})


@pytest.mark.parametrize(
    "old, new",
    [
        ({"rope_theta": 5e5}, {"rope_theta": 5e5, "rope_type": "default"}),
        (
            {"rope_theta": 1e4, "rope_scaling": {"type": "linear", "factor": 4.0}},
            {"rope_theta": 1e4, "rope_type": "linear", "factor": 4.0},
        ),
        (
            {"rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", **LLAMA3}},
            {"rope_theta": 5e5, "rope_type": "llama3", **LLAMA3},
        ),
        (
            {"rope_theta": 1e4, "rope_scaling": {"type": "yarn", "factor": 4.0, "beta_fast": 16},
             "original_max_position_embeddings": 64},
            {"rope_theta": 1e4, "rope_type": "yarn", "factor": 4.0, "beta_fast": 16,
             "original_max_position_embeddings": 64},
        ),
        (
            {"rope_theta": 1e6, "rope_local_base_freq": 1e4},
            {"full_attention": {"rope_theta": 1e6, "rope_type": "default"},
             "sliding_attention": {"rope_theta": 1e4, "rope_type": "default"}},
        ),
        ({"rope_theta": 1e4, "partial_rotary_factor": 0.5}, {"rope_theta": 1e4, "partial_rotary_factor": 0.5}),
        ({"rotary_emb_base": 1e4, "rotary_pct": 0.25}, {"rope_theta": 1e4, "partial_rotary_factor": 0.25}),
    ],
)  # fmt: skip
def test_both_spellings_of_rotations_are_the_same(old: dict[str, Any], new: dict[str, Any]) -> None:
    before, after = config(**old), config(rope_parameters=new)
    assert dict(scaling_keys(before)) == dict(scaling_keys(after)) != {}
    if "llama3" in str(new):
        assert llama3_factors(before, before.rope, 16) == llama3_factors(after, after.rope, 16)
    part = [each.rope.float("partial_rotary_factor", default=1.0) for each in (before, after)]
    assert part[0] == part[1]


def test_yarn_with_a_magnitude_of_its_own() -> None:
    keys = dict(scaling_keys(config(rope_parameters={"rope_type": "yarn", "factor": 4.0, "attention_factor": 1.5})))
    assert keys["rope.scaling.attn_factor"] * (0.1 * 1.3862943611198906 + 1) == pytest.approx(1.5)


def test_text_config_goes_before_the_rest(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"hidden_size": 1, "vocab_size": 9, "text_config": {"hidden_size": 64}}')
    read = Config.read(tmp_path)
    assert (read.n_embd, read.int("vocab_size")) == (64, 9)


@pytest.mark.parametrize(
    "values, words",
    [
        ({"hidden_size": True}, "hidden_size is True, not a whole number"),
        ({"hidden_size": 1.5}, "hidden_size is 1.5"),
        ({"hidden_size": None}, "hidden_size or n_embd or d_model or dim is missing"),
    ],
)
def test_wrong_values_are_named(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        _ = config(**values).n_embd
