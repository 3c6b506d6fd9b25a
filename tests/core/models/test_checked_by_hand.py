"""Architectures without golden logits of llama.cpp, whose formulas were held against transformers' by hand (errors of
5e-13 for BitNet with squared ReLU, 2e-13 for Apertus): their programs against their formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ... import golden
from ...running import logits_of, open_context, open_decoder, reference

N_LAYER, N_VOCAB, N_EMBD, N_FF, N_KV, DIM = 2, 128, 64, 96, 32, 16
TOKENS = np.random.default_rng(9).integers(0, N_VOCAB, 70)
NUMBERS = {
    "block_count": N_LAYER, "context_length": 256, "embedding_length": N_EMBD, "feed_forward_length": N_FF,
    "attention.head_count": 4, "attention.head_count_kv": 2,
}  # fmt: skip
ATTENTION = {
    "attn_norm": [N_EMBD], "ffn_norm": [N_EMBD], "attn_q": [N_EMBD, N_EMBD], "attn_k": [N_EMBD, N_KV],
    "attn_v": [N_EMBD, N_KV], "attn_output": [N_EMBD, N_EMBD], "ffn_up": [N_EMBD, N_FF], "ffn_down": [N_FF, N_EMBD],
}  # fmt: skip
SHAPES = {
    "bitnet": ATTENTION | {"attn_sub_norm": [N_EMBD], "ffn_sub_norm": [N_FF], "ffn_gate": [N_EMBD, N_FF]},
    "apertus": ATTENTION | {"attn_q_norm": [DIM], "attn_k_norm": [DIM]},
}
SLOPES = {"alpha_n": [0.19, -0.03], "alpha_p": [0.17, -0.24], "beta": [0.5, 0.4], "eps": [-1e-6, -1e-6]}
KEYS = {"apertus": [[f"xielu.{key}", "ARRAY:FLOAT32", value] for key, value in SLOPES.items()]}


@pytest.mark.parametrize("arch", SHAPES)
def test_the_program_is_the_formula_whatever_the_chunks(tmp_path, arch):
    kv: list[list[Any]] = [["general.architecture", "STRING", arch], *KEYS.get(arch, [])]
    kv += [[f"{arch}.{key}", "UINT32", value] for key, value in NUMBERS.items()]
    kv.append([f"{arch}.attention.layer_norm_rms_epsilon", "FLOAT32", 1e-5])
    tensors = [["token_embd.weight", [N_EMBD, N_VOCAB], "F32"], ["output_norm.weight", [N_EMBD], "F32"]]
    for i in range(N_LAYER):
        for name, shape in SHAPES[arch].items():
            tensors.append([f"blk.{i}.{name}.weight", shape, "F32"])
            if len(shape) > 1:
                tensors.append([f"blk.{i}.{name}.scale", [1], "F32"])
    spec = {"salt": "", "kv": kv, "tensors": tensors}
    model = golden.Golden(arch, spec, TOKENS, np.arange(70), np.zeros((70, N_VOCAB), np.float32))
    path = golden.write_golden(model, tmp_path / "model.gguf")
    wanted = reference(open_decoder(path)).run(TOKENS)
    with open_context(path) as context:
        whole = logits_of(context, TOKENS, 70)
        assert ((whole - wanted) ** 2).sum() / (wanted**2).sum() < 1e-8
        for size in (1, 7, 64):
            np.testing.assert_array_equal(logits_of(context, TOKENS, size), whole)
