"""Gemma 4 with experts and with shared keys, of which there are no golden logits: its program against its formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from llamakit.core.graph.ops import in_order
from llamakit.core.graph.ops.attention import CachedAttention
from llamakit.errors import ModelError, UsageError

from ... import golden
from ...running import logits_of, open_context, open_decoder, reference

N_LAYER, N_VOCAB, N_EMBD, N_FF, N_INPUT, N_EXPERT, N_FF_EXPERT = 6, 128, 64, 96, 16, 4, 32
FULL, LOCAL = 48, 32  # widths of heads
HEADS, HEADS_KV = 4, [2, 2, 1, 2, 2, 1]
IS_LOCAL = [True, True, False, True, True, False]
TOKENS = np.random.default_rng(8).integers(0, N_VOCAB, 90)


def gemma4(n_shared: int, has_experts: bool = False, has_values: bool = True, has_inputs: bool = True) -> golden.Golden:
    """A small model; without values, keys before their norm are the values of full layers."""
    numbers: dict[str, Any] = {
        "block_count": N_LAYER, "context_length": 256, "embedding_length": N_EMBD, "feed_forward_length": N_FF,
        "embedding_length_per_layer_input": N_INPUT if has_inputs else 0, "attention.head_count": HEADS,
        "attention.key_length": FULL, "attention.value_length": FULL, "attention.key_length_swa": LOCAL,
        "attention.value_length_swa": LOCAL, "attention.sliding_window": 20, "attention.shared_kv_layers": n_shared,
        "rope.dimension_count": FULL, "rope.dimension_count_swa": LOCAL,
    }  # fmt: skip
    if has_experts:
        numbers |= {"expert_count": N_EXPERT, "expert_used_count": 2, "expert_feed_forward_length": N_FF_EXPERT}
    kv = [["general.architecture", "STRING", "gemma4"]]
    kv += [[f"gemma4.{key}", "UINT32", value] for key, value in numbers.items()]
    kv += [[f"gemma4.{key}", "FLOAT32", value] for key, value in (
        ("attention.layer_norm_rms_epsilon", 1e-6), ("rope.freq_base", 1e6), ("rope.freq_base_swa", 1e4),
        ("final_logit_softcapping", 30.0),
    )]  # fmt: skip
    kv.append(["gemma4.attention.sliding_window_pattern", "ARRAY:BOOL", IS_LOCAL])
    kv.append(["gemma4.attention.head_count_kv", "ARRAY:UINT32", HEADS_KV])
    tensors = {"token_embd": [N_EMBD, N_VOCAB], "output_norm": [N_EMBD], "rope_freqs": [FULL // 2]}
    if has_inputs:
        tensors |= {"per_layer_token_embd": [N_LAYER * N_INPUT, N_VOCAB], "per_layer_proj_norm": [N_INPUT],
                    "per_layer_model_proj": [N_EMBD, N_LAYER * N_INPUT]}  # fmt: skip
    for i in range(N_LAYER):
        dim = LOCAL if IS_LOCAL[i] else FULL
        one: dict[str, list[int]] = {
            name: [N_EMBD] for name in ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm")
        }
        one |= {"attn_q": [N_EMBD, HEADS * dim], "attn_q_norm": [dim], "attn_output": [HEADS * dim, N_EMBD],
                "ffn_gate": [N_EMBD, N_FF], "ffn_up": [N_EMBD, N_FF], "ffn_down": [N_FF, N_EMBD],
                "layer_output_scale": [1]}  # fmt: skip
        if i < N_LAYER - n_shared:
            one |= {"attn_k": [N_EMBD, HEADS_KV[i] * dim], "attn_k_norm": [dim]}
            if has_values or IS_LOCAL[i]:
                one["attn_v"] = [N_EMBD, HEADS_KV[i] * dim]
        if has_inputs:
            one |= {"inp_gate": [N_EMBD, N_INPUT], "proj": [N_INPUT, N_EMBD], "post_norm": [N_EMBD]}
        if has_experts:
            one |= {name: [N_EMBD] for name in ("pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2")}
            one |= {"ffn_gate_inp": [N_EMBD, N_EXPERT], "ffn_gate_inp.scale": [N_EMBD],
                    "ffn_gate_up_exps": [N_EMBD, 2 * N_FF_EXPERT, N_EXPERT], "ffn_down_exps.scale": [N_EXPERT],
                    "ffn_down_exps": [N_FF_EXPERT, N_EMBD, N_EXPERT]}  # fmt: skip
        tensors |= {f"blk.{i}.{name}": shape for name, shape in one.items()}
    named = [[name if name.endswith(".scale") else f"{name}.weight", shape, "F32"] for name, shape in tensors.items()]
    spec = {"salt": "", "kv": kv, "tensors": named}
    return golden.Golden("gemma4", spec, TOKENS, np.arange(len(TOKENS)), np.zeros((len(TOKENS), N_VOCAB), np.float32))


CASES = {
    "own keys": {"n_shared": 0}, "shared keys": {"n_shared": 3},
    "keys are values": {"n_shared": 0, "has_values": False},
    "experts": {"n_shared": 0, "has_experts": True, "has_inputs": False},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_program_is_the_formula_whatever_the_chunks(tmp_path, case):
    path = golden.write_golden(gemma4(**CASES[case]), tmp_path / "model.gguf")
    wanted = reference(open_decoder(path)).run(TOKENS)
    with open_context(path) as context:
        whole = logits_of(context, TOKENS, 90)
        assert ((whole - wanted) ** 2).sum() / (wanted**2).sum() < 1e-6  # scores are large: rounding grows
        for size in (1, 7, 64):
            np.testing.assert_array_equal(logits_of(context, TOKENS, size), whole)


def test_shared_keys_are_kept_once(tmp_path):
    path = golden.write_golden(gemma4(3), tmp_path / "model.gguf")
    decoder = open_decoder(path)
    assert [layer.n_head_kv for layer in decoder.cache_layers()] == HEADS_KV[:3]
    readers = [n.layer for n in in_order(decoder.logits(256)) if isinstance(n, CachedAttention)]
    assert readers == [1, 1, 2]
    with open_context(path, n_ctx=200) as context:
        assert context.can_shift
        context.prefill(TOKENS)
        context.shift(4, 30)
        assert context.n_past() == 60


def test_the_formula_reads_its_cache_in_pieces_too(tmp_path):
    decoder = open_decoder(golden.write_golden(gemma4(3), tmp_path / "model.gguf"))
    pieces = reference(decoder)
    got = np.concatenate([pieces.run(part) for part in (TOKENS[:20], TOKENS[20:21], TOKENS[21:])])
    wanted = reference(decoder).run(TOKENS)
    assert ((got - wanted) ** 2).sum() / (wanted**2).sum() < 1e-6


def test_keys_that_no_layer_has_are_refused(tmp_path):
    with pytest.raises((ModelError, UsageError), match="shares the keys"):
        open_decoder(golden.write_golden(gemma4(5), tmp_path / "model.gguf"))
