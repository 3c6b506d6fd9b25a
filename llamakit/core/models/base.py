"""What all decoders share: embedding, a stack of layers, a last norm, an output head."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from llamakit.core.gguf.metadata import Metadata
from llamakit.core.graph.ops import Concat, Embed, LayerNorm, Linear, Node, RmsNorm, SelectRows, Tokens, in_order
from llamakit.core.graph.ops.attention import Attention, KeepSource
from llamakit.core.graph.ops.compressed import CompressedAttention
from llamakit.core.graph.ops.indexer import ChosenKeys
from llamakit.core.graph.ops.recurrent import Recurrent
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.hparams import LAYER_EPS, RMS_EPS, HParams
from llamakit.core.models.rope_settings import original_context, read_rotation
from llamakit.core.models.tensors import ModelFile, Tensors
from llamakit.core.quants import dequantize
from llamakit.errors import ModelError

Cached = Attention | ChosenKeys | CompressedAttention | KeepSource  # ops that keep a row of each position


@dataclass(frozen=True)
class CacheLayer:
    """What one layer keeps of each position."""

    n_head_kv: int
    head_dim: int
    head_dim_v: int


class Decoder:
    """A model as a formula. A subclass names its architecture and says what a layer does.

    `logits(n_ctx)` is the whole formula, for contexts of n_ctx positions (some rotations depend on it). The tensors it
    asks for are those the architecture has: the constructor runs it once to compare them with the file's.
    """

    arch: ClassVar[str]
    hf_names: ClassVar[tuple[str, ...]] = ()
    is_neox: bool = False  # rotation pairs dimension i with i + n_rot / 2
    has_layer_norm: bool = False  # in place of the norm by the root mean square
    is_causal: bool = True  # else a token sees all those that are computed with it
    has_head: ClassVar[bool] = True  # else there are states only, and no logits
    last_norm: ClassVar[str] = "output_norm"
    decoder_start: int | None = None  # of an encoder-decoder: the token that an answer to a source begins with
    gives_layers: bool = False  # `hidden` is what the layers give
    n_exact: int = 0  # the longest text that all of the model's formula is computed for, if it is not for any
    may_be_zero: ClassVar[tuple[str, ...]] = ()  # keys of counts, see HParams.read

    def __init__(self, meta: Metadata, reader: ModelFile) -> None:
        self.meta, self.reader = meta, reader
        self.layer_outputs: list[Node] = []  # of the graph that was made last
        self.hp = HParams.read(meta, self.eps_key(), self.may_be_zero)
        self.w = Tensors.of_file(reader)
        self.n_vocab = self.count_vocab()
        self.is_causal = meta.bool("attention.causal", self.is_causal)
        self.w.pass_over("cls.*", "dense_2.*", "dense_3.*")  # of pooling
        self.read_settings()
        self._cached: dict[int, Cached] = {}
        self._states: dict[int, int] = {}
        roots = self.graphs(self.hp.n_ctx_train)
        for i in range(self.hp.n_layer, len(self.hp.heads)):  # layers that predict further tokens
            self.w.layer(i).pass_over("*")
        self.w.check(meta.path)
        for root in roots:
            self.note_kept(root)

    def note_kept(self, root: Node) -> None:
        """What the ops of a formula keep; those for longer contexts may keep more."""
        for n in in_order(root):
            if isinstance(n, Cached):
                self._cached[n.layer] = n
            elif isinstance(n, Recurrent):
                self._states[n.state] = n.n_state

    def eps_key(self) -> str:
        """Where the metadata has the eps of norms."""
        return LAYER_EPS if self.has_layer_norm else RMS_EPS

    def read_settings(self) -> None:
        """Read what the architecture has beyond HParams."""

    def count_vocab(self) -> int:
        """Rows of the embedding table; the tokens, where there are any, must be as many."""
        rows = self.reader.tensor("token_embd.weight").shape[-1] if "token_embd.weight" in self.reader else 0
        return self.meta.int("vocab_size", 0, min=0) or rows if not rows else int(rows)

    # the formula
    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        """One layer: x -> x."""
        raise NotImplementedError

    def begin(self, n_ctx: int) -> None:
        """What depends on the context's length, before the layers are recorded."""
        self.rotation = self.rotation_for(n_ctx)

    def embed(self) -> Node:
        return Embed(Tokens(), self.w("token_embd", self.n_vocab, self.hp.n_embd))

    def head(self, x: Node) -> Node:
        """Logits of the wanted rows; a missing output head is the embedding table."""
        x = self.norm(SelectRows(x), self.w, self.last_norm)
        if self.w.has("output"):
            return self.w.linear("output", x, self.n_vocab)
        tied, bias = self.w.matrix("token_embd", self.n_vocab, x.width), self.w.find("output.bias", self.n_vocab)
        return replace(tied, bias=bias)(x) if bias else tied(x)

    def logits(self, n_ctx: int) -> Node:
        self.begin(n_ctx)
        root = self.head(self.layers(self.embed()))
        self.note_kept(root)
        return root

    def graphs(self, n_ctx: int) -> list[Node]:
        """All that is computed with the model's tensors."""
        return [self.logits(n_ctx)]

    def source(self, n_ctx: int) -> Node | None:
        """Of an encoder-decoder: what the encoder does with a source, before the decoder begins."""
        return None

    def hidden(self, n_ctx: int) -> Node:
        """The states of the wanted rows that the output head multiplies: what embeddings are made of.

        With `gives_layers`, what all layers give, side by side.
        """
        heads = ("output.weight", "token_embd.weight")
        nodes = reversed(in_order(self.logits(n_ctx)))
        if self.gives_layers:
            return SelectRows(Concat(tuple(self.layer_outputs)))
        return next(n.x for n in nodes if isinstance(n, Linear) and n.weight.name in heads)

    def layers(self, x: Node) -> Node:
        self.layer_outputs = []
        for i in range(self.hp.n_layer):
            x = self.layer(x, self.w.layer(i), i)
            self.layer_outputs.append(x)
        return x

    def norm(self, x: Node, w: Tensors, name: str) -> Node:
        """The architecture's norm of whole rows."""
        kind = LayerNorm if self.has_layer_norm else RmsNorm
        return kind(x, w(name, x.width), self.hp.eps, w.find(f"{name}.bias", x.width))

    def bare_norm(self, x: Node, w: Tensors, name: str) -> Node:
        """As `norm`, of files that have the tensor without ".weight"."""
        return RmsNorm(x, w.bare(name, x.width), self.hp.eps)

    # rotation and cache
    def rotation_for(self, n_ctx: int) -> Rotation:
        return read_rotation(self.meta, self.hp.n_rot, is_neox=self.is_neox, factors=self.rope_factors(n_ctx))

    def rope_factors(self, n_ctx: int) -> tuple[float, ...] | None:
        """Divisors of the frequencies: one set for all contexts, or one for short and one for long ones."""
        for name in ("rope_freqs", "rope_factors_long", "rope_factors_short"):
            self.w.find(name, self.hp.n_rot // 2)
        self.w.pass_over("blk.*.rope_freqs.weight", "blk.*.rope_factors_*.weight")
        which = "long" if n_ctx > original_context(self.meta) else "short"
        for name in ("rope_freqs.weight", f"rope_factors_{which}.weight"):
            if self.w.has(name):
                tensor = self.reader.tensor(name)
                factors = dequantize(tensor.data, tensor.type).reshape(-1).astype(np.float64)
                if not np.all(np.isfinite(factors) & (factors > 0)):
                    raise ModelError(f"{self.meta.path}: {name} has frequency factors that are no positive numbers")
                return tuple(float(f) for f in factors)
        return None

    def states(self) -> dict[int, int]:
        """Floats that ops which remember keep of each sequence, by the number of their state."""
        return self._states

    def cache_layers(self) -> list[CacheLayer]:
        """What the KV cache must hold, layer by layer: of those that attend."""
        n_layer = max(self._cached, default=-1) + 1
        layers = [self._cached.get(i) for i in range(n_layer)]
        return [CacheLayer(n.n_head_kv, n.head_dim, n.head_dim_v) if n else CacheLayer(0, 0, 0) for n in layers]
