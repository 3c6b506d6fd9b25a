"""What a tensor is for, by its name: its role in the recipes, and whether it is quantized at all.

Source: llama-quant.cpp of 2026 (`tensor_get_category`, `tensor_allows_quantization`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum


class Role(Enum):
    """Tensors that the recipes tell apart; the value is what their names contain."""

    OUTPUT = ("output.weight",)
    TOKEN_EMBD = ("token_embd.weight", "per_layer_token_embd.weight")
    ATTN_V = ("attn_qkv.weight", "attn_kv_b.weight", "attn_v.weight")
    ATTN_K = ("attn_k.weight",)
    ATTN_Q = ("attn_q.weight",)
    ATTN_OUTPUT = ("attn_output.weight",)
    FFN_UP = ("ffn_up",)
    FFN_GATE = ("ffn_gate",)
    FFN_DOWN = ("ffn_down",)
    OTHER = ("",)


FEED_FORWARD = (Role.FFN_UP, Role.FFN_GATE, Role.FFN_DOWN)

_WHOLE_NAMES = (Role.OUTPUT, Role.TOKEN_EMBD)


def role_of(name: str) -> Role:
    """The first role whose words the name contains; output and embeddings by the whole name."""
    return next(role for role in Role if (name in role.value if role in _WHOLE_NAMES else _contains(name, role.value)))


# Small tensors, or such that lose much: parts of names.
_KEPT = (
    "_norm.weight",
    "ffn_gate_inp.weight", "ffn_gate_tid2eid.weight",  # which expert a token goes to
    "altup", "laurel", "per_layer_model_proj",  # of Gemma 3n
    "ssm_conv1d", "shortconv.conv.weight",  # short convolutions
    "indexer.k_proj.weight", "indexer.q_proj.weight",  # of MiniMax
    "time_mix_first.weight", "time_mix_lerp_fused.weight", "time_mix_decay_w1.weight", "time_mix_decay_w2.weight",
    "time_mix_w0.weight", "time_mix_w1.weight", "time_mix_w2.weight",  # of RWKV, down to g2
    "time_mix_v0.weight", "time_mix_v1.weight", "time_mix_v2.weight",
    "time_mix_a0.weight", "time_mix_a1.weight", "time_mix_a2.weight", "time_mix_g1.weight", "time_mix_g2.weight",
    "attn_rel_b.weight",  # of T5
    ".position_embd", "sam.pos_embd", "sam.neck.", "sam.net_", ".rel_pos", ".patch_embd", ".patch_merger",  # images
    "a.rvq.codebook", "mm.a.code_embd",  # sound
)  # fmt: skip
_KEPT_WHOLE = ("position_embd.weight", "token_types.weight")
_KEPT_OF_ARCH = {
    "glm5-next": (
        "hc_", "indexer.attn_q_b", "indexer.attn_k", "indexer.proj", "indexer_compressor_gate",
        "indexer_compressor_ape", "ssm_f_a.weight", "ssm_f_b.weight", "ssm_g_a.weight", "ssm_g_b.weight",
        "ssm_beta.weight", "attn_kv_a_mqa.weight", "attn_k_b.weight", "attn_v_b.weight",
    ),
}  # fmt: skip


def is_quantizable(name: str, shape: Sequence[int], arch: str) -> bool:
    """Whether a tensor may change its type: a matrix or a stack of them, and no exception by name.

    `shape` is in GGUF order; trailing dimensions of 1 do not count.
    """
    return (
        any(dim > 1 for dim in shape[1:])
        and name.endswith("weight")
        and name not in _KEPT_WHOLE
        and not _contains(name, _KEPT)
        and not _contains(name, _KEPT_OF_ARCH.get(arch, ()))
    )


_LAYER = re.compile(r"blk\.(\d+)\.")


def layer_of(name: str) -> int | None:
    """The layer's number in a name such as "blk.3.attn_q.weight"; None where it has none."""
    match = _LAYER.match(name)
    return int(match[1]) if match else None


def _contains(name: str, parts: Sequence[str]) -> bool:
    return any(part in name for part in parts)
