"""Programs of models that no one would train: odd shapes, mixed types, few and many experts."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.engine.context import Chunk, Outputs

from ...running import logits_of, open_context, open_decoder, reference
from ...tiny import Tiny, write_tiny

TOKENS = np.random.default_rng(7).integers(0, 67, 70).astype(np.int32)
KQ = {"n_embd": 256, "n_ff": 256, "head_dim": 64, "n_head": 4, "n_head_kv": 2}  # rows of whole superblocks
ODD = {"n_embd": 40, "n_ff": 56, "head_dim": 24, "n_head": 3, "n_head_kv": 1}

MODELS = {
    "llama": Tiny(),
    "llama, tied": Tiny(is_tied=True, type="f16"),
    "llama, bf16": Tiny(type="bf16"),
    "llama, odd": Tiny(**ODD),
    "llama, odd f16": Tiny(**ODD, type="f16", is_tied=True),
    "llama, one head of each": Tiny(n_head=1, n_head_kv=1, head_dim=2, n_embd=2, n_ff=3, n_vocab=5),
    "llama, eight heads share one": Tiny(n_head=8, n_head_kv=1, head_dim=8),
    "llama, part of a head turns": Tiny(metadata={"llama.rope.dimension_count": 6}),
    "llama, rows in no whole groups": Tiny(n_head=5, n_head_kv=5, head_dim=24, n_ff=72, n_embd=96, type="q8_0"),
    "llama, q, k, v of three block types": Tiny(
        n_head=5, n_head_kv=5, head_dim=24, n_embd=96, type="q4_0", types={"attn_q": "q8_0", "attn_v": "q5_1"}
    ),
    "llama, floats behind blocks": Tiny(type="q8_0", types={"attn_v": "f16"}),
    "llama, blocks behind floats": Tiny(type="q8_0", types={"attn_q": "f32", "attn_k": "bf16"}),
    "llama, gate and up of other types": Tiny(type="q5_0", types={"ffn_gate": "q5_1", "output": "q8_0"}),
    "llama, every legacy type": Tiny(
        type="q4_0",
        types={"attn_q": "q4_1", "attn_k": "q5_0", "attn_v": "q5_1", "ffn_down": "q8_0", "token_embd": "q5_1"},
    ),
    "llama, every k type": Tiny(
        **KQ,
        type="q4_k",
        types={
            "attn_q": "q2_k", "attn_k": "q3_k", "attn_v": "q6_k", "ffn_gate": "q5_k", "ffn_up": "q5_k",
            "token_embd": "q3_k", "output": "q6_k",
        },
    ),
    "qwen2": Tiny("qwen2", type="q8_0"),
    "qwen2, odd": Tiny("qwen2", **ODD),
    "qwen3": Tiny("qwen3", head_dim=32, type="q8_0"),
    "qwen3, odd": Tiny("qwen3", **ODD, is_tied=True),
    "gemma3": Tiny("gemma3", n_layer=7, window=20, is_tied=True),
    "gemma3, odd": Tiny("gemma3", **ODD, n_layer=6, window=3),
    "gemma3, capped": Tiny("gemma3", metadata={"gemma3.final_logit_softcapping": 2.0}, type="q8_0"),
    "experts": Tiny(n_expert=5, n_expert_used=2),
    "experts, all used": Tiny(n_expert=3, n_expert_used=3, type="q8_0"),
    "experts, one used": Tiny(n_expert=17, n_expert_used=1, type="f16"),
    "experts, odd groups of floats": Tiny(n_embd=48, n_ff=80, n_expert=4, n_expert_used=2, type="f16"),
    "experts, odd groups of blocks": Tiny(n_embd=96, n_ff=160, n_expert=4, n_expert_used=3, type="q4_1"),
    "experts, scaled": Tiny(
        n_expert=3, n_expert_used=2,
        vectors={
            "blk.0.ffn_gate_exps.scale": [0.5, 2.0, -1.0], "blk.0.ffn_up_exps.scale": [3.0, 0.1, 1.0],
            "blk.1.ffn_down_exps.scale": [-2.0, 1.0, 0.25],
        },
    ),
    "experts, rows in no whole groups": Tiny(n_expert=2, n_expert_used=1, n_ff=40),
    "experts, gate and up of other types": Tiny(n_expert=2, n_expert_used=1, types={"ffn_gate_exps": "f16"}),
    "experts, k types": Tiny(**KQ, n_expert=4, n_expert_used=2, type="q4_k", types={"ffn_down_exps": "q6_k"}),
}  # fmt: skip


def error(got: np.ndarray, wanted: np.ndarray) -> float:
    return float(((got - wanted) ** 2).sum() / (wanted**2).sum())


def limit(tiny: Tiny) -> float:
    """What the types of weights, and of the activations multiplied with them, may cost."""
    types = {tiny.type, *tiny.types.values()}
    return 1e-9 if types <= {"f32"} else 1e-4 if types <= {"f32", "f16", "bf16"} else 5e-3


@pytest.mark.parametrize("name", MODELS)
def test_the_program_is_the_formula_whatever_the_chunks_and_threads(tmp_path, name):
    tiny = MODELS[name]
    path, tokens = write_tiny(tmp_path / "tiny.gguf", tiny), TOKENS % tiny.n_vocab
    wanted = reference(open_decoder(path)).run(tokens)
    with open_context(path, n_threads=3) as context:
        whole = logits_of(context, tokens, len(tokens))
        assert error(whole, wanted) < limit(tiny)
        for size in (1, 9):
            np.testing.assert_array_equal(logits_of(context, tokens, size), whole)
    with open_context(path, n_threads=1) as context:
        np.testing.assert_array_equal(logits_of(context, tokens, len(tokens)), whole)


@pytest.mark.parametrize("cells, limit", [("f16", 1e-5), ("bf16", 1e-3), ("q8_0", 1e-3)])
def test_smaller_cells_stay_close(tmp_path, cells, limit):
    path = write_tiny(tmp_path / "tiny.gguf", Tiny())
    with open_context(path, type_k=cells, type_v=cells) as context:
        whole = logits_of(context, TOKENS, len(TOKENS))
        assert error(whole, reference(open_decoder(path)).run(TOKENS)) < limit
        np.testing.assert_array_equal(logits_of(context, TOKENS, 1), whole)


def test_sequences_side_by_side_give_the_bits_of_each_alone(tmp_path):
    path = write_tiny(tmp_path / "tiny.gguf", Tiny(**KQ, type="q4_k", types={"ffn_down": "q6_k"}))
    with open_context(path, n_seq_max=3) as context:
        alone = [logits_of(context, tokens, 96) for tokens in np.split(TOKENS[:66], [30, 31])]
        context.truncate(0)
        chunks = [Chunk(tokens, seq, Outputs.ALL) for seq, tokens in enumerate(np.split(TOKENS[:66], [30, 31]))]
        np.testing.assert_array_equal(context.decode(chunks), np.concatenate(alone))
