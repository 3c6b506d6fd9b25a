"""A family of checkpoints: what its tensors are called in GGUF, what is done to them, and its hyper-parameters.

A subclass in `families/` says what differs: `layer` and `whole` (names), `change` (weights), `hparams` (keys).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from llamakit.convert.checkpoint import Checkpoint
from llamakit.convert.config import Config
from llamakit.convert.names import LAYER, WHOLE, Names, find, places
from llamakit.convert.rotation import llama3_factors, longrope_factors, scaling_keys, window_keys
from llamakit.convert.weight import Weight, adjacent_pairs, constant, halves, stacked
from llamakit.errors import ModelError

Keys = Iterator[tuple[str, Any]]
Named = Iterable[tuple[str, Weight]]

CONTEXT_LENGTH = ("max_position_embeddings", "n_ctx", "n_positions", "max_seq_len", "max_sequence_length", "seq_length")
FEED_FORWARD_LENGTH = (
    "prefix_dense_intermediate_size", "dense_intermediate_size", "intermediate_size", "n_inner", "hidden_dim",
)  # fmt: skip
SCORE_FUNCTIONS = ("score_function", "scoring_func", "score_func", "moe_router_activation")
GATINGS = {"softmax": 1, "sigmoid": 2, "sqrtsoftplus": 4}
ACTIVATION = ("hidden_activation", "hidden_act", "activation_function", "activation")
ACTIVATIONS = {
    "silu": "silu", "swish": "silu", "relu": "relu", "relu2": "relu2", "sigmoid": "sigmoid", "tanh": "tanh",
    "relu6": "relu6", "leaky_relu": "leaky_relu", "hardswish": "hard_swish", "mish": "mish",
    "gelu": "gelu_erf", "gelu_python": "gelu_erf", "quick_gelu": "gelu_quick",
    **dict.fromkeys(("gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_accurate"), "gelu"),
}  # fmt: skip

# Parts of names of tensors that no text model has, and of such that are computed anew.
_LEFT_OUT = (
    "vision_", "visual.", "vision.", "audio_", "audio.", "talker.", "token2wav.", "projector.", "image_newline",
    "patch_embed", "multi_modal", "rotary_emb.inv_freq", "rotary_pos_emb.inv_freq", ".masked_bias", ".attn.bias",
    ".attention.bias", "embeddings.position_ids", "num_batches_tracked", "code2wav.", "pre_mm_projector_norm",
    "view_seperator", "patch_merger.", "patch_merge_mlp.", "model.connector.",
)  # fmt: skip
_LEFT_OUT_BEGINNINGS = (
    "vit.",
    "vit_",
    "vpm.",
    "siglip2.",
    "conformer.",
    "merger.",
    "model.merger.",
    "resampler.",
    "mlp1.",
)


@dataclass(slots=True)
class Mapped:
    """Tensors of the file to be, and names of the checkpoint that have no place in it."""

    weights: dict[str, Weight] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


class Family:
    """Checkpoints of one architecture. Methods raise ModelError for a checkpoint that is not as its config says."""

    arch: ClassVar[str]
    hf_names: ClassVar[tuple[str, ...]] = ()  # classes of transformers
    model_types: ClassVar[tuple[str, ...]] = ()  # where config.json names no class
    layer: ClassVar[Names] = LAYER
    whole: ClassVar[Names] = WHOLE
    turns_neighbours: ClassVar[bool] = False  # GGUF turns neighbours of a head together, the checkpoint its halves
    activation: ClassVar[str] = "silu"  # of the architecture, as the engine calls it
    activation_names: ClassVar[tuple[str, ...]] = ACTIVATION  # settings that may have another, the first counts
    passed_over: ClassVar[tuple[str, ...]] = ()  # flags of tensors that llama.cpp does not use, and transformers does
    silent_base: ClassVar[float] = 0.0  # the base of the rotation that files leave out
    has_late_windows: ClassVar[bool] = False  # ... from layer `max_window_layers` on
    has_windows: ClassVar[bool] = False  # layers attend to a window only where the config gives its width
    windows_share_scaling: ClassVar[bool] = False  # the engine stretches layers with a window as it does the others
    omitted: ClassVar[frozenset[str]] = frozenset()  # keys of `hparams` that the architecture does not have
    has_even_heads: ClassVar[bool] = False  # heads share the width of x, whatever the config says of their size
    may_tie_head: ClassVar[bool] = True  # False: a stored head counts, whatever the config says
    has_all_added: ClassVar[bool] = False  # tokenizer.json's added tokens go over those of the SentencePiece model

    def __init__(self, config: Config, checkpoint: Checkpoint) -> None:
        self.config = config.overlaid(head_dim=None) if self.has_even_heads else config
        self.checkpoint = checkpoint

    @classmethod
    def chosen(cls, config: Config) -> type[Family]:
        """The class for a config: some architectures are told apart by a number in it."""
        return cls

    @property
    def n_layer(self) -> int:
        return self.config.n_layer

    @property
    def n_vocab(self) -> int | None:
        """Tokens that the vocabulary is padded to; None for as many as it has."""
        return self.config.int("vocab_size") if self.config.has("vocab_size") else None

    @property
    def gguf_arch(self) -> str:
        return self.arch

    # Keys

    def keys(self) -> dict[str, Any]:
        """Metadata of the architecture, full keys to values; of two of the same key the later counts."""
        own = {f"{self.gguf_arch}.{key}": value for key, value in self.hparams() if key not in self.omitted}
        return {**dict(self.foreign_keys()), **own}

    def foreign_keys(self) -> Keys:
        """Keys that do not begin with the architecture's name."""
        if any(self.config.bool(name, default=False) for name in self.passed_over):
            yield "llamakit.uses_all_tensors", True
        is_one = not self.config.local_rope.values  # transformers knows no such key of one rotation among several
        if is_one and not self.config.rope.bool("truncate", default=True):
            yield "llamakit.rope.yarn_truncate", False
        if not is_one:
            yield from window_keys(self.config, self.n_rot_of_windows, self.windows_share_scaling)

    def tokenizer_keys(self) -> Keys:
        """Keys below `tokenizer.ggml.` that replace those of the vocabulary."""
        return iter(())

    def hparams(self) -> Keys:
        """Keys below the architecture's name."""
        c = self.config
        yield "block_count", self.n_layer
        if c.has(*CONTEXT_LENGTH):
            yield "context_length", c.int(*CONTEXT_LENGTH)
        yield "embedding_length", c.n_embd
        if c.has(*FEED_FORWARD_LENGTH):
            yield "feed_forward_length", c.int_or_ints(*FEED_FORWARD_LENGTH)
        yield "attention.head_count", c.n_head
        if c.has("num_key_value_heads", "n_kv_heads"):
            yield "attention.head_count_kv", c.int_or_ints("num_key_value_heads", "n_kv_heads")
        if c.has("is_causal") and not c.bool("is_causal"):
            yield "attention.causal", False
        yield from (pair for pair in scaling_keys(c) if pair != ("rope.freq_base", self.silent_base))
        if self.has_windows:
            yield from self.window_keys()
        if c.has("rms_norm_eps", "norm_eps"):
            yield "attention.layer_norm_rms_epsilon", c.float("rms_norm_eps", "norm_eps")
        if c.has("layer_norm_eps", "layer_norm_epsilon", "norm_epsilon"):
            yield "attention.layer_norm_epsilon", c.float("layer_norm_eps", "layer_norm_epsilon", "norm_epsilon")
        yield from self.expert_keys()
        yield from self.activation_key()
        if c.has("head_dim"):
            yield "attention.key_length", c.head_dim
            yield "attention.value_length", c.head_dim

    def expert_keys(self) -> Keys:
        c = self.config
        if c.has("num_local_experts", "num_experts", "n_routed_experts"):
            yield "expert_count", c.int("num_local_experts", "num_experts", "n_routed_experts")
        if c.has("num_experts_per_tok", "num_experts_per_token", "top_k_experts"):
            yield "expert_used_count", c.int("num_experts_per_tok", "num_experts_per_token", "top_k_experts")
        if c.has("n_group"):
            yield "expert_group_count", c.int("n_group")
        if c.has("topk_group"):
            yield "expert_group_used_count", c.int("topk_group")
        if c.has(*SCORE_FUNCTIONS):
            name = c.str(*SCORE_FUNCTIONS)
            if name not in GATINGS:
                raise ModelError(f"{c.path}: experts are chosen by {name!r}; known are {', '.join(GATINGS)}")
            yield "expert_gating_func", GATINGS[name]

    def activation_key(self) -> Keys:
        """The feed-forward's function, where it is not the architecture's own; both kinds of GELU are taken for one."""
        given = self.config.str(*self.activation_names, default=self.activation)
        name = self.activation if given == self.activation else ACTIVATIONS.get(given)
        if name is None:
            known = ", ".join(ACTIVATIONS)
            raise ModelError(f"{self.config.path}: the feed-forward applies {given!r:.40}; known are {known}")
        if name != self.activation and not (self.activation == "gelu" and name == "gelu_erf"):
            yield "hidden_activation", name

    def scale_key(self, scale: float) -> Keys:
        """The factor of attention scores, where it is another than the usual one of the head's size."""
        if abs(scale - self.config.head_dim**-0.5) > 1e-9:
            yield "attention.scale", scale

    def window_keys(self) -> Keys:
        c = self.config
        n = c.int("sliding_window", default=0)
        if not n or not c.bool("use_sliding_window", default=True):
            return
        pattern = self.window_pattern()
        if not pattern:
            first = c.int("max_window_layers", default=0) if self.has_late_windows else 0
            pattern = [i >= first for i in range(self.n_layer)]
        if any(pattern):
            yield "attention.sliding_window", n
        if any(pattern) and not all(pattern):
            yield "attention.sliding_window_pattern", pattern

    def window_pattern(self) -> list[bool]:
        """Which layers attend to a window only."""
        return [kind == "sliding_attention" for kind in self.config.layer_types]

    # Tensors

    def mapped(self) -> Mapped:
        """All tensors of the file to be, in the checkpoint's order, what was computed from nothing first."""
        result = Mapped(dict(self.extra()))
        groups: dict[tuple[int | None, str], dict[int | None, str]] = {}
        for name in self.checkpoint:
            read = self.renamed(name)
            if read is None:
                result.left_out.append(name)
                continue
            found = next(
                ((place, ours) for place in places(read) if (ours := self.word(place.layer, place.words)) is not None),
                None,
            )
            if found is None:
                result.unknown.append(name)
            elif not found[1] or (found[0].layer is not None and found[0].layer >= self.n_layer):
                result.left_out.append(name)
            else:
                place, ours = found
                groups.setdefault((place.layer, ours), {})[place.number] = name
        for (i, ours), parts in groups.items():
            weight = self.gathered(parts)
            for word, changed in self.change(ours, weight, i) if 0 not in weight.shape else ():
                result.weights[self.full_name(word, i)] = changed
        if not result.weights:
            raise ModelError(f"{self.config.path}: none of the checkpoint's tensors belongs to {self.arch}")
        return result

    def renamed(self, name: str) -> str | None:
        """A checkpoint's name as the tables have it; None for what is left out."""
        if any(part in name for part in _LEFT_OUT) or name.startswith(_LEFT_OUT_BEGINNINGS):
            return None
        is_tied = self.may_tie_head and self.config.bool("tie_word_embeddings", default=False)
        return None if is_tied and name.endswith("lm_head.weight") else name

    def word(self, i: int | None, words: str) -> str | None:
        return find(self.whole if i is None else self.layer, words)

    def full_name(self, word: str, i: int | None) -> str:
        return word if i is None else f"blk.{i}.{word}"

    def gathered(self, parts: dict[int | None, str]) -> Weight:
        """The tensor, or the stack of those with numbers."""
        if None in parts:
            return self.checkpoint.weight(parts[None])
        numbers = sorted(number for number in parts if number is not None)
        if numbers != list(range(len(numbers))):
            missing = next(n for n in range(len(numbers)) if n not in parts)
            raise ModelError(
                f"{self.config.path.parent}: number {missing} of those like {parts[numbers[0]]} is missing"
            )
        return stacked([self.checkpoint.weight(parts[number]) for number in numbers])

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        """What becomes of a tensor: its name without the layer, and its values; of some more than one is made."""
        if self.turns_neighbours and word.startswith(("attn_q.", "attn_k.")):
            n_head = self.config.n_head if word.startswith("attn_q.") else self.config.n_head_kv
            weight = adjacent_pairs(weight, n_head)
        if word == "ffn_gate_up_exps.weight":
            yield from zip(("ffn_gate_exps.weight", "ffn_up_exps.weight"), halves(weight, axis=1), strict=True)
            return
        yield word, weight

    @property
    def n_rot(self) -> int:
        """Dimensions of a head that turn."""
        n: int = dict(self.hparams()).get("rope.dimension_count", self.config.head_dim)
        return n

    @property
    def n_rot_of_windows(self) -> int:
        """The same, in layers with a window."""
        n: int = dict(self.hparams()).get("rope.dimension_count_swa", self.n_rot)
        return n

    def extra(self) -> Named:
        """Tensors that the checkpoint does not hold."""
        c = self.config
        if c.rope.str("rope_type", default="").lower() == "llama3":
            yield "rope_freqs.weight", constant(llama3_factors(c, c.rope, self.n_rot), "frequency factors")
        elif c.rope.has("long_factor"):
            for length, factors in longrope_factors(c, c.rope, self.n_rot // 2).items():
                yield f"rope_factors_{length}.weight", constant(factors, f"{length}_factor")
