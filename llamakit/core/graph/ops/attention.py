"""Attention: of tokens to those before them, or, in a decoder, to the encoder's.

Of encoder and decoder in one sequence, the encoder's tokens, its source, take the positions in front. The encoder
leaves keys and values of its last states in the cache, layers of their own, and the decoder's tokens attend to all of
them; to each other they attend in other layers, from the first position behind the source on.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from llamakit.core.graph.ops.buckets import Buckets
from llamakit.core.graph.ops.inputs import Weight
from llamakit.core.graph.ops.node import LikeX, Node, node


@node
class Attention(Node):
    """softmax(scale q k^T) v over this and all earlier positions, kept in cache layer `layer`.

    With a window, only the last `window` positions count, or, in chunks, those since the last multiple of `window`;
    with a softcap, scores are softcap * tanh(s / softcap). `max_bias` is ALiBi's: scores lose slope * distance, or,
    with `is_bias_by_key`, gain scale * slope * position of the key, in bfloat16. A sink is a score without a value, one
    for each head. Values may be of another width than keys. Without causality a token sees all those that are computed
    with it, too; a window then counts both ways.
    """

    q: Node
    k: Node
    v: Node
    head_dim: int
    layer: int
    scale: float
    window: int = 0
    softcap: float = 0.0
    is_chunked: bool = False
    max_bias: float = 0.0
    sinks: Weight | None = None
    is_causal: bool = True
    distances: Weight | None = None  # (buckets.n, heads): what is added to scores
    buckets: Buckets | None = None
    is_behind_source: bool = False  # keys that the encoder has written do not count
    chosen: Node | None = None  # of an indexer: others do not count
    is_bias_by_key: bool = False

    @property
    def n_head(self) -> int:
        return self.q.width // self.head_dim

    @property
    def n_head_kv(self) -> int:
        return self.k.width // self.head_dim

    @property
    def head_dim_v(self) -> int:
        return self.v.width // self.n_head_kv

    @property
    def width(self) -> int:
        return self.n_head * self.head_dim_v


@node
class CachedAttention(Node):
    """As Attention, to the keys and values that an earlier one has stored in cache layer `layer`."""

    q: Node
    head_dim: int
    n_head_kv: int
    head_dim_v: int
    layer: int
    scale: float
    window: int = 0
    softcap: float = 0.0
    is_chunked: bool = False
    max_bias: float = 0.0
    is_causal: bool = True

    @property
    def n_head(self) -> int:
        return self.q.width // self.head_dim

    @property
    def width(self) -> int:
        return self.n_head * self.head_dim_v


@node
class KeepSource(LikeX):
    """x; and these keys and values are kept in cache layer `layer`."""

    x: Node
    k: Node
    v: Node
    head_dim: int
    layer: int

    @property
    def n_head_kv(self) -> int:
        return self.k.width // self.head_dim

    @property
    def head_dim_v(self) -> int:
        return self.v.width // self.n_head_kv


@node
class SourceAttention(Node):
    """softmax(scale q k^T) v over the source that `KeepSource` has kept."""

    q: Node
    head_dim: int
    head_dim_v: int
    n_head_kv: int
    layer: int
    scale: float

    @property
    def n_head(self) -> int:
        return self.q.width // self.head_dim

    @property
    def width(self) -> int:
        return self.n_head * self.head_dim_v


def alibi_slopes(max_bias: float, n_head: int) -> list[float]:
    """Slope of each head: powers of 2^(-max_bias / n) for the largest power of two n, odd powers between for the rest.

    Source: ALiBi (arXiv:2108.12409) as ggml's soft_max applies it.
    """
    n = 1 << (n_head.bit_length() - 1)
    return [2.0 ** (-max_bias * (h + 1) / n) for h in range(n)] + [
        2.0 ** (-max_bias * (2 * h + 1) / (2 * n)) for h in range(n_head - n)
    ]


def alibi_by_key(max_bias: float, n_head: int, n: int) -> npt.NDArray[np.float32]:
    """What the keys of n positions gain, rounded as Falcon's is in transformers.   -> (n_head, n)"""
    slopes = in_bfloat16(np.array(alibi_slopes(max_bias, n_head), np.float32))
    return in_bfloat16(slopes[:, None] * in_bfloat16(np.arange(n, dtype=np.float32)))


def in_bfloat16(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The nearest numbers of 8 significant bits, halves to even."""
    bits = x.view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)
