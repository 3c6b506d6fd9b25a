"""Keys of converted files that change what an architecture does, read off the formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from llamakit.core.graph.ops import Clamp, Glu, RmsNorm, Rope, Scale, Shift, in_order
from llamakit.core.graph.ops.attention import Attention, alibi_by_key
from llamakit.core.graph.ops.experts import Experts
from llamakit.core.graph.ops.recurrent import DeltaScan, FadingScan, StateScan
from llamakit.errors import ModelError

from ... import golden
from ...encoders import write_tiny_encoder
from ...running import logits_of, open_context, open_decoder, reference


def nodes_of(name: str, path: Any, *keys: list[Any]) -> list[Any]:
    """The formula of a golden model with other keys."""
    wanted = golden.excerpts()[name]
    spec = wanted.spec | {"kv": [kv for kv in wanted.spec["kv"] if kv[0] not in {k[0] for k in keys}] + [*keys]}
    golden.write_golden(golden.Golden(name, spec, wanted.tokens, wanted.rows, np.zeros(0)), path)
    return in_order(open_decoder(path).logits(256))


def windows(nodes: list[Any]) -> list[int]:
    return [node.window for node in nodes if isinstance(node, Attention)]


def test_any_transformer_has_windows_where_the_file_gives_a_width(tmp_path):
    path, key = tmp_path / "model.gguf", "llama.attention.sliding_window"
    assert windows(nodes_of("llama-dense", path)) == [0, 0]
    assert windows(nodes_of("llama-dense", path, [key, "UINT32", 20])) == [20, 20]
    listed = nodes_of("llama-dense", path, [key, "UINT32", 20], [f"{key}_pattern", "ARRAY:BOOL", [False, True]])
    assert windows(listed) == [0, 20]


def test_the_feed_forwards_function_is_the_files(tmp_path):
    path, key = tmp_path / "model.gguf", "llama.hidden_activation"
    nodes = nodes_of("llama-dense", path, [key, "STRING", "relu2"])
    assert {node.activation for node in nodes if isinstance(node, Glu)} == {"relu2"}
    with pytest.raises(ModelError, match="'laplace'"):
        nodes_of("llama-dense", path, [key, "STRING", "laplace"])


def test_the_range_of_yarn_can_be_left_unrounded(tmp_path):
    yarn = [["llama.rope.scaling.type", "STRING", "yarn"], ["llama.rope.scaling.factor", "FLOAT32", 4.0]]
    for is_rounded in (True, False):
        nodes = nodes_of(
            "llama-dense", tmp_path / "model.gguf", *yarn, ["llamakit.rope.yarn_truncate", "BOOL", is_rounded]
        )
        assert {node.rotation.yarn.is_rounded for node in nodes if isinstance(node, Rope)} == {is_rounded}


def test_time_steps_of_state_spaces_have_limits(tmp_path):
    limits = [["llamakit.ssm.time_step_min", "FLOAT32", 0.25], ["llamakit.ssm.time_step_max", "FLOAT32", 0.5]]
    steps = [n.dt for n in nodes_of("nemotron_h-dense", tmp_path / "model.gguf", *limits) if isinstance(n, StateScan)]
    assert steps and all(isinstance(dt, Clamp) and dt.limit == 0.5 for dt in steps)
    assert all(isinstance(dt.x, Shift) and dt.x.c == 0.25 for dt in steps)


def test_the_norm_in_minimaxs_linear_attention_has_an_eps_of_its_own(tmp_path):
    nodes = nodes_of("minimax-01-moe", tmp_path / "model.gguf", ["llamakit.mixer_norm_epsilon", "FLOAT32", 0.25])
    assert {n.eps == 0.25 for n in nodes if isinstance(n, RmsNorm) and isinstance(n.x, FadingScan)} == {True}
    assert {n.eps == 0.25 for n in nodes if isinstance(n, RmsNorm) and not isinstance(n.x, FadingScan)} == {False}


def test_the_limit_of_gates_and_ups_is_the_files(tmp_path):
    for keys, limit in (([], 7.0), ([["llamakit.swiglu_limit", "FLOAT32", 5.0]], 5.0)):
        nodes = nodes_of("gpt-oss-moe", tmp_path / "model.gguf", *keys)
        assert {node.limit for node in nodes if isinstance(node, Experts)} == {limit}


def test_modern_bert_applies_the_function_that_the_file_names(tmp_path):
    path, key = tmp_path / "model.gguf", "modern-bert.hidden_activation"
    for name, ours in {"gelu": "gelu_erf", "gelu_new": "gelu", "relu": "relu", "quick_gelu": "gelu_quick"}.items():
        nodes = in_order(open_decoder(write_tiny_encoder(path, "modern-bert", {key: name})).hidden(256))
        assert {node.activation for node in nodes if isinstance(node, Glu)} == {ours}
    with pytest.raises(ModelError, match="'laplace'"):
        open_decoder(write_tiny_encoder(path, "modern-bert", {key: "laplace"}))


def test_layers_with_a_window_may_have_a_scaling_of_their_own(tmp_path):
    path, key = tmp_path / "model.gguf", "llamakit.swa.rope.scaling"
    own = [[f"{key}.type", "STRING", "linear"], [f"{key}.factor", "FLOAT32", 4.0]]
    for keys, scales in ((own, {0.25, 1.0}), ([], {1.0})):
        turns = [node for node in nodes_of("gemma3-dense", path, *keys) if isinstance(node, Rope)]
        assert {node.rotation.scale for node in turns} == scales


def test_layers_with_a_window_may_have_frequency_factors_of_their_own(tmp_path):
    path, key = tmp_path / "model.gguf", "llamakit.swa.rope.scaling"

    def factors(*keys: list[Any]) -> set[tuple[float, ...] | None]:
        nodes = nodes_of("gemma3-dense", path, [f"{key}.type", "STRING", "longrope"], *keys)
        return {node.rotation.factors for node in nodes if isinstance(node, Rope)}

    lists = [[f"{key}.{n}_factors", "ARRAY:FLOAT32", [x] * 16] for n, x in (("long", 4.0), ("short", 2.0))]
    assert factors(*lists, [f"{key}.original_context_length", "UINT32", 64]) == {None, (4.0,) * 16}
    assert factors(*lists, [f"{key}.original_context_length", "UINT32", 512]) == {None, (2.0,) * 16}
    assert factors([f"{key}.factors", "ARRAY:FLOAT32", [3.0] * 16]) == {None, (3.0,) * 16}
    with pytest.raises(ModelError, match="5 frequency factors for 16 pairs"):
        factors([f"{key}.factors", "ARRAY:FLOAT32", [3.0] * 5])


def test_the_length_of_a_delta_nets_keys_has_an_eps_of_its_own(tmp_path):
    eps = ["llamakit.unit_norm_epsilon", "FLOAT32", 0.5]
    scans = [n for n in nodes_of("qwen3next-moe", tmp_path / "model.gguf", eps) if isinstance(n, DeltaScan)]
    norms = [scan.k.x for scan in scans if isinstance(scan.k, Scale)]
    assert norms and all(isinstance(norm, RmsNorm) and norm.eps * norm.group == 0.5 for norm in norms)


def test_a_formula_without_the_models_indexer_says_up_to_where_it_holds(tmp_path):
    key = ["qwen4exp.attention.indexer.top_k", "UINT32", 300]
    path = tmp_path / "model.gguf"
    nodes_of("qwen4exp-moe", path, key)
    assert open_decoder(path).n_exact == 300
    nodes_of("llama-dense", path)
    assert open_decoder(path).n_exact == 0


def test_falcon_with_alibi_does_not_turn_and_adds_rounded_biases(tmp_path):
    nodes = nodes_of("falcon-dense", tmp_path / "model.gguf", ["llamakit.attention.max_alibi_bias", "FLOAT32", 8.0])
    assert all(node.is_bias_by_key and node.max_bias == 8 for node in nodes if isinstance(node, Attention))
    assert not any(isinstance(node, Rope) for node in nodes)
    gains = alibi_by_key(8.0, 12, 600)
    assert gains[0, [1, 3, 257, 259, 513]].tolist() == [0.5, 1.5, 128.0, 130.0, 256.0]  # 257 is halfway: to even
    assert gains[8, 3] == 2.125  # the slope of 2^-0.5 is 0.70703125


def test_programs_add_the_biases_of_falcon_that_formulas_add(tmp_path):
    path, key = tmp_path / "model.gguf", ["llamakit.attention.max_alibi_bias", "FLOAT32", 8.0]
    nodes_of("falcon-dense", path, key)
    tokens = np.random.default_rng(1).integers(0, 64, 90)
    wanted = reference(open_decoder(path)).run(tokens)
    with open_context(path) as context:
        for size in (1, 40, 96):
            np.testing.assert_allclose(logits_of(context, tokens, size), wanted, rtol=2e-4, atol=2e-4)
