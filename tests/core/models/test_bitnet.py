"""BitNet has no golden logits of llama.cpp: its formula with squared ReLU is transformers' (checked by hand, 5e-13)."""

from __future__ import annotations

import numpy as np

from ... import golden
from ...running import logits_of, open_context, open_decoder, reference

N_LAYER, N_VOCAB, N_EMBD, N_FF, N_KV = 2, 128, 64, 96, 32
TOKENS = np.random.default_rng(9).integers(0, N_VOCAB, 70)
NUMBERS = {
    "block_count": N_LAYER, "context_length": 256, "embedding_length": N_EMBD, "feed_forward_length": N_FF,
    "attention.head_count": 4, "attention.head_count_kv": 2,
}  # fmt: skip
SHAPES = {
    "attn_norm": [N_EMBD], "attn_sub_norm": [N_EMBD], "ffn_norm": [N_EMBD], "ffn_sub_norm": [N_FF],
    "attn_q": [N_EMBD, N_EMBD], "attn_k": [N_EMBD, N_KV], "attn_v": [N_EMBD, N_KV], "attn_output": [N_EMBD, N_EMBD],
    "ffn_gate": [N_EMBD, N_FF], "ffn_up": [N_EMBD, N_FF], "ffn_down": [N_FF, N_EMBD],
}  # fmt: skip
SCALED = [name for name, shape in SHAPES.items() if len(shape) > 1]


def test_the_program_is_the_formula_whatever_the_chunks(tmp_path):
    kv = [["general.architecture", "STRING", "bitnet"]]
    kv += [[f"bitnet.{key}", "UINT32", value] for key, value in NUMBERS.items()]
    kv.append(["bitnet.attention.layer_norm_rms_epsilon", "FLOAT32", 1e-5])
    tensors = [["token_embd.weight", [N_EMBD, N_VOCAB], "F32"], ["output_norm.weight", [N_EMBD], "F32"]]
    for i in range(N_LAYER):
        tensors += [[f"blk.{i}.{name}.weight", shape, "F32"] for name, shape in SHAPES.items()]
        tensors += [[f"blk.{i}.{name}.scale", [1], "F32"] for name in SCALED]
    spec = {"salt": "", "kv": kv, "tensors": tensors}
    model = golden.Golden("bitnet", spec, TOKENS, np.arange(70), np.zeros((70, N_VOCAB), np.float32))
    path = golden.write_golden(model, tmp_path / "model.gguf")
    wanted = reference(open_decoder(path)).run(TOKENS)
    with open_context(path) as context:
        whole = logits_of(context, TOKENS, 70)
        assert ((whole - wanted) ** 2).sum() / (wanted**2).sum() < 1e-8
        for size in (1, 7, 64):
            np.testing.assert_array_equal(logits_of(context, TOKENS, size), whole)
