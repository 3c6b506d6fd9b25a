"""What all decoders share: embedding, a stack of layers, a last norm, an output head."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from llamakit.core.gguf.metadata import Metadata
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.graph.ops import Embed, Node, RmsNorm, SelectRows, Tokens, Weight
from llamakit.core.graph.rotation import Rotation
from llamakit.core.models.hparams import HParams
from llamakit.core.models.rope_settings import original_context, read_rotation
from llamakit.core.models.tensors import Spec, Tensors, matrix, symbols, vector
from llamakit.core.quants import dequantize
from llamakit.errors import ModelError


@dataclass(frozen=True)
class CacheLayer:
    """What one layer keeps of each position."""

    n_head_kv: int
    head_dim: int
    head_dim_v: int


class Decoder:
    """A model as a formula. A subclass names its architecture, lists a layer's tensors and says what a layer does.

    `logits(n_ctx)` is the whole formula, for contexts of n_ctx positions (some rotations depend on it).
    """

    arch: ClassVar[str]
    hf_names: ClassVar[tuple[str, ...]] = ()
    is_neox: ClassVar[bool] = False  # rotation pairs dimension i with i + n_rot / 2

    def __init__(self, meta: Metadata, reader: GGUFReader) -> None:
        self.meta, self.reader = meta, reader
        self.hp = HParams.read(meta)
        self.n_vocab = self.count_vocab()
        self.w: Tensors = symbols(reader, self.specs(), meta.path)

    # the tensors
    def count_vocab(self) -> int:
        """Rows of the embedding table; the tokens, where there are any, must be as many."""
        rows = self.reader.tensor("token_embd.weight").shape[-1] if "token_embd.weight" in self.reader else 0
        return self.meta.int("vocab_size", 0, min=0) or rows if not rows else int(rows)

    def specs(self) -> Iterator[Spec]:
        """Every tensor that this architecture knows."""
        yield from matrix("token_embd", self.n_vocab, self.hp.n_embd)
        yield from vector("output_norm", self.hp.n_embd)
        yield from matrix("output", self.n_vocab, self.hp.n_embd, is_optional=True)
        for name in ("rope_freqs", "rope_factors_long", "rope_factors_short"):
            yield from vector(name, self.hp.n_rot // 2, is_optional=True)
        for i in range(self.hp.n_layer):
            yield from (Spec(f"blk.{i}.{s.name}", s.shape, s.is_optional) for s in self.layer_specs(i))

    def layer_specs(self, i: int) -> Iterator[Spec]:
        """The tensors of one layer, without "blk.{i}."."""
        raise NotImplementedError

    # the formula
    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        """One layer: x -> x."""
        raise NotImplementedError

    def begin(self, n_ctx: int) -> None:
        """What depends on the context's length, before the layers are recorded."""
        self.rotation = self.rotation_for(n_ctx)

    def embed(self) -> Node:
        return Embed(Tokens(), self.w.token_embd.weight)

    def head(self, x: Node) -> Node:
        """Logits of the wanted rows; a missing output head is the embedding table."""
        output = self.w.output if self.w.has("output") else self.w.token_embd
        logits: Node = output(self.norm(SelectRows(x), self.w.output_norm))
        return logits

    def logits(self, n_ctx: int) -> Node:
        self.begin(n_ctx)
        x = self.embed()
        for i in range(self.hp.n_layer):
            x = self.layer(x, self.w.blk[i], i)
        return self.head(x)

    def norm(self, x: Node, weight: Weight) -> Node:
        return RmsNorm(x, weight, self.hp.eps)

    # rotation and cache
    def rotation_for(self, n_ctx: int) -> Rotation:
        return read_rotation(self.meta, self.hp.n_rot, is_neox=self.is_neox, factors=self.rope_factors(n_ctx))

    def rope_factors(self, n_ctx: int) -> tuple[float, ...] | None:
        """Divisors of the frequencies: one set for all contexts, or one for short and one for long ones."""
        which = "long" if n_ctx > original_context(self.meta) else "short"
        for name in ("rope_freqs.weight", f"rope_factors_{which}.weight"):
            if name in self.reader:
                tensor = self.reader.tensor(name)
                factors = dequantize(tensor.data, tensor.type).reshape(-1).astype(np.float64)
                if not np.all(np.isfinite(factors) & (factors > 0)):
                    raise ModelError(f"{self.meta.path}: {name} has frequency factors that are no positive numbers")
                return tuple(float(f) for f in factors)
        return None

    def cache_layers(self) -> list[CacheLayer]:
        """What the KV cache must hold, layer by layer."""
        return [CacheLayer(self.hp.n_head_kv, self.hp.head_dim, self.hp.head_dim)] * self.hp.n_layer
