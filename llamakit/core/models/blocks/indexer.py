"""The indexer of sparse attention: small heads that score all keys, of which attention sees the best.

Its keys lie in cache layers behind those of attention. Source: DeepSeek V3.2; tensors as llama.cpp names them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from llamakit.core.gguf.metadata import Metadata
from llamakit.core.graph.ops import Concat, LayerNorm, Node, RmsNorm, Rope, Slice
from llamakit.core.graph.ops.compressed import Pooled
from llamakit.core.graph.ops.indexer import ChosenKeys
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.blocks.layer_lists import listed_layers
from llamakit.core.models.blocks.mamba import STATES
from llamakit.core.models.tensors import Tensors
from llamakit.errors import ModelError

NORM_EPS = 1e-6


@dataclass(frozen=True)
class Indexer:
    """`has_own` says which layers have heads of their own; the others see what the one before them has chosen.

    With pools, keys are means of so many positions, of which whole pools are chosen, and `top_k` counts those.
    """

    n_head: int
    head_dim: int
    top_k: int
    has_own: tuple[bool, ...]
    is_neox: bool
    eps: float = NORM_EPS
    turns_last: bool = False  # the last dimensions of a head turn, not the first
    pool: int = 1

    @property
    def n_all(self) -> int:
        """Tokens at no more than so many positions see all of them."""
        return (self.top_k + 1) * self.pool - 1


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

    def __init__(self, indexer: Indexer, rotation: Rotation | None, n_ctx: int) -> None:
        self.indexer, self.n_ctx = indexer, n_ctx
        self.rotation = replace(rotation, is_neox=indexer.is_neox) if rotation else None
        self.latest: Node | None = None

    def chosen(self, x: Node, short: Node, w: Tensors, i: int) -> Node | None:
        """The keys that attention of layer i sees; None where it sees all. Queries come from `short`."""
        indexer = self.indexer
        if indexer.has_own[i]:
            self.latest = self.best(self.key(x, w, i), x, short, w, i)
        else:
            w.pass_over("indexer*")
        return self.latest if indexer.top_k > 0 and indexer.n_all < self.n_ctx else None

    def best(self, k: Node, x: Node, short: Node, w: Tensors, i: int) -> ChosenKeys:
        indexer = self.indexer
        n, dim = indexer.n_head, indexer.head_dim
        q = self.turned(w.linear("indexer.attn_q_b", short, n * dim), n)
        weights = w.linear("indexer.proj", x, n) * (n * dim) ** -0.5
        return ChosenKeys(q, k, weights, len(indexer.has_own) + i, indexer.top_k, self.n_ctx, indexer.pool)

    def key(self, x: Node, w: Tensors, i: int) -> Node:
        dim, pool = self.indexer.head_dim, self.indexer.pool
        norm, bias = w("indexer.k_norm", dim), w.find("indexer.k_norm.bias", dim)
        k = self.turned(LayerNorm(w.linear("indexer.attn_k", x, dim), norm, self.indexer.eps, bias), 1)
        if pool == 1:
            return k
        place = w("indexer_compressor_ape", pool, dim)
        return Pooled(k, w.linear("indexer_compressor_gate", x, dim), place, dim, pool, STATES * i)

    def turned(self, heads: Node, n_head: int, shift: int = 0) -> Node:
        if not self.rotation:
            return heads
        n, dim, rotation = self.rotation.n_rot, self.indexer.head_dim, replace(self.rotation, shift=shift)
        if not self.indexer.turns_last or n == dim:
            return Rope(heads, dim, rotation)
        first, last = Slice(heads, 0, dim - n, n_head), Slice(heads, dim - n, n, n_head)
        return Concat((first, Rope(last, n, rotation)), n_head)


class SummaryChooser(Chooser):
    """Keys are summaries made as attention's are: of two pools each, normed, turned as the first of the latter's."""

    def key(self, x: Node, w: Tensors, i: int) -> Node:
        dim, pool = self.indexer.head_dim, self.indexer.pool
        values, scores = (w.linear(f"indexer_compressor_{name}", x, 2 * dim) for name in ("kv", "gate"))
        mean = Pooled(values, scores, w("indexer_compressor_ape", pool, 2 * dim), dim, pool, STATES * i + 1)
        return self.turned(RmsNorm(mean, w("indexer_compressor_norm", dim), self.indexer.eps), 1, 1 - pool)
