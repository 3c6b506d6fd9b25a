"""Names of tensors tell their role, and whether they are quantized."""

from __future__ import annotations

import pytest

from llamakit.tools.quantize.roles import Role, is_quantizable, layer_of, role_of


@pytest.mark.parametrize(
    "name, role",
    [
        ("output.weight", Role.OUTPUT),
        ("blk.0.attn_output.weight", Role.ATTN_OUTPUT),
        ("token_embd.weight", Role.TOKEN_EMBD),
        ("per_layer_token_embd.weight", Role.TOKEN_EMBD),
        ("blk.0.attn_q.weight", Role.ATTN_Q),
        ("blk.0.attn_k.weight", Role.ATTN_K),
        ("blk.0.attn_v.weight", Role.ATTN_V),
        ("blk.0.attn_qkv.weight", Role.ATTN_V),
        ("blk.0.attn_kv_b.weight", Role.ATTN_V),
        ("blk.0.attn_k_b.weight", Role.OTHER),
        ("blk.0.attn_q.bias", Role.OTHER),
        ("blk.0.ffn_gate_exps.weight", Role.FFN_GATE),
        ("blk.0.ffn_up.3.weight", Role.FFN_UP),
        ("blk.0.ffn_down_shexp.weight", Role.FFN_DOWN),
        ("blk.0.ssm_in.weight", Role.OTHER),
        ("output_norm.weight", Role.OTHER),
    ],
)
def test_a_name_tells_its_role(name: str, role: Role) -> None:
    assert role_of(name) is role


@pytest.mark.parametrize(
    "name, shape, ok",
    [
        ("blk.0.attn_q.weight", (256, 256), True),
        ("blk.0.ffn_up_exps.weight", (256, 256, 8), True),
        ("blk.0.attn_q.weight", (256,), False),
        ("blk.0.attn_q.weight", (256, 1), False),  # trailing ones do not count
        ("blk.0.attn_q.weight", (256, 1, 4), True),
        ("blk.0.attn_q.bias", (256, 256), False),
        ("blk.0.attn_norm.weight", (256, 256), False),
        ("blk.0.ffn_gate_inp.weight", (256, 8), False),
        ("position_embd.weight", (256, 512), False),
        ("token_types.weight", (256, 2), False),
        ("blk.0.ssm_conv1d.weight", (4, 256), False),
        ("blk.0.time_mix_w1.weight", (256, 64), False),
        ("v.position_embd.weight", (256, 64), False),
        ("blk.0.hc_attn.weight", (256, 64), True),
    ],
)
def test_only_matrices_that_can_bear_it_are_quantized(name: str, shape: tuple[int, ...], ok: bool) -> None:
    assert is_quantizable(name, shape, "llama") is ok


def test_an_architecture_may_keep_more() -> None:
    assert not is_quantizable("blk.0.hc_attn.weight", (256, 64), "glm5-next")


@pytest.mark.parametrize("name, layer", [("blk.12.attn_q.weight", 12), ("output.weight", None), ("v.blk.3.x", None)])
def test_layers_are_numbered_in_names(name: str, layer: int | None) -> None:
    assert layer_of(name) == layer
