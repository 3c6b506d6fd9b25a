"""Gemma 3n, text: four residual streams of which layers predict and correct all, and run on one; Gemma 4's inputs."""

from __future__ import annotations

import math
from dataclasses import replace

from llamakit.core.gguf.metadata import Metadata
from llamakit.core.graph.ops import (
    Activation,
    Add,
    Concat,
    Glu,
    HeadLinear,
    LayerNorm,
    Linear,
    Mul,
    Node,
    Repeat,
    RmsNorm,
    Shift,
    Slice,
)
from llamakit.core.graph.ops.streams import Dot, Mix, Root
from llamakit.core.models.blocks.hyper import mean
from llamakit.core.models.gemma4 import Gemma4
from llamakit.core.models.tensors import Tensors
from llamakit.errors import ModelError

LAYERS_WITH_KEYS, SPARSE_LAYERS = 20, 10  # of files that do not say
TOP_20TH = 1.6448536  # of a normal distribution lies so many deviations above the mean
TINY = 1e-20


class Gemma3n(Gemma4):
    """Streams by AltUp (arXiv:2301.13310), a side path of low rank (LAuReL, arXiv:2411.07501)."""

    arch = "gemma3n"
    hf_names = ("Gemma3nForCausalLM", "Gemma3nForConditionalGeneration")
    window_period = 5
    has_ffn_scales = False

    def read_settings(self) -> None:
        super().read_settings()
        meta, n_layer = self.meta, self.hp.n_layer
        if not self.n_input:
            raise ModelError(f"{meta.path}: {meta.full_key('embedding_length_per_layer_input')} is missing")
        self.n_own = n_layer - meta.int(
            "attention.shared_kv_layers", max(n_layer - LAYERS_WITH_KEYS, 0), min=0, max=n_layer - 1
        )
        self.n_streams = meta.int("altup.num_inputs", 4, min=2, max=16)
        self.active = meta.int("altup.active_idx", 0, min=0, max=self.n_streams - 1)
        self.deviations = read_deviations(meta, n_layer)
        left = "blk.0.laurel_l.weight"
        self.rank = int(self.reader.tensor(left).shape[-1]) if left in self.reader else 64
        self.last_softcap = meta.float("final_logit_softcapping", 30.0, min=0)

    def layers(self, x: Node) -> Node:
        n, n_more = x.width, self.n_streams - 1
        table = self.w("altup_proj", n_more, n, n)
        more = as_long(Linear(x, replace(table, shape=(n_more * n, n))), x)
        streams: Node = Concat((x, more))
        self.inputs = self.inputs_of_layers(x)
        for i in range(self.hp.n_layer):
            streams = self.layer(streams, self.w.layer(i), i)
        first, rest = Slice(streams, 0, n), Slice(streams, n, n_more * n)
        back = HeadLinear(rest, self.w("altup_unembd_proj", n_more, n, n))
        return mean(Concat((first, as_long(back, first))), self.n_streams)

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        n = self.hp.n_embd
        predicted = self.predicted(x, w)
        here = self.stream(predicted)
        normed = self.norm(here, w, "attn_norm")
        short = w.linear("laurel_l", normed, self.rank)
        side = normed + self.norm(w.linear("laurel_r", short, n), w, "laurel_post_norm")
        attended = here + self.norm(self.attention(normed, w, i), w, "post_attention_norm")
        attended = (attended + side) * 0.5**0.5
        done = attended + self.norm(self.feed_forward(self.norm(attended, w, "ffn_norm"), w, i), w, "post_ffw_norm")
        corrected = self.corrected(predicted, here, done, w)
        first = self.stream(corrected)
        if scale := w.find("altup_correct_scale", n):
            first = Mul(first, scale)
        assert self.inputs is not None
        added = Repeat(self.of_input(self.inputs, first, w, i), self.n_streams - 1)
        rest = Add(Slice(corrected, n, (self.n_streams - 1) * n), added)
        return Concat((Slice(corrected, 0, n), rest))

    def stream(self, streams: Node) -> Node:
        """The one that layers run on."""
        return Slice(streams, self.active * self.hp.n_embd, self.hp.n_embd)

    def modes(self, x: Node, w: Tensors) -> Node:
        """Numbers within -1 .. 1, one for each stream, that shares are made of."""
        router = Linear(self.norm(x, w, "altup_router_norm"), w("altup_router", self.n_streams, x.width))
        return Activation(router * (1 / x.width), "tanh")

    def predicted(self, streams: Node, w: Tensors) -> Node:
        """Each stream and a mix of all."""
        n = self.n_streams
        shares = w.linear("altup_predict_coef", self.modes(self.stream(streams), w), n * n)
        by_source = Concat(tuple(Slice(shares, j, 1, n) for j in range(n)))  # (to, from) -> (from, to)
        return streams + Mix(streams, by_source, self.hp.n_embd)

    def corrected(self, predicted: Node, here: Node, done: Node, w: Tensors) -> Node:
        """All streams learn of what the layer changed in its own."""
        shares = Shift(w.linear("altup_correct_coef", self.modes(done, w), self.n_streams), 1.0)
        return predicted + Mix(done + here * -1.0, shares, self.hp.n_embd)

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        gate: Node = w.linear("ffn_gate", x, self.hp.ffs[i])
        up = w.linear("ffn_up", x, self.hp.ffs[i])
        if self.deviations[i] > -math.inf:
            gate = above(gate, self.deviations[i])
        return w.linear("ffn_down", Glu(gate, up, self.activation), x.width)


def read_deviations(meta: Metadata, n_layer: int) -> list[float]:
    """By how many standard deviations a gate must be above the mean to count, by layer; -inf: all count."""
    key = meta.full_key("activation_sparsity_scale")
    if key not in meta.mapping:
        return [TOP_20TH if i < SPARSE_LAYERS else -math.inf for i in range(n_layer)]
    values = meta.mapping[key]
    if not isinstance(values, list) or len(values) != n_layer or not all(is_limit(v) for v in values):
        raise ModelError(f"{meta.path}: {key} must be {n_layer} numbers or -inf")
    return [float(v) for v in values if isinstance(v, float)]


def is_limit(value: object) -> bool:
    return isinstance(value, float) and value < math.inf


def as_long(x: Node, like: Node) -> Node:
    """Streams scaled to the length of another row."""
    n = like.width
    return Mul(RmsNorm(x, None, TINY, n=n), Root(Dot(like, like, n) * (1 / n)))


def above(x: Node, deviations: float) -> Node:
    """By how much numbers of a row are above its mean and so many standard deviations; 0 for those that are not."""
    normal = LayerNorm(x, None, TINY)
    deviation = Dot(x, normal, x.width) * (1 / x.width)
    return Mul(Activation(Shift(normal, -deviations), "relu"), deviation)
