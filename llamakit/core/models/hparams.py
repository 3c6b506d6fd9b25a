"""The numbers that fix a model's shape, read from its metadata and checked before anything is allocated."""

from __future__ import annotations

from dataclasses import dataclass

from llamakit.core.gguf.metadata import Metadata
from llamakit.errors import ModelError

MOST_LAYERS, MOST_HEADS, WIDEST = 1024, 4096, 1 << 20


@dataclass(frozen=True)
class HParams:
    """What nearly every decoder has. `scale` is the attention's; 0 expert counts mean a dense model."""

    n_layer: int
    n_ctx_train: int
    n_embd: int
    n_head: int
    n_head_kv: int
    head_dim: int
    n_rot: int
    n_ff: int
    eps: float
    scale: float
    n_expert: int
    n_expert_used: int
    n_ff_expert: int

    @classmethod
    def read(cls, meta: Metadata) -> HParams:
        """Raises ModelError for a missing key, a wrong type, or numbers that do not fit together."""
        n_layer = meta.int("block_count", min=1, max=MOST_LAYERS)
        n_embd = meta.int("embedding_length", min=1, max=WIDEST)
        n_head = meta.int("attention.head_count", min=1, max=MOST_HEADS)
        n_head_kv = meta.int("attention.head_count_kv", n_head, min=1, max=n_head)
        if n_head % n_head_kv:
            raise ModelError(f"{meta.path}: {n_head} query heads cannot share {n_head_kv} key/value heads evenly")
        if not meta.has("attention.key_length") and n_embd % n_head:
            raise ModelError(f"{meta.path}: {n_head} heads do not divide an embedding of {n_embd}")
        head_dim = meta.int("attention.key_length", n_embd // n_head, min=1, max=1024)
        if meta.int("attention.value_length", head_dim, min=1, max=1024) != head_dim:
            raise ModelError(f"{meta.path}: keys and values of different lengths do not go with {meta.arch}")
        n_rot = meta.int("rope.dimension_count", head_dim, min=2, max=head_dim)
        if n_rot % 2:
            raise ModelError(
                f"{meta.path}: {meta.full_key('rope.dimension_count')} is {n_rot}, but dimensions turn in pairs"
            )
        n_expert = meta.int("expert_count", 0, min=0, max=4096)
        n_ff = meta.int("feed_forward_length", min=1, max=1 << 22)
        return cls(
            n_layer=n_layer,
            n_ctx_train=meta.int("context_length", min=1),
            n_embd=n_embd,
            n_head=n_head,
            n_head_kv=n_head_kv,
            head_dim=head_dim,
            n_rot=n_rot,
            n_ff=n_ff,
            eps=meta.float("attention.layer_norm_rms_epsilon", above=0, max=1),
            scale=meta.float("attention.scale", 0.0, min=0) or head_dim**-0.5,
            n_expert=n_expert,
            n_expert_used=meta.int("expert_used_count", min=1, max=n_expert) if n_expert else 0,
            n_ff_expert=meta.int("expert_feed_forward_length", 0, min=0, max=1 << 22) or n_ff,
        )
