"""Qwen 4's table of the last few tokens, whose hashes are exact, and its residual streams."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from llamakit.convert.plan import OUTPUT_TYPES, Source, make_plan, metadata
from llamakit.convert.run import Options, carry_out
from llamakit.core.gguf.reader import GGUFReader
from llamakit.errors import ModelError

from ...running import open_decoder, reference
from ..folders import write_folder

CONFIG = {
    "architectures": ["Qwen4ExpForCausalLM"], "model_type": "qwen4_exp_text", "num_hidden_layers": 2, "head_dim": 8,
    "layer_types": ["linear_attention", "full_attention"], "linear_key_head_dim": 8, "linear_value_head_dim": 8,
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_conv_kernel_dim": 4, "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16, "num_experts": 4, "num_experts_per_tok": 2, "hc_count": 2, "hc_lowrank": 6,
    "ple_layer_ids": [2], "ngram_size": 3, "heads_per_ngram": 2, "split_ngram_parts": 2, "indexer_n_heads": 2,
    "indexer_head_dim": 8, "indexer_budget": 64, "indexer_compress_ratio": 4, "output_gate_type": "sigmoid",
    "eos_token_id": [2, 5], "intermediate_size": None,
}  # fmt: skip
PLE = "model.layers.1.ple.ple_embedding"
HASHES = {
    f"{PLE}.layer_multipliers": [2**45 + 1, 2**53 + 1, 2**62 + 1],
    f"{PLE}.ngram_heads_offsets": [0, 11, 24, 41],
    f"{PLE}.ngram_heads_vocab_sizes": [11, 13, 17, 19],
}


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    residual = {"hc_norm": (64,), "input_mix_weight_down": (6, 64), "input_mix_weight_up": (64, 6)}
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens": (262, 32), "lm_head": (262, 32)}
    shapes |= {f"model.hyper_connection_mixer.{name}": shape for name, shape in residual.items()}
    for i in range(2):
        for part in ("attn", "mlp"):
            for name, shape in {**residual, "block_inject_weight": (2, 64)}.items():
                shapes[f"model.layers.{i}.{part}_hyper_connection.{name}"] = shape
        mixture = {
            "gate": (4, 32), "shared_expert_gate": (1, 32), "shared_expert.gate_proj": (16, 32),
            "shared_expert.up_proj": (16, 32), "shared_expert.down_proj": (32, 16),
        }  # fmt: skip
        shapes |= {f"model.layers.{i}.mlp.{name}": shape for name, shape in mixture.items()}
    net = {
        "in_proj_qkv": (64, 32), "in_proj_z": (32, 32), "in_proj_a": (4, 32), "in_proj_b": (4, 32), "norm": (8,),
        "out_proj": (32, 32), "conv1d": (64, 1, 4),
    }  # fmt: skip
    attention = {
        "q_proj": (64, 32), "k_proj": (16, 32), "v_proj": (16, 32), "o_proj": (32, 32), "q_norm": (8,), "k_norm": (8,),
        "indexer.index_qk_proj": (24, 32), "indexer.q_layernorm": (8,), "indexer.k_layernorm": (8,),
    }  # fmt: skip
    ngrams = {
        "key_proj": (64, 32), "value_proj": (32, 32), "norm_key": (64,), "norm_query": (64,), "norm_conv": (64,),
        "conv1d": (64, 1, 4), "ple_embedding.ngram_embedding.shard_0": (32, 8),
        "ple_embedding.ngram_embedding.shard_1": (28, 8),
    }  # fmt: skip
    shapes |= {f"model.layers.0.linear_attn.{name}": shape for name, shape in net.items()}
    shapes |= {f"model.layers.1.self_attn.{name}": shape for name, shape in attention.items()}
    shapes |= {f"model.layers.1.ple.{name}": shape for name, shape in ngrams.items()}
    found = {f"{name}.weight": rng.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()}
    for i in range(2):
        for name, shape in {"gate_up_proj": (4, 32, 32), "down_proj": (4, 32, 16)}.items():
            found[f"model.layers.{i}.mlp.experts.{name}"] = rng.normal(0, 0.1, shape).astype(np.float32)
    for name in ("A_log", "dt_bias"):
        found[f"model.layers.0.linear_attn.{name}"] = np.ones(4, np.float32)
    return found | {name: np.array(numbers, np.int64) for name, numbers in HASHES.items()}


def opened(folder: Path, **config: Any) -> Source:
    write_folder(folder, {**CONFIG, **config})
    save_file(arrays(), folder / "model.safetensors")
    return Source.open(folder)


def test_the_table_is_whole_and_its_hashes_are_exact(tmp_path: Path) -> None:
    source, path = opened(tmp_path / "tiny"), tmp_path / "out.gguf"
    plan = make_plan(source, metadata(source), OUTPUT_TYPES["f32"])
    assert plan.unknown == [] and plan.problems == []
    list(carry_out(plan, path, Options()))
    with GGUFReader(path) as reader:
        keys = reader.metadata
        for ours, theirs in zip(("layer_multipliers", "head_offsets", "head_vocab_sizes"), HASHES, strict=True):
            assert keys[f"qwen4exp.ple.{ours}"] == HASHES[theirs]
        assert keys["qwen4exp.ple.layers"] == [1] and keys["qwen4exp.ple.eos_token_id"] == 2
        assert keys["qwen4exp.attention.compress_ratios"] == [0, 4]
        table = np.array(reader.tensor("per_layer_token_embd.weight").data)
        queries = np.array(reader.tensor("blk.1.indexer.q_proj.weight").data)
    parts = [arrays()[f"{PLE}.ngram_embedding.shard_{i}.weight"] for i in range(2)]
    np.testing.assert_array_equal(table, np.concatenate(parts))
    np.testing.assert_array_equal(queries, arrays()["model.layers.1.self_attn.indexer.index_qk_proj.weight"][:16])
    decoder = open_decoder(path)
    assert np.isfinite(reference(decoder, decoder.logits(64)).run(np.arange(9))).all()


@pytest.mark.parametrize(
    "config, words",
    [
        ({"output_gate_type": None}, "output_gate_type is 'silu'"),
        ({"ple_layer_ids": [1, 2]}, "ple_layer_ids names 2 layers"),
    ],
)
def test_what_the_engine_does_not_compute_is_refused(config: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=words):
        metadata(opened(tmp_path / "tiny", **config))


def test_a_part_of_the_table_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="2 of 3 parts of ngram_embedding are there"):
        opened(tmp_path / "tiny", split_ngram_parts=3)
