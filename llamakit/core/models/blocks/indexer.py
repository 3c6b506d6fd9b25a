"""The indexer of sparse attention: small heads that score all keys, of which attention sees the best.

Its keys lie in cache layers behind those of attention. Source: DeepSeek V3.2; tensors as llama.cpp names them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from llamakit.core.gguf.metadata import Metadata
from llamakit.core.graph.ops import Concat, LayerNorm, Node, Rope, Slice
from llamakit.core.graph.ops.indexer import ChosenKeys
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.blocks.layer_lists import listed_layers
from llamakit.core.models.tensors import Tensors
from llamakit.errors import ModelError

NORM_EPS = 1e-6


@dataclass(frozen=True)
class Indexer:
    """`has_own` says which layers have heads of their own; the others see what the one before them has chosen."""

    n_head: int
    head_dim: int
    top_k: int
    has_own: tuple[bool, ...]
    is_neox: bool
    eps: float = NORM_EPS
    turns_last: bool = False  # the last dimensions of a head turn, not the first


def read_indexer(meta: Metadata, n_block: int, n_rot: int, *, is_neox: bool) -> Indexer:
    """Raises ModelError for heads narrower than what turns."""
    key = "attention.indexer.types"
    listed = meta.mapping.get(meta.full_key(key))
    n_listed = len(listed) if isinstance(listed, list) else n_block  # those that foretell may be left out
    has_own = (listed_layers(meta, key, min(n_listed, n_block)) or [True] * n_block)[:n_block]
    has_own += [True] * (n_block - len(has_own))
    head_dim = meta.int("attention.indexer.key_length", min=1, max=1024)
    if head_dim < n_rot:
        raise ModelError(f"{meta.path}: the indexer's heads have {head_dim} dimensions, of which {n_rot} cannot turn")
    return Indexer(
        n_head=meta.int("attention.indexer.head_count", min=1, max=4096),
        head_dim=head_dim,
        top_k=meta.int("attention.indexer.top_k", min=0),
        has_own=tuple(has_own),
        is_neox=is_neox,
    )


class Chooser:
    """Writes the indexers of one graph, layer by layer."""

    def __init__(self, indexer: Indexer, rotation: Rotation, n_ctx: int) -> None:
        self.indexer, self.n_ctx = indexer, n_ctx
        self.rotation = replace(rotation, is_neox=indexer.is_neox)
        self.latest: Node | None = None

    def chosen(self, x: Node, short: Node, w: Tensors, i: int) -> Node | None:
        """The keys that attention of layer i sees; None where it sees all. Queries come from `short`."""
        indexer = self.indexer
        if not 0 < indexer.top_k < self.n_ctx:
            w.pass_over("indexer.*")
            return None
        if indexer.has_own[i]:
            self.latest = self.keys(x, short, w, len(indexer.has_own) + i)
        else:
            w.pass_over("indexer.*")
        return self.latest

    def keys(self, x: Node, short: Node, w: Tensors, layer: int) -> ChosenKeys:
        indexer = self.indexer
        n, dim = indexer.n_head, indexer.head_dim
        q = w.linear("indexer.attn_q_b", short, n * dim)
        norm, bias = w("indexer.k_norm", dim), w.find("indexer.k_norm.bias", dim)
        k = LayerNorm(w.linear("indexer.attn_k", x, dim), norm, indexer.eps, bias)
        weights = w.linear("indexer.proj", x, n) * (n * dim) ** -0.5
        return ChosenKeys(self.turned(q, n), self.turned(k, 1), weights, layer, indexer.top_k, self.n_ctx)

    def turned(self, heads: Node, n_head: int) -> Node:
        n, dim = self.rotation.n_rot, self.indexer.head_dim
        if not self.indexer.turns_last or n == dim:
            return Rope(heads, dim, self.rotation)
        first, last = Slice(heads, 0, dim - n, n_head), Slice(heads, dim - n, n, n_head)
        return Concat((first, Rope(last, n, self.rotation)), n_head)
