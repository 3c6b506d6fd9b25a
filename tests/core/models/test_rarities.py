"""Architectures without shared golden models, against llama.cpp: every sixth row of its logits in `tests/data`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ... import golden
from ...running import logits_of, open_context, open_decoder, reference

N, N_FF, N_LAYER, DIM, RANK, N_EXPERT, N_FF_EXPERT = 64, 96, 3, 16, 32, 5, 24
ROWS = np.arange(5, 72, 6)
Shapes = dict[str, list[int]]

NORMS: Shapes = {"attn_norm": [N], "ffn_norm": [N]}
PLAIN: Shapes = {"ffn_up": [N, N_FF], "ffn_down": [N_FF, N]}
GATED: Shapes = PLAIN | {"ffn_gate": [N, N_FF]}
ATTENTION: Shapes = {
    "attn_q": [N, 4 * DIM], "attn_k": [N, 2 * DIM], "attn_v": [N, 2 * DIM], "attn_output": [4 * DIM, N],
}  # fmt: skip
WHOLE_HEADS: Shapes = {f"attn_{name}": [N, N] for name in ("q", "k", "v", "output")}
LATENT: Shapes = {
    "attn_q": [N, 4 * DIM], "attn_kv_a_mqa": [N, RANK + 8], "attn_kv_a_norm": [RANK], "attn_kv_b": [RANK, 4 * (8 + 24)],
    "attn_output": [4 * 24, N],
}  # fmt: skip
OWN_NORMS: Shapes = {
    "attn_q_norm": [DIM, 4], "attn_k_norm": [DIM, 2], "attn_q_norm.bias": [DIM, 4], "attn_k_norm.bias": [DIM, 2],
}  # fmt: skip
STEP: Shapes = ATTENTION | {"attn_q_norm": [DIM], "attn_k_norm": [DIM], "attn_gate": [N, 4]}
MIXTURE: Shapes = {
    "ffn_gate_inp": [N, N_EXPERT], "exp_probs_b.bias": [N_EXPERT],
    "ffn_gate_exps": [N, N_FF_EXPERT, N_EXPERT], "ffn_up_exps": [N, N_FF_EXPERT, N_EXPERT],
    "ffn_down_exps": [N_FF_EXPERT, N, N_EXPERT],
    "ffn_gate_shexp": [N, 48], "ffn_up_shexp": [N, 48], "ffn_down_shexp": [48, N],
}  # fmt: skip
BEHIND = "chameleon, normed behind"  # of which llama.cpp computes something else, see its `layer`
LAYERS: dict[str, list[Shapes]] = {
    "plm": [NORMS | LATENT | PLAIN] * N_LAYER,
    "chameleon": [NORMS | ATTENTION | OWN_NORMS | GATED] * N_LAYER,
    BEHIND: [NORMS | ATTENTION | OWN_NORMS | GATED] * N_LAYER,
    "deepseek2-ocr": [NORMS | WHOLE_HEADS | GATED] + [NORMS | WHOLE_HEADS | MIXTURE] * 2,
    "step35": [NORMS | STEP | GATED] + [NORMS | STEP | MIXTURE] * 2,
}
WHOLE: dict[str, Shapes] = {
    "plm": {"token_embd": [N, 128]},
    "chameleon": {"token_embd": [N, 8320], "output": [N, 8320]},
    "deepseek2-ocr": {"token_embd": [N, 128], "output": [N, 128]},
    "step35": {"token_embd": [N, 128], "output": [N, 128], "rope_freqs": [DIM // 2]},
}
NUMBERS: dict[str, list[Any]] = {
    "block_count": ["UINT32", N_LAYER], "context_length": ["UINT32", 256], "embedding_length": ["UINT32", N],
    "feed_forward_length": ["UINT32", N_FF], "attention.head_count": ["UINT32", 4],
    "attention.layer_norm_rms_epsilon": ["FLOAT32", 1e-5],
}  # fmt: skip
KEYS: dict[str, dict[str, list[Any]]] = {
    "plm": {
        "attention.kv_lora_rank": ["UINT32", RANK], "attention.key_length": ["UINT32", DIM],
        "attention.value_length": ["UINT32", 24], "rope.dimension_count": ["UINT32", 8],
    },
    "chameleon": {"attention.head_count_kv": ["UINT32", 2]},
    BEHIND: {"attention.head_count_kv": ["UINT32", 2], "swin_norm": ["BOOL", True]},
    "deepseek2-ocr": {
        "leading_dense_block_count": ["UINT32", 1], "expert_count": ["UINT32", N_EXPERT],
        "expert_used_count": ["UINT32", 2], "expert_feed_forward_length": ["UINT32", N_FF_EXPERT],
        "expert_shared_count": ["UINT32", 2], "expert_weights_scale": ["FLOAT32", 1.5],
        "rope.dimension_count": ["UINT32", 0],
    },
    "step35": {
        "attention.head_count_kv": ["UINT32", 2], "attention.sliding_window": ["UINT32", 20],
        "attention.sliding_window_pattern": ["ARRAY:BOOL", [False, True, False]],
        "rope.freq_base": ["FLOAT32", 5e5], "rope.freq_base_swa": ["FLOAT32", 1e4],
        "expert_count": ["UINT32", N_EXPERT], "expert_used_count": ["UINT32", 2],
        "expert_feed_forward_length": ["UINT32", N_FF_EXPERT], "expert_shared_feed_forward_length": ["UINT32", 48],
        "expert_weights_norm": ["BOOL", True], "expert_weights_scale": ["FLOAT32", 1.5],
        "swiglu_clamp_exp": ["ARRAY:FLOAT32", [0.0, 0.2, 0.0]],
        "swiglu_clamp_shexp": ["ARRAY:FLOAT32", [0.3, 0.0, 0.2]],
    },
}  # fmt: skip


def spec_of(name: str) -> dict[str, Any]:
    """Metadata and tensors as `golden` has them."""
    arch = name.partition(",")[0]
    kv: list[list[Any]] = [["general.architecture", "STRING", arch]]
    kv += [[f"{arch}.{key}", *value] for key, value in (NUMBERS | KEYS[name]).items()]
    layers = {f"blk.{i}.{part}": shape for i, layer in enumerate(LAYERS[name]) for part, shape in layer.items()}
    shapes = {"output_norm": [N]} | WHOLE[arch] | layers
    tensors = [[n if n.endswith(".bias") else f"{n}.weight", shape, "F32"] for n, shape in shapes.items()]
    return {"salt": "", "kv": kv, "tensors": tensors}


def tokens_of(name: str) -> np.ndarray:
    return np.random.default_rng(13).integers(0, WHOLE[name.partition(",")[0]]["token_embd"][1], 72)


def said(logits: np.ndarray) -> np.ndarray:
    """Without those of Chameleon's images."""
    return np.concatenate([logits[:, :4], logits[:, 8196:]], 1) if logits.shape[1] > 8196 else logits


@pytest.fixture(scope="module", params=LAYERS)
def model(request, tmp_path_factory):
    name = request.param
    with np.load(golden.DATA / "rarities.npz") as kept:
        logits = kept[name] if name != BEHIND else np.zeros(0)
    wanted = golden.Golden(name, spec_of(name), tokens_of(name), ROWS, logits)
    path = golden.write_golden(wanted, tmp_path_factory.mktemp("models") / "model.gguf")
    yield wanted, path
    path.unlink()


@pytest.mark.parametrize("model", [name for name in LAYERS if name != BEHIND], indirect=True)
def test_the_formula_gives_llama_cpps_logits(model):
    wanted, path = model
    assert wanted.error(said(reference(open_decoder(path)).run(wanted.tokens))) <= 1e-10


def test_the_program_is_the_formula_whatever_the_chunks(model):
    wanted, path = model
    formula = said(reference(open_decoder(path)).run(wanted.tokens))
    with open_context(path) as context:
        whole = logits_of(context, wanted.tokens, 72)
        assert ((said(whole) - formula) ** 2).sum() / (formula**2).sum() <= 1e-10
        for size in (1, 7, 64):
            np.testing.assert_array_equal(logits_of(context, wanted.tokens, size), whole)


def test_a_norm_behind_is_of_what_the_sum_gives(tmp_path):
    """One layer by hand, as transformers computes it: x + norm(attention(x)), then x + norm(feed_forward(x))."""
    spec = spec_of(BEHIND)
    spec["kv"] = [[k, kind, 1 if k.endswith("block_count") else v] for k, kind, v in spec["kv"]]
    spec["tensors"] = [t for t in spec["tensors"] if not t[0].startswith(("blk.1.", "blk.2."))]
    wanted = golden.Golden(BEHIND, spec, tokens_of(BEHIND)[:1], ROWS[:1], np.zeros(0))
    shapes = {name: shape for name, shape, _ in spec["tensors"]}
    w = {name: golden.values(name, shape, "").astype(np.float64) for name, shape in shapes.items()}

    def normed(x, name):
        return x / np.sqrt((x**2).mean() + 1e-5) * w[f"{name}.weight"]

    def times(name, x):
        return w[f"{name}.weight"] @ x

    x = w["token_embd.weight"][wanted.tokens[0]]
    value = np.repeat(times("blk.0.attn_v", x).reshape(2, DIM), 2, axis=0).reshape(-1)  # one token attends to itself
    x = x + normed(times("blk.0.attn_output", value), "blk.0.attn_norm")
    gate, up = times("blk.0.ffn_gate", x), times("blk.0.ffn_up", x)
    x = x + normed(times("blk.0.ffn_down", gate / (1 + np.exp(-gate)) * up), "blk.0.ffn_norm")
    got = reference(open_decoder(golden.write_golden(wanted, tmp_path / "model.gguf"))).run(wanted.tokens)
    np.testing.assert_allclose(said(got)[0], said(times("output", normed(x, "output_norm"))[None])[0], atol=1e-4)


def test_chameleon_says_no_images(tmp_path):
    wanted = golden.Golden("chameleon", spec_of("chameleon"), tokens_of("chameleon"), ROWS, np.zeros(0))
    with open_context(golden.write_golden(wanted, tmp_path / "model.gguf")) as context:
        logits = logits_of(context, wanted.tokens[:3], 3)
    assert (logits[:, 4:8196] == np.finfo(np.float32).min).all()
    assert (np.abs(said(logits)) < 100).all()
