"""The numbers that fix a model's shape, read from its metadata and checked before anything is allocated."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from llamakit.core.gguf.metadata import Metadata
from llamakit.errors import ModelError

MOST_LAYERS, MOST_HEADS, WIDEST = 1024, 4096, 1 << 20
RMS_EPS, LAYER_EPS = "attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"


@dataclass(frozen=True)
class HParams:
    """What nearly every decoder has. `scale` is the attention's; 0 expert counts mean a dense model.

    Heads and feed-forward may differ by layer: `of_layer` gives a layer's own numbers, the plain ones are the largest.
    """

    n_layer: int  # without those that predict further tokens
    n_ctx_train: int
    n_embd: int
    n_head: int
    n_head_kv: int
    head_dim: int
    head_dim_v: int
    n_rot: int
    n_ff: int
    eps: float
    scale: float
    n_expert: int
    n_expert_used: int
    n_ff_expert: int
    heads: tuple[int, ...]
    heads_kv: tuple[int, ...]
    ffs: tuple[int, ...]

    def of_layer(self, i: int) -> HParams:
        return replace(self, n_head=self.heads[i], n_head_kv=self.heads_kv[i], n_ff=self.ffs[i])

    @classmethod
    def read(cls, meta: Metadata, eps_key: str = RMS_EPS, may_be_zero: Collection[str] = ()) -> HParams:
        """Raises ModelError for a missing key, a wrong type, or numbers that do not fit together.

        `may_be_zero`: keys of counts that an architecture can do without in every layer, or of the eps or the rotation.
        """
        n_block = meta.int("block_count", min=1, max=MOST_LAYERS)
        n_layer = n_block - meta.int("nextn_predict_layers", 0, min=0, max=n_block - 1)
        n_embd = meta.int("embedding_length", min=1, max=WIDEST)

        def by_layer(key: str, most: int, default: list[int] | None = None) -> list[int]:
            if default is not None and not meta.has(key):
                return default
            is_list = isinstance(meta.mapping.get(meta.full_key(key)), list)
            least = 0 if is_list or key in may_be_zero else 1
            if key in may_be_zero and not meta.has(key):
                return [0] * n_block
            return meta.ints(key, n_block, min=least, max=most)

        heads = by_layer("attention.head_count", MOST_HEADS)
        n_head = max(heads)
        heads_kv = by_layer("attention.head_count_kv", n_head or MOST_HEADS, heads)
        has_experts_only = meta.has("expert_feed_forward_length") and not meta.has("feed_forward_length")
        ffs = [0] * n_block if has_experts_only else by_layer("feed_forward_length", 1 << 22)
        for h, kv in zip(heads, heads_kv, strict=True):
            if kv and h % kv:
                raise ModelError(f"{meta.path}: {h} query heads cannot share {kv} key/value heads evenly")
        if n_head and not meta.has("attention.key_length") and n_embd % n_head:
            raise ModelError(f"{meta.path}: {n_head} heads do not divide an embedding of {n_embd}")
        head_dim = meta.int("attention.key_length", n_embd // max(n_head, 1), min=0 if not n_head else 1, max=1024)
        turns = n_head and "rope.dimension_count" not in may_be_zero
        n_rot = meta.int("rope.dimension_count", head_dim, min=2 if turns else 0, max=max(head_dim, 2))
        if n_rot % 2:
            raise ModelError(
                f"{meta.path}: {meta.full_key('rope.dimension_count')} is {n_rot}, but dimensions turn in pairs"
            )
        n_expert = meta.int("expert_count", 0, min=0, max=4096)
        return cls(
            n_layer=n_layer,
            n_ctx_train=meta.int("context_length", min=1),
            n_embd=n_embd,
            n_head=n_head,
            n_head_kv=max(heads_kv),
            head_dim=head_dim,
            head_dim_v=meta.int("attention.value_length", head_dim, min=1, max=1024) if n_head else 0,
            n_rot=n_rot,
            n_ff=max(ffs),
            eps=meta.float(eps_key, above=None if eps_key in may_be_zero else 0, min=0, max=1),
            scale=meta.float("attention.scale", 0.0, min=0) or max(head_dim, 1) ** -0.5,
            n_expert=n_expert,
            n_expert_used=meta.int("expert_used_count", min=1, max=n_expert) if n_expert else 0,
            n_ff_expert=meta.int("expert_feed_forward_length", 0, min=0, max=1 << 22) or max(ffs),
            heads=tuple(heads),
            heads_kv=tuple(heads_kv),
            ffs=tuple(ffs),
        )
