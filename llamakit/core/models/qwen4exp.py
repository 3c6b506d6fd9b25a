"""Qwen 4 (preview): Qwen 3.5 with experts between several residual streams, and an embedding of the last few tokens.

Its indexer picks the keys to attend to in long contexts; here all of them are.
"""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.graph.ops import Activation, Concat, Glu, Node, RmsNorm, SelectRows, Tokens
from llamakit.core.graph.ops.recurrent import Convolution, NgramEmbed
from llamakit.core.graph.ops.streams import Dot, Mix, Root
from llamakit.core.models.blocks import hyper
from llamakit.core.models.blocks.mamba import STATES
from llamakit.core.models.qwen35moe import Qwen35Moe
from llamakit.core.models.tensors import Tensors
from llamakit.errors import ModelError

LEAST_SCORE = 1e-6  # below it, the root of a score is that of this


class Qwen4Exp(Qwen35Moe):
    """Streams are read through a gate of low rank, and all are written to, each as far as it wants."""

    arch = "qwen4exp"
    hf_names: ClassVar[tuple[str, ...]] = ("Qwen4ExpForCausalLM", "Qwen4ExpForConditionalGeneration")
    delta_gate = "sigmoid"

    def read_settings(self) -> None:
        super().read_settings()
        meta = self.meta
        self.n_shared = self.n_shared or self.hp.n_ff
        self.n_streams = meta.int("hyper_connection.count", min=2, max=hyper.MOST_STREAMS)
        self.rank = meta.int("hyper_connection.low_rank", min=1)
        self.ngram_layers = meta.ints("ple.layers", None, [], min=0, max=self.hp.n_layer - 1)
        self.n_exact = meta.int("attention.indexer.top_k", 0, min=0)
        self.w.pass_over("blk.*.indexer.*", "blk.*.attn_[qkv].bias")

    def layers(self, x: Node) -> Node:
        self.ngrams = self.embed_ngrams() if self.ngram_layers else None
        return super().layers(hyper.begin(x, self.n_streams))

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        if i in self.ngram_layers and self.ngrams is not None:
            x = x + self.of_ngrams(self.ngrams, x, w, i)
        taken, normed = self.read(x, w, "hc_attn")
        x = self.write(
            x, self.remember(taken, w, i) if self.is_recurrent[i] else self.attention(taken, w, i), normed, w, "hc_attn"
        )
        taken, normed = self.read(x, w, "hc_ffn")
        return self.write(x, self.feed_forward(taken, w, i), normed, w, "hc_ffn")

    def read(self, x: Node, w: Tensors, name: str) -> tuple[Node, Node]:
        """The mean of the gated streams, and the streams normed."""
        normed = self.stream_norm(x, w, f"{name}_norm")
        short = Activation(w.linear(f"{name}_down", normed, self.rank) * (1 / self.n_streams), "silu")
        gated = Glu(w.linear(f"{name}_up", short, x.width), normed, "sigmoid")
        return hyper.mean(gated, self.n_streams), normed

    def write(self, x: Node, y: Node, normed: Node, w: Tensors, name: str) -> Node:
        wanted = Activation(w.linear(f"{name}_inject", normed, self.n_streams) * (1 / self.n_streams), "sigmoid")
        return x + Mix(y, wanted * 2.0, y.width)

    def stream_norm(self, x: Node, w: Tensors, name: str) -> Node:
        """Each stream has numbers of its own."""
        return RmsNorm(x, w.reshaped(name, self.n_streams, self.hp.n_embd), self.hp.eps)

    def embed_ngrams(self) -> Node:
        """Rows of one table, found by several hashes of the last two tokens, the last three, and so on."""
        meta = self.meta
        n_gram, per_gram = meta.int("ple.ngram_size", min=2, max=16), meta.int("ple.heads_per_ngram", min=1, max=64)
        n_heads = (n_gram - 1) * per_gram
        multipliers = meta.ints("ple.layer_multipliers", None, min=0)
        offsets, sizes = meta.ints("ple.head_offsets", None, min=0), meta.ints("ple.head_vocab_sizes", None, min=1)
        if len(multipliers) < n_gram or len(offsets) < n_heads or len(sizes) < n_heads:
            raise ModelError(f"{meta.path}: the hashes of {n_heads} embeddings of {n_gram} tokens are not all there")
        n_rows = max(o + s for o, s in zip(offsets[:n_heads], sizes, strict=False))
        name = "per_layer_token_embd.weight"
        n_rows = max(n_rows, int(self.reader.tensor(name).shape[-1]) if name in self.reader else 0)
        table = self.w("per_layer_token_embd", n_rows, meta.int("embedding_length_per_layer_input", min=1))
        eos = meta.int("ple.eos_token_id", 0, min=0)
        first_state = STATES * self.hp.n_layer
        return Concat(tuple(
            NgramEmbed(
                Tokens(), table, tuple(multipliers[: 2 + h // per_gram]), sizes[h], offsets[h], eos, first_state + h
            ) for h in range(n_heads)
        ))  # fmt: skip

    def of_ngrams(self, ngrams: Node, x: Node, w: Tensors, i: int) -> Node:
        """What the streams take of it, and what they took of the tokens before."""
        n, kernel = self.hp.n_embd, self.meta.int("ple.conv_kernel", min=2, max=64)
        keys = self.stream_norm(w.linear("ple_key", ngrams, x.width), w, "ple_norm_key")
        scores = Dot(keys, self.stream_norm(x, w, "ple_norm_query"), n) * n**-0.5
        taken = Mix(w.linear("ple_value", ngrams, n), Activation(Root(scores, LEAST_SCORE), "sigmoid"), n)
        normed, taps = self.stream_norm(taken, w, "ple_norm_conv"), w("ple_conv1d", x.width, kernel)
        state, dilation = STATES * i + STATES - 1, self.meta.int("ple.ngram_size")
        return taken + Activation(Convolution(normed, taps, state, dilation=dilation), "silu")

    def head(self, x: Node) -> Node:
        """The last reading of the streams is the last norm."""
        taken, _ = self.read(SelectRows(x), self.w, "output_hc")
        return self.w.linear("output" if self.w.has("output") else "token_embd", taken, self.n_vocab)
