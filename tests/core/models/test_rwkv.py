"""RWKV and its kin against llama.cpp's logits (`tests/data/rwkv.npz`: every sixth row, float32), and their memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llamakit.core.engine.context import Chunk, Outputs
from llamakit.errors import ModelError

from ... import golden
from ...running import logits_of, open_context, open_decoder, reference

N, N_FF, N_VOCAB, N_LAYER, RANK = 128, 96, 128, 3, 32
HEAD = 64  # llama.cpp reads beyond narrower ones
TOKENS = np.random.default_rng(11).integers(0, N_VOCAB, 72)
ROWS = np.arange(5, 72, 6)
Shapes = dict[str, list[int]]

FORWARD: Shapes = {"attn_norm": [N], "ffn_norm": [N], "ffn_gate": [N, N_FF], "ffn_up": [N, N_FF], "ffn_down": [N_FF, N]}
LAYER_NORMS: Shapes = {f"{name}{end}": [N] for name in ("attn_norm", "attn_norm_2") for end in ("", ".bias")}
MIXES: Shapes = {f"time_mix_{name}": [N, N] for name in ("receptance", "key", "value", "output")}
HEAD_NORMS: Shapes = {"time_mix_ln": [N], "time_mix_ln.bias": [N]}
CHANNELS: Shapes = {"channel_mix_lerp_k": [N, 1, 1], "channel_mix_key": [N, N_FF], "channel_mix_value": [N_FF, N]}
SIX: Shapes = MIXES | {
    "time_mix_w1": [N, 5 * RANK], "time_mix_w2": [RANK, N, 5], "time_mix_lerp_x": [N, 1, 1],
    "time_mix_lerp_fused": [N, 1, 1, 5], "time_mix_decay": [N], "time_mix_decay_w1": [N, RANK],
    "time_mix_decay_w2": [RANK, N], "time_mix_gate": [N, N],
}  # fmt: skip
OF_SIX: Shapes = {
    "time_mix_first": [HEAD, N // HEAD], "channel_mix_lerp_r": [N, 1, 1], "channel_mix_receptance": [N, N],
}  # fmt: skip
SHARED_HEAD: Shapes = {f"time_mix_{name}": [N, HEAD] for name in ("key", "value")}
BIASES: Shapes = {"time_mix_receptance.bias": [N], "time_mix_key.bias": [HEAD], "time_mix_value.bias": [HEAD]}


def seven(n_mixed: int) -> Shapes:
    shapes = MIXES | {"time_mix_lerp_fused": [N, 1, 1, n_mixed]}
    shapes |= {f"time_mix_{name}": [N] for name in ("w0", "a0", "v0", "k_k", "k_a", "r_k")}
    for name in "wavg"[: n_mixed - 2]:
        shapes |= {f"time_mix_{name}1": [N, RANK], f"time_mix_{name}2": [RANK, N]}
    return shapes


OLD_LERPS: Shapes = {f"time_mix_lerp_{name}": [N, 1, 1] for name in "wkvrg"}
OLD_SIX = {name: shape for name, shape in SIX.items() if "fused" not in name} | OLD_LERPS
MODELS: dict[str, Shapes] = {
    "rwkv6": SIX | OF_SIX | HEAD_NORMS | CHANNELS | LAYER_NORMS,
    "rwkv6, old": OLD_SIX | OF_SIX | HEAD_NORMS | CHANNELS | LAYER_NORMS,
    "rwkv6qwen2": SIX | SHARED_HEAD | BIASES | FORWARD,
    "rwkv7": seven(6) | HEAD_NORMS | CHANNELS | LAYER_NORMS,
    "arwkv7": seven(6) | HEAD_NORMS | FORWARD,
    "arwkv7, bare": seven(5) | FORWARD,
}
NUMBERS = {
    "block_count": N_LAYER, "context_length": 1048576, "embedding_length": N, "feed_forward_length": N_FF,
    "attention.head_count": 0, "wkv.head_size": HEAD,
}  # fmt: skip
RANKS_6 = {"time_mix_extra_dim": RANK, "time_decay_extra_dim": RANK}
RANKS_7 = {f"attention.{key}_lora_rank": RANK for key in ("decay", "iclr", "value_residual_mix", "gate")}
KEYS: dict[str, dict[str, int]] = {
    "rwkv6": RANKS_6 | {"rescale_every_n_layers": 2},
    "rwkv6qwen2": RANKS_6 | {"token_shift_count": 1, "attention.head_count_kv": 1},
    "rwkv7": RANKS_7,
    "arwkv7": RANKS_7 | {"token_shift_count": 1},
}


def spec_of(name: str) -> dict[str, Any]:
    """Metadata and tensors as `golden` has them."""
    arch = name.partition(",")[0]
    has_layer_norm = arch in ("rwkv6", "rwkv7")
    kv: list[list[Any]] = [["general.architecture", "STRING", arch]]
    kv += [[f"{arch}.{key}", "UINT32", value] for key, value in (NUMBERS | KEYS[arch]).items()]
    kv.append([f"{arch}.attention.layer_norm{'' if has_layer_norm else '_rms'}_epsilon", "FLOAT32", 1e-5])
    whole: Shapes = {"token_embd": [N, N_VOCAB], "output_norm": [N], "output": [N, N_VOCAB]}
    if has_layer_norm:
        whole |= {"token_embd_norm": [N], "token_embd_norm.bias": [N], "output_norm.bias": [N]}
    layers = {f"blk.{i}.{part}": shape for i in range(N_LAYER) for part, shape in MODELS[name].items()}
    tensors = [[n if n.endswith(".bias") else f"{n}.weight", shape, "F32"] for n, shape in (whole | layers).items()]
    return {"salt": "", "kv": kv, "tensors": tensors}


def model_of(name: str) -> golden.Golden:
    with np.load(Path(golden.DATA / "rwkv.npz")) as logits:
        return golden.Golden(name, spec_of(name), TOKENS, ROWS, logits[name])


@pytest.fixture(scope="module", params=MODELS)
def model(request, tmp_path_factory):
    wanted = model_of(request.param)
    path = golden.write_golden(wanted, tmp_path_factory.mktemp("models") / "model.gguf")
    yield wanted, path
    path.unlink()


def test_the_formula_gives_llama_cpps_logits(model):
    wanted, path = model
    assert wanted.error(reference(open_decoder(path)).run(TOKENS)) <= 1e-10


def test_the_program_gives_them_whatever_the_chunks_and_beside_others(model):
    wanted, path = model
    with open_context(path, n_seq_max=2) as context:
        whole = logits_of(context, TOKENS, 72)
        assert wanted.error(whole) <= 1e-10
        for size in (1, 7, 64):
            np.testing.assert_array_equal(logits_of(context, TOKENS, size), whole)
        context.cache.clear()
        rows = context.decode([Chunk(TOKENS[5:9], 0, Outputs.ALL), Chunk(TOKENS[:40], 1, Outputs.ALL)])
        np.testing.assert_array_equal(rows[4:], whole[:40])
        assert context.truncate(20, 1) == 0
        assert not context.can_shift


def test_q8_0_weights_stay_close(model, tmp_path):
    wanted, _ = model
    with open_context(golden.write_golden(wanted, tmp_path / "q8_0.gguf", "q8_0")) as context:
        whole = logits_of(context, TOKENS, 72)
        assert wanted.error(whole) <= 5e-3  # half of it is what the formula has with these weights
        np.testing.assert_array_equal(logits_of(context, TOKENS, 1), whole)


@pytest.mark.parametrize("key, value", [("wkv.head_size", 24), ("wkv.head_size", 0), ("time_mix_extra_dim", 16)])
def test_numbers_that_do_not_fit_are_refused(key, value, tmp_path):
    spec = spec_of("rwkv6")
    spec["kv"] = [[k, kind, value if k == f"rwkv6.{key}" else v] for k, kind, v in spec["kv"]]
    wanted = golden.Golden("rwkv6", spec, TOKENS, ROWS, np.zeros(0))
    with pytest.raises(ModelError):
        open_decoder(golden.write_golden(wanted, tmp_path / "model.gguf"))
