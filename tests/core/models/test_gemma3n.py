"""Gemma 3n with sparse gates and with shared keys, of which there are no golden logits: its program and its formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from llamakit.core.gguf.types import GGMLType
from llamakit.core.graph.ops import Weight, in_order
from llamakit.core.graph.ops.attention import CachedAttention
from llamakit.core.graph.reference.interpreter import Reference
from llamakit.core.models.gemma3n import TOP_20TH, above
from llamakit.errors import ModelError

from ... import golden
from ...running import logits_of, open_context, open_decoder, reference

N_LAYER, N_VOCAB, N_EMBD, N_FF, N_INPUT, RANK, HEADS, HEADS_KV, DIM = 5, 128, 64, 96, 16, 8, 4, 2, 32
N_STREAM = 4
TOKENS = np.random.default_rng(8).integers(0, N_VOCAB, 80)
INF = float("inf")


def gemma3n(n_shared: int = 0, deviations: list[float] | None = None) -> golden.Golden:
    numbers: dict[str, Any] = {
        "block_count": N_LAYER, "context_length": 256, "embedding_length": N_EMBD, "feed_forward_length": N_FF,
        "embedding_length_per_layer_input": N_INPUT, "attention.head_count": HEADS, "altup.active_idx": 0,
        "attention.head_count_kv": HEADS_KV, "attention.key_length": DIM, "attention.value_length": DIM,
        "attention.sliding_window": 20, "attention.shared_kv_layers": n_shared, "altup.num_inputs": N_STREAM,
    }  # fmt: skip
    kv = [["general.architecture", "STRING", "gemma3n"]]
    kv += [[f"gemma3n.{key}", "UINT32", value] for key, value in numbers.items()]
    kv += [[f"gemma3n.{key}", "FLOAT32", value] for key, value in (
        ("attention.layer_norm_rms_epsilon", 1e-6), ("rope.freq_base", 1e6), ("rope.freq_base_swa", 1e4),
    )]  # fmt: skip
    kv.append(["gemma3n.attention.sliding_window_pattern", "ARRAY:BOOL", [True, True, False, True, False]])
    if deviations:
        kv.append(["gemma3n.activation_sparsity_scale", "ARRAY:FLOAT32", deviations])
    square = [N_EMBD, N_EMBD, N_STREAM - 1]
    tensors = {
        "token_embd": [N_EMBD, N_VOCAB], "output_norm": [N_EMBD], "altup_proj": square, "altup_unembd_proj": square,
        "per_layer_token_embd": [N_LAYER * N_INPUT, N_VOCAB], "per_layer_proj_norm": [N_INPUT],
        "per_layer_model_proj": [N_EMBD, N_LAYER * N_INPUT],
    }  # fmt: skip
    norms = (
        "attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm", "post_norm", "laurel_post_norm",
        "altup_router_norm", "altup_correct_scale",
    )  # fmt: skip
    for i in range(N_LAYER):
        one = {name: [N_EMBD] for name in norms} | {
            "attn_q": [N_EMBD, HEADS * DIM], "attn_k": [N_EMBD, HEADS_KV * DIM], "attn_v": [N_EMBD, HEADS_KV * DIM],
            "attn_q_norm": [DIM], "attn_k_norm": [DIM], "attn_output": [HEADS * DIM, N_EMBD],
            "ffn_gate": [N_EMBD, N_FF], "ffn_up": [N_EMBD, N_FF], "ffn_down": [N_FF, N_EMBD],
            "inp_gate": [N_EMBD, N_INPUT], "proj": [N_INPUT, N_EMBD], "laurel_l": [N_EMBD, RANK],
            "laurel_r": [RANK, N_EMBD], "altup_router": [N_EMBD, N_STREAM],
            "altup_correct_coef": [N_STREAM, N_STREAM], "altup_predict_coef": [N_STREAM, N_STREAM**2],
        }  # fmt: skip
        tensors |= {f"blk.{i}.{name}": shape for name, shape in one.items()}
    spec = {"salt": "", "kv": kv, "tensors": [[f"{name}.weight", shape, "F32"] for name, shape in tensors.items()]}
    return golden.Golden("gemma3n", spec, TOKENS, np.arange(len(TOKENS)), np.zeros((len(TOKENS), N_VOCAB), np.float32))


CASES = {
    "all gates count": {"deviations": [-INF] * N_LAYER},
    "sparse gates, as files that do not say": {},
    "shared keys": {"n_shared": 2, "deviations": [1.5, -INF, 0.5, -INF, -INF]},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_program_is_the_formula_whatever_the_chunks(tmp_path, case):
    path = golden.write_golden(gemma3n(**CASES[case]), tmp_path / "model.gguf")
    decoder = open_decoder(path)
    nodes = in_order(decoder.logits(256))
    assert sum(isinstance(n, CachedAttention) for n in nodes) == CASES[case].get("n_shared", 0)
    wanted = reference(decoder).run(TOKENS)
    with open_context(path) as context:
        whole = logits_of(context, TOKENS, 96)
        assert ((whole - wanted) ** 2).sum() / (wanted**2).sum() < 1e-8
        for size in (1, 33):
            np.testing.assert_array_equal(logits_of(context, TOKENS, size), whole)


def test_files_that_do_not_say_have_sparse_gates_in_ten_layers(tmp_path):
    decoder = open_decoder(golden.write_golden(gemma3n(), tmp_path / "model.gguf"))
    assert decoder.deviations == [TOP_20TH] * N_LAYER


@pytest.mark.parametrize("deviations", [[INF] * N_LAYER, [float("nan")] * N_LAYER, [1.0]])
def test_bad_limits_of_gates_are_told(tmp_path, deviations):
    with pytest.raises(ModelError, match="activation_sparsity_scale must be 5 numbers or -inf"):
        open_decoder(golden.write_golden(gemma3n(deviations=deviations), tmp_path / "model.gguf"))


def test_numbers_above_the_mean_by_so_many_deviations_are_left():
    x = np.random.default_rng(0).normal(3.0, 2.0, (4, 50)).astype(np.float32)
    rows = Weight("x", x.shape, GGMLType.F32)
    values = Reference(above(rows, 1.25), lambda name: x).values(np.zeros(4, np.int64))
    wanted = np.maximum(x - x.mean(1, keepdims=True) - 1.25 * x.std(1, keepdims=True), 0)
    np.testing.assert_allclose(list(values.values())[-1], wanted, rtol=1e-4, atol=1e-5)
