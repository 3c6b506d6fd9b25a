"""What families do to the values of tensors, against the same done by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llamakit.convert.checkpoint import Checkpoint
from llamakit.convert.config import Config
from llamakit.convert.families.gemma_later import Gemma3n
from llamakit.convert.plan import Source
from llamakit.convert.weight import Weight

from ..folders import safetensors_bytes
from .layouts import LAYOUTS, arrays

Arrays = dict[str, np.ndarray]


def converted(name: str, folder: Path, changes: Mapping[str, Any] | None = None) -> tuple[Arrays, Arrays, Source]:
    """The checkpoint's tensors, the file's, and where they came from. `changes` go over the config."""
    layout = LAYOUTS[name]
    before = dict(arrays(layout["tensors"]))
    return before, *_converted(before, {**layout["config"], **(changes or {})}, folder)


def _converted(before: Arrays, config: Mapping[str, Any], folder: Path) -> tuple[Arrays, Source]:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(safetensors_bytes(before))
    source = Source.open(folder)
    return {ours: np.asarray(weight.load()) for ours, weight in source.mapped.weights.items()}, source


def test_robertas_positions_begin_behind_the_padding(tmp_path: Path) -> None:
    before, after, source = converted("roberta-cls", tmp_path)
    positions = before["roberta.embeddings.position_embeddings.weight"]
    assert np.array_equal(after["position_embd.weight"], positions[2:])
    assert source.family.keys()["bert.context_length"] == len(positions) - 2


def test_numbers_that_mix_tokens_are_stacked_in_the_order_of_the_formula(tmp_path: Path) -> None:
    before, after, _ = converted("rwkv7hf", tmp_path)
    stack = np.stack([before[f"model.layers.1.attention.x_{letter}"] for letter in "rwkvag"])
    assert np.array_equal(after["blk.1.time_mix_lerp_fused.weight"], stack.reshape(6, 1, 1, 64))


@pytest.mark.parametrize(
    ("name", "theirs", "is_turned"),
    [("rwkv7hf", "attention.w1", True), ("rwkv7fla", "attn.w_lora.lora.0.weight", False)],
)
def test_small_matrices_of_rwkv_7_lie_as_their_layout_says(
    name: str, theirs: str, is_turned: bool, tmp_path: Path
) -> None:
    before, after, _ = converted(name, tmp_path)
    matrix = before[f"model.layers.1.{theirs}"]
    assert np.array_equal(after["blk.1.time_mix_w1.weight"], matrix.T if is_turned else matrix)


def test_the_first_layer_of_rwkv_7_has_values_of_a_layer_before_that_are_not_used(tmp_path: Path) -> None:
    _, after, _ = converted("rwkv7hf", tmp_path)
    assert np.array_equal(after["blk.0.time_mix_v1.weight"], after["blk.0.time_mix_a1.weight"])
    assert not np.array_equal(after["blk.1.time_mix_v1.weight"], after["blk.1.time_mix_a1.weight"])


def test_rwkv_6_halves_what_later_layers_add(tmp_path: Path) -> None:
    before, after, _ = converted("rwkv6", tmp_path)
    for i, share in ((1, 1.0), (2, 0.5)):
        matrix = before[f"rwkv.blocks.{i}.attention.output.weight"]
        assert np.array_equal(after[f"blk.{i}.time_mix_output.weight"], matrix * np.float32(share))


def test_experts_of_nomic_are_cut_from_one_matrix(tmp_path: Path) -> None:
    before, after, _ = converted("nomicmoe", tmp_path)
    stacks = {n: before[f"encoder.layers.1.mlp.experts.mlp.w{n}"].reshape(4, 96, 48) for n in (1, 2)}
    assert np.array_equal(after["blk.1.ffn_up_exps.weight"], stacks[1])
    assert np.array_equal(after["blk.1.ffn_down_exps.weight"], stacks[2].swapaxes(1, 2))


def test_stacks_of_qwen_3_vl_become_the_same_in_either_order(tmp_path: Path) -> None:
    before, after, source = converted("qwen3vlmoe", tmp_path / "plain")
    turned = {name: array.swapaxes(1, 2).copy() if array.ndim == 3 else array for name, array in before.items()}
    same, _ = _converted(turned, json.loads(source.config.path.read_text()), tmp_path / "turned")
    assert after["blk.0.ffn_gate_exps.weight"].shape == (4, 40, 64)
    assert all(np.array_equal(after[name], same[name]) for name in after)


def test_norms_of_plamo_are_stored_without_what_is_added_to_them(tmp_path: Path) -> None:
    before, after, _ = converted("plamo2", tmp_path)
    for theirs, ours, shift in (
        ("pre_mixer_norm.weight", "attn_norm.weight", 1.0),
        ("post_mixer_norm.weight", "post_attention_norm", 1 / 5),
        ("post_mlp_norm.weight", "post_ffw_norm", 1 / 5**1.5),
    ):
        wanted = before[f"model.layers.layers.0.{theirs}"] + np.float32(shift)
        assert np.array_equal(after[f"blk.0.{ours}"], wanted)


def test_query_heads_of_plamo_1_go_beside_those_with_the_same_key(tmp_path: Path) -> None:
    config = {
        "architectures": ["PlamoForCausalLM"], "hidden_size": 40, "num_hidden_layers": 1, "num_attention_heads": 10,
        "intermediate_size": 16, "rms_norm_eps": 1e-6, "vocab_size": 8,
    }  # fmt: skip
    rows = np.arange(40, dtype=np.float32)[:, None] + np.zeros((40, 40), np.float32)
    before = {
        "model.layers.layers.0.self_attn.q_proj.weight": rows,
        "model.layers.layers.0.self_attn.o_proj.weight": rows.T,
    }
    after, _ = _converted({name: array.copy() for name, array in before.items()}, config, tmp_path)
    heads = [int(row[0]) // 4 for row in after["blk.0.attn_q.weight"][::4]]
    assert heads == [0, 5, 1, 6, 2, 7, 3, 8, 4, 9]
    assert np.array_equal(after["blk.0.attn_output.weight"], after["blk.0.attn_q.weight"].T)


def test_lings_head_goes_over_with_normed_columns(tmp_path: Path) -> None:
    before, after, _ = converted("bailing1", tmp_path)
    head = before["lm_head.weight"]
    wanted = head / (np.linalg.norm(head, axis=0, keepdims=True) + 1e-7)
    assert np.allclose(after["output.weight"], wanted, rtol=1e-6)


def test_biases_of_sarvams_router_are_about_their_mean(tmp_path: Path) -> None:
    _, after, _ = converted("sarvam", tmp_path)
    assert abs(float(after["blk.1.exp_probs_b.bias"].sum())) < 1e-6


def test_second_halves_of_talkies_heads_change_their_sign(tmp_path: Path) -> None:
    before, after, _ = converted("talkie", tmp_path)
    signs = np.where(np.arange(64) % 16 < 8, 1, -1)[:, None]
    assert np.array_equal(after["blk.0.attn_q.weight"], before["model.blocks.0.attn.attn_query.weight"] * signs)


def test_rotation_by_axes_turns_halves_where_glm_turned_neighbours(tmp_path: Path) -> None:
    before, after, _ = converted("glm4v", tmp_path)
    name = "model.language_model.layers.0.self_attn.k_proj.weight"
    head = before[name][:16]
    wanted = np.concatenate([head[0:8:2], head[1:8:2], head[8:]])
    assert np.array_equal(after["blk.0.attn_k.weight"][:16], wanted)


def test_jais_takes_its_scales_and_the_slope_of_distances_into_the_file(tmp_path: Path) -> None:
    before, after, source = converted("jais", tmp_path)
    assert np.array_equal(after["token_embd.weight"], before["transformer.wte.weight"] * np.float32(3.5))
    assert np.array_equal(after["blk.0.attn_qkv.weight"], before["transformer.h.0.attn.c_attn.weight"].T)
    slope = before["transformer.relative_pe.slopes"][0]
    assert source.family.keys()["jais.attention.max_alibi_bias"] == -round(float(np.log2(slope)) * 4)


def test_key_heads_of_deci_are_paired_by_the_number_of_their_layer(tmp_path: Path) -> None:
    before, after, source = converted("deci7", tmp_path)
    assert source.family.keys()["deci.attention.head_count_kv"] == [4, 1]
    rows = before["model.layers.1.self_attn.k_proj.weight"]
    assert np.array_equal(after["blk.1.attn_k.weight"], rows.reshape(2, 8, 64).swapaxes(0, 1).reshape(16, 64))


def test_layers_that_foretell_stand_behind_the_others(tmp_path: Path) -> None:
    before, after, source = converted("qwen3next-mtp", tmp_path)
    assert np.array_equal(after["blk.4.nextn.eh_proj.weight"], before["mtp.fc.weight"])
    keys = source.family.keys()
    assert (keys["qwen3next.block_count"], keys["qwen3next.nextn_predict_layers"]) == (5, 1)


def test_a_shared_expert_that_is_added_goes_over_doubled(tmp_path: Path) -> None:
    """The engine halves the sum; without a shared expert it halves nothing."""
    layout = LAYOUTS["cohere2moe"]
    shared = np.full((64, 96), 0.5, np.float32)
    before = {**dict(arrays(layout["tensors"])), "model.layers.1.mlp.shared_experts.down_proj.weight": shared}

    def largest(joined: str, n_shared: int) -> list[float]:
        changes = {"shared_expert_combination_strategy": joined, "num_shared_experts": n_shared}
        after, _ = _converted(before, layout["config"] | changes, tmp_path / "tiny")
        return [float(after[f"blk.1.ffn_down_{kind}.weight"].max()) for kind in ("exps", "shexp")]

    usual = largest("average", 1)
    assert largest("sum", 1) == [2 * x for x in usual]
    assert largest("sum", 0) == usual


def test_biases_of_hrm_text_stand_apart_where_its_matrices_are_joined(tmp_path: Path) -> None:
    names = "self_attn.gate_proj", "self_attn.q_proj", "mlp.gate_proj", "mlp.up_proj"
    biases = {f"model.H_module.layers.0.{name}.bias": np.full(64, i, np.float32) for i, name in enumerate(names)}
    before = dict(arrays(LAYOUTS["hrmtext"]["tensors"]))
    n_low = LAYOUTS["hrmtext"]["config"]["num_layers_per_stack"]
    after, source = _converted({**before, **biases}, LAYOUTS["hrmtext"]["config"], tmp_path / "tiny")
    assert not source.mapped.unknown
    for i, name in enumerate(("attn_gate", "attn_q", "ffn_gate", "ffn_up")):
        assert np.all(after[f"blk.{n_low}.{name}.bias"] == i)


def test_tokens_without_embeddings_for_the_layers_of_gemma_3n_take_those_of_the_first(tmp_path: Path) -> None:
    """Its table for the layers is shorter than the other: tokens of images and sound have no rows."""
    table = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    family = Gemma3n(Config(tmp_path, {"vocab_size": 8}), Checkpoint({}))
    weight = Weight(table.shape, table.dtype, lambda: table, ("embed_tokens_per_layer",))
    ((_, after),) = family.change("per_layer_token_embd.weight", weight, None)
    assert after.shape == (8, 4)
    np.testing.assert_array_equal(after.load(), np.concatenate([table, table[[0, 0, 0]]]))
