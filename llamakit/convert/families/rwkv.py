"""RWKV 6 and 7, and the hybrids that kept Qwen's feed-forward."""

from __future__ import annotations

import re
from typing import ClassVar

from llamakit.convert.families.mamba import NO_LIMIT
from llamakit.convert.families.settings import copied
from llamakit.convert.family import Family, Keys, Named
from llamakit.convert.names import FEED_FORWARD, WHOLE, Names
from llamakit.convert.vocabulary.world import WORLD
from llamakit.convert.weight import Array, Weight

EMPTY_LINE = 261  # the token's number
LERP = "time_mix_lerp_fused.weight"


class Rwkv(Family):
    """With the list of tokens that its authors made for all languages, or with that of the model it was made from."""

    arch = ""

    @property
    def has_world(self) -> bool:
        return (self.config.path.parent / WORLD).is_file()

    def foreign_keys(self) -> Keys:
        yield from super().foreign_keys()
        if self.has_world:
            yield "tokenizer.chat_template", "rwkv-world"

    def tokenizer_keys(self) -> Keys:
        """A turn ends with an empty line."""
        if self.has_world:
            yield from {"bos_token_id": 0, "eos_token_id": 0, "eot_token_id": EMPTY_LINE}.items()


class Rwkv6(Rwkv):
    """Numbers that mix a token with the one before come as five tensors, which become one."""

    arch = "rwkv6"
    hf_names: ClassVar[tuple[str, ...]] = ("Rwkv6ForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("rwkv6",)
    mixed = "wkvrg"  # the order of the five
    layer: ClassVar[Names] = {
        "ln1": "attn_norm",
        "ln2": "attn_norm_2",
        "lerp.*": LERP,
        **{
            f"{part}.{theirs}": f"time_mix_{ours}.weight"
            for part in ("attention", "self_attn")
            for theirs, ours in {
                "time_maa_x": "lerp_x",
                "time_maa_w1": "w1",
                "time_maa_w2": "w2",
                "time_decay": "decay",
                "time_decay_w1": "decay_w1",
                "time_decay_w2": "decay_w2",
                "time_faaaa": "first",
            }.items()
        },
        **{f"attention.{name}": f"time_mix_{name}" for name in ("key", "value", "receptance", "gate", "output")},
        "attention.ln_x": "time_mix_ln",
        "feed_forward.time_maa_k": "channel_mix_lerp_k.weight",
        "feed_forward.time_maa_r": "channel_mix_lerp_r.weight",
        **{f"feed_forward.{name}": f"channel_mix_{name}" for name in ("key", "value", "receptance")},
    }
    whole: ClassVar[Names] = {
        "embeddings": "token_embd",
        "pre_ln": "token_embd_norm",
        "ln_out": "output_norm",
        "head": "output",
    }

    def renamed(self, name: str) -> str | None:
        renamed = super().renamed(name.removeprefix("rwkv.").replace("blocks.0.pre_ln", "pre_ln"))
        match = re.fullmatch(r"(.+\.\d+)\.(?:attention|self_attn)\.time_maa_([wkvrg])", renamed or "")
        return f"{match[1]}.lerp.{self.mixed.index(match[2])}" if match else renamed

    def hparams(self) -> Keys:
        c = self.config
        n_embd = c.n_embd
        yield "context_length", NO_LIMIT
        yield "embedding_length", n_embd
        yield "block_count", self.n_layer
        yield "attention.layer_norm_epsilon", c.float("layer_norm_epsilon")
        yield "rescale_every_n_layers", c.int("rescale_every")
        yield "wkv.head_size", c.int("head_size")
        yield "time_mix_extra_dim", 64 if n_embd == 4096 else 32
        yield "time_decay_extra_dim", 128 if n_embd == 4096 else 64
        yield "feed_forward_length", c.int("intermediate_size", default=int(n_embd * 3.5) // 32 * 32)
        yield "attention.head_count", 0

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if word in ("time_mix_w1.weight", "time_mix_decay_w1.weight", "time_mix_decay_w2.weight", "time_mix_w2.weight"):
            weight = weight.transposed()
        elif word == LERP:
            weight = weight.reshaped(5, 1, 1, weight.shape[-1])
        elif word == "time_mix_decay.weight" or "_lerp_" in word:
            weight = weight.squeezed()
        every = self.config.int("rescale_every", default=0)
        if every and i is not None and word in ("time_mix_output.weight", "channel_mix_value.weight"):
            weight = weight.times(0.5 ** (i // every))
        return [(word, weight)]


class Rwkv6Qwen2(Rwkv6):
    """Keys and values shared by heads, Qwen's norms and feed-forward."""

    arch = "rwkv6qwen2"
    hf_names: ClassVar[tuple[str, ...]] = ("RWKV6Qwen2ForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("rwkv6qwen2",)
    layer: ClassVar[Names] = {
        **Rwkv6.layer,
        **FEED_FORWARD,
        "input_layernorm": "attn_norm",
        "self_attn.q_proj": "time_mix_receptance",
        "self_attn.k_proj": "time_mix_key",
        "self_attn.v_proj": "time_mix_value",
        "self_attn.o_proj": "time_mix_output",
        "self_attn.gate": "time_mix_gate",
    }
    whole: ClassVar[Names] = WHOLE
    order = (3, 1, 2, 0, 4)  # the checkpoint's r, k, v, w, g in the order of `mixed`

    def hparams(self) -> Keys:
        c = self.config
        is_wide = c.n_embd >= 4096
        yield "context_length", NO_LIMIT
        yield "embedding_length", c.n_embd
        yield "block_count", self.n_layer
        yield "wkv.head_size", c.n_embd // c.n_head
        yield "time_mix_extra_dim", c.int("lora_rank_tokenshift", default=64 if is_wide else 32)
        yield "time_decay_extra_dim", c.int("lora_rank_decay", default=128 if is_wide else 64)
        yield "feed_forward_length", c.int("intermediate_size")
        yield "attention.layer_norm_rms_epsilon", c.float("rms_norm_eps")
        yield "token_shift_count", 1
        yield "attention.head_count_kv", c.n_head_kv
        yield "attention.head_count", 0

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        for name, changed in super().change(word, weight, i):
            if name in ("time_mix_w1.weight", "time_mix_w2.weight"):
                changed = changed.moved("order of the five", self._ordered)
            yield name, changed

    def _ordered(self, array: Array) -> Array:
        return array.reshape(5, -1, array.shape[-1])[list(self.order)].reshape(array.shape)


_MIX = {f"attention.{a}{n}": f"time_mix_{a}{n}.weight" for a in "wavg" for n in "012"}


class Rwkv7(Rwkv):
    """Two layouts: its authors', and flash-linear-attention's, where pairs of small matrices lie the other way."""

    arch = "rwkv7"
    hf_names: ClassVar[tuple[str, ...]] = ("Rwkv7ForCausalLM", "RWKV7ForCausalLM")
    model_types: ClassVar[tuple[str, ...]] = ("rwkv7",)
    layer: ClassVar[Names] = {
        "ln1": "attn_norm",
        "attention_norm": "attn_norm",
        "ln2": "attn_norm_2",
        "lerp.*": LERP,
        "attention.x_x": LERP,
        **_MIX,
        **{f"attention.{name}": f"time_mix_{name}.weight" for name in ("k_k", "k_a", "r_k")},
        **{f"attention.{name}": f"time_mix_{name}" for name in ("key", "value", "receptance", "output")},
        **{
            f"attention.{letter}_proj": f"time_mix_{name}"
            for letter, name in (("k", "key"), ("v", "value"), ("r", "receptance"), ("o", "output"))
        },
        "attention.ln_x": "time_mix_ln",
        "feed_forward.x_k": "channel_mix_lerp_k.weight",
        "feed_forward.key": "channel_mix_key",
        "feed_forward.value": "channel_mix_value",
    }
    whole: ClassVar[Names] = {
        "embeddings": "token_embd",
        "embed_tokens": "token_embd",
        "pre_ln": "token_embd_norm",
        "ln_out": "output_norm",
        "norm": "output_norm",
        "head": "output",
        "lm_head": "output",
    }
    _SPELLINGS: ClassVar[tuple[tuple[str, str], ...]] = (
        ("blocks.", "layers."), ("ffn", "feed_forward"), ("self_attn", "attention"), ("attn", "attention"),
        ("time_mixer.", ""), ("feed_forward_norm", "ln2"), ("g_norm", "ln_x"), ("_lora.lora.0.weight", "1"),
        ("_lora.lora.2.weight", "2"), ("_lora.lora.2.bias", "0"), ("layers.0.pre_norm", "pre_ln"),
        ("layers.0.pre_ln", "pre_ln"),
    )  # fmt: skip

    @property
    def mixed(self) -> str:
        return "rwkvag" if self.config.bool("wkv_has_gate", default=True) else "rwkva"

    @property
    def is_transposed(self) -> bool:
        """Whether pairs of small matrices lie as x @ W."""
        return not any("_lora.lora" in name for name in self.checkpoint)

    def renamed(self, name: str) -> str | None:
        renamed = super().renamed(name)
        if renamed is None:
            return None
        for theirs, ours in self._SPELLINGS:
            renamed = renamed.replace(theirs, ours)
        if re.search(r"layers\.0\.attention\.v[012]$", renamed.removesuffix(".weight")):
            return None  # the first layer has no value of a layer before
        match = re.fullmatch(rf"(.+\.\d+)\.attention\.x_([{self.mixed}])", renamed)
        return f"{match[1]}.lerp.{self.mixed.index(match[2])}" if match else renamed

    def hparams(self) -> Keys:
        c = self.config
        n_embd = c.n_embd
        yield "context_length", NO_LIMIT
        yield "embedding_length", n_embd
        yield "block_count", self.n_layer
        yield "attention.layer_norm_epsilon", c.float("layer_norm_epsilon", "norm_eps")
        yield "wkv.head_size", c.int("head_size", "head_dim")
        for key, names, exponent, factor in (
            ("decay", ("lora_rank_decay", "decay_low_rank_dim"), 0.5, 1.8),
            ("iclr", ("lora_rank_iclr", "a_low_rank_dim"), 0.5, 1.8),
            ("value_residual_mix", ("lora_rank_value_residual_mix", "v_low_rank_dim"), 0.5, 1.3),
            ("gate", ("lora_rank_gate", "gate_low_rank_dim"), 0.8, 0.6),
        ):
            rank = max(1, round(n_embd**exponent * factor / 32)) * 32
            yield f"attention.{key}_lora_rank", c.int(*names, default=rank)
        yield "feed_forward_length", c.int("intermediate_size", default=4 * n_embd)
        yield "attention.head_count", 0

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if word == LERP:
            yield word, weight.reshaped(len(self.mixed), 1, 1, weight.shape[-1])
            return
        weight = weight.squeezed()
        if re.fullmatch(r"time_mix_[wavg][12]\.weight", word) and self.is_transposed:
            weight = weight.transposed()
        if word == "time_mix_r_k.weight":
            weight = weight.reshaped(weight.n_values)
        if i == 0 and word.startswith("time_mix_a"):
            yield word.replace("time_mix_a", "time_mix_v"), weight
        yield word, weight


class ARwkv7(Rwkv7):
    """Qwen's norms and feed-forward; the ranks are fixed."""

    arch = "arwkv7"
    hf_names: ClassVar[tuple[str, ...]] = ("RwkvHybridForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("rwkv_hybrid",)
    layer: ClassVar[Names] = {**Rwkv7.layer, **FEED_FORWARD, "input_layernorm": "attn_norm"}
    whole: ClassVar[Names] = WHOLE

    def hparams(self) -> Keys:
        c = self.config
        yield "context_length", NO_LIMIT
        yield "embedding_length", c.n_embd
        yield "block_count", self.n_layer
        yield "attention.layer_norm_rms_epsilon", c.float("rms_norm_eps")
        yield from copied(c, {"wkv.head_size": "head_size", "feed_forward_length": "intermediate_size"})
        ranks = {"decay": 64, "iclr": 64, "value_residual_mix": 32, "gate": 128 if "g" in self.mixed else 0}
        for key, rank in ranks.items():
            yield f"attention.{key}_lora_rank", rank
        yield "token_shift_count", 1
        yield "attention.head_count", 0
