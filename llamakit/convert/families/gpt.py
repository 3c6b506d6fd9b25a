"""GPT-2, GPT-NeoX, BLOOM, MPT, Falcon, StarCoder: the older decoders."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.checkpoint import Checkpoint
from llamakit.convert.config import Config
from llamakit.convert.family import Family, Keys, Named
from llamakit.convert.names import WHOLE, Names
from llamakit.convert.rotation import n_rotated
from llamakit.convert.weight import Weight, grouped_qkv, joined, split_rows

MAX_ALIBI = 8.0  # of MPT in transformers, whatever the config says


class GPT2(Family):
    arch = "gpt2"
    has_even_heads = True
    hf_names: ClassVar[tuple[str, ...]] = ("GPT2LMHeadModel",)
    model_types: ClassVar[tuple[str, ...]] = ("gpt2",)
    activation = "gelu"
    layer: ClassVar[Names] = {
        "ln_1": "attn_norm",
        "attn.c_attn": "attn_qkv",
        "attn.c_proj": "attn_output",
        "ln_2": "ffn_norm",
        "mlp.c_fc": "ffn_up",
        "mlp.c_proj": "ffn_down",
    }
    whole: ClassVar[Names] = {"wte": "token_embd", "wpe": "position_embd", "ln_f": "output_norm", "lm_head": "output"}

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "feed_forward_length", self.config.int("n_inner", default=4 * self.config.n_embd)
        if not self.config.bool("scale_attn_weights", default=True):
            yield "attention.scale", 1.0

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        is_matrix = i is not None and len(weight.shape) == 2
        weight = weight.transposed() if is_matrix else weight
        if i is not None and word.startswith("attn_qkv.") and self.fades:
            n = self.config.n_embd
            q, k, v = split_rows(weight, n, n, n)
            weight = joined((q.times(1 / (i + 1)), k, v))
        return [(word, weight)]

    @property
    def fades(self) -> bool:
        """Scores are divided by the layer's number."""
        return self.config.bool("scale_attn_by_inverse_layer_idx", default=False)


class StarCoder(GPT2):
    arch = "starcoder"
    hf_names: ClassVar[tuple[str, ...]] = ("GPTBigCodeForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("gpt_bigcode",)

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "attention.head_count_kv", 1 if self.shares_keys else self.config.n_head

    @property
    def shares_keys(self) -> bool:
        return self.config.bool("multi_query", default=True)

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if word.startswith("attn_qkv.") and not self.shares_keys:
            weight = grouped_qkv(weight, self.config.n_head, 1, self.config.head_dim)
        return [(word, weight)]


class StarCoder2(Family):
    arch = "starcoder2"
    hf_names: ClassVar[tuple[str, ...]] = ("Starcoder2ForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("starcoder2",)
    activation = "gelu"
    has_windows = True
    layer: ClassVar[Names] = {**Family.layer, "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down"}


class Bloom(Family):
    arch = "bloom"
    has_even_heads = True
    hf_names: ClassVar[tuple[str, ...]] = ("BloomForCausalLM", "BloomModel")
    model_types: ClassVar[tuple[str, ...]] = ("bloom",)
    activation = "gelu"
    layer: ClassVar[Names] = {
        "input_layernorm": "attn_norm",
        "self_attention.query_key_value": "attn_qkv",
        "self_attention.dense": "attn_output",
        "post_attention_layernorm": "ffn_norm",
        "mlp.dense_h_to_4h": "ffn_up",
        "mlp.dense_4h_to_h": "ffn_down",
    }
    whole: ClassVar[Names] = {
        "word_embeddings": "token_embd",
        "word_embeddings_layernorm": "token_embd_norm",
        "ln_f": "output_norm",
        "lm_head": "output",
    }

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "context_length", self.config.int("seq_length", default=self.config.n_embd)
        yield "feed_forward_length", 4 * self.config.n_embd
        yield "attention.head_count_kv", self.config.n_head

    def foreign_keys(self) -> Keys:
        yield from super().foreign_keys()
        if self.config.bool("apply_residual_connection_post_layernorm", default=False):
            yield "llamakit.residual_of_norm", True

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if word.startswith("attn_qkv."):
            weight = grouped_qkv(weight, self.config.n_head, 1, self.config.head_dim)
        return [(word, weight)]


class GPTNeoX(Bloom):
    arch = "gptneox"
    hf_names: ClassVar[tuple[str, ...]] = ("GPTNeoXForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("gpt_neox",)
    layer: ClassVar[Names] = {
        **Bloom.layer,
        "attention.query_key_value": "attn_qkv",
        "attention.dense": "attn_output",
    }
    whole: ClassVar[Names] = {"embed_in": "token_embd", "final_layer_norm": "output_norm", "embed_out": "output"}

    def __init__(self, config: Config, checkpoint: Checkpoint) -> None:
        """A part of the head size that the config names is turned, even where heads are not as wide."""
        super().__init__(config, checkpoint)
        self.n_turned = n_rotated(config, default=0.25)

    def hparams(self) -> Keys:
        yield from Family.hparams(self)
        yield "rope.dimension_count", self.n_turned
        yield "use_parallel_residual", self.config.bool("use_parallel_residual", default=True)


class Falcon(Bloom):
    arch = "falcon"
    hf_names: ClassVar[tuple[str, ...]] = ("FalconForCausalLM", "RWForCausalLM")
    model_types: ClassVar[tuple[str, ...]] = ("falcon", "RefinedWeb", "RefinedWebModel")
    layer: ClassVar[Names] = {**Bloom.layer, "ln_attn": "attn_norm_2", "ln_mlp": "attn_norm"}
    silent_base = 10000.0

    @property
    def n_head_kv(self) -> int:
        """Old checkpoints share one key and value head among all queries, whatever a number says."""
        c = self.config
        if c.bool("multi_query", default=True) and not c.bool("new_decoder_architecture", default=False):
            return 1
        return c.int("num_kv_heads", "n_head_kv", default=c.n_head)

    def hparams(self) -> Keys:
        yield from Family.hparams(self)
        c = self.config
        yield "context_length", c.int("max_position_embeddings", default=2048)
        yield "tensor_data_layout", "jploski"
        yield "feed_forward_length", c.int("ffn_hidden_size", default=4 * c.n_embd)
        yield "attention.head_count_kv", self.n_head_kv

    def foreign_keys(self) -> Keys:
        """Keys gain biases that are rounded, which no other architecture has."""
        yield from super().foreign_keys()
        if self.config.bool("alibi", default=False):
            yield "llamakit.attention.max_alibi_bias", MAX_ALIBI

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if word.startswith("attn_qkv."):
            n_kv = self.n_head_kv
            weight = grouped_qkv(weight, n_kv, self.config.n_head // n_kv, self.config.head_dim)
        return [(word, weight)]


class Mpt(Family):
    arch = "mpt"
    has_even_heads = True
    hf_names: ClassVar[tuple[str, ...]] = ("MPTForCausalLM", "MptForCausalLM")
    model_types: ClassVar[tuple[str, ...]] = ("mpt",)
    activation = "gelu"
    layer: ClassVar[Names] = {
        "norm_1": "attn_norm",
        "attn.Wqkv": "attn_qkv",
        "attn.q_ln": "attn_q_norm",
        "attn.k_ln": "attn_k_norm",
        "attn.out_proj": "attn_output",
        "norm_2": "ffn_norm",
        "ffn.up_proj": "ffn_up",
        "ffn.down_proj": "ffn_down",
    }
    whole: ClassVar[Names] = {"wte": "token_embd", "wpe": "position_embd", "norm_f": "output_norm", "lm_head": "output"}

    def hparams(self) -> Keys:
        yield from super().hparams()
        attention = self.config.section("attn_config")
        # The ratio is 4 in transformers whatever `expansion_ratio` says: the tensors tell.
        up = next((w for name, w in self.shapes() if name.endswith("ffn.up_proj.weight")), None)
        yield "feed_forward_length", up[0] if up else 4 * self.config.n_embd
        yield "attention.head_count_kv", attention.int("kv_n_heads", default=self.config.n_head)
        yield "attention.layer_norm_epsilon", self.config.float("layer_norm_epsilon", default=1e-5)
        if attention.has("clip_qkv"):
            yield "attention.clamp_kqv", attention.float("clip_qkv")
        yield "attention.max_alibi_bias", MAX_ALIBI
        if attention.has("softmax_scale"):
            yield "attention.scale", attention.float("softmax_scale")

    def shapes(self) -> list[tuple[str, tuple[int, ...]]]:
        return [(name, tensor.shape) for name, tensor in self.checkpoint.tensors.items()]


class Nemotron(Family):
    arch = "nemotron"
    hf_names: ClassVar[tuple[str, ...]] = ("NemotronForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("nemotron",)
    activation = "relu2"
    omitted: ClassVar[frozenset[str]] = frozenset({"attention.layer_norm_rms_epsilon"})

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        yield "vocab_size", c.int("vocab_size")
        yield "attention.layer_norm_epsilon", c.float("layer_norm_eps", "layer_norm_epsilon", "norm_eps")
        yield "rope.dimension_count", n_rotated(c, default=0.5)
        if not c.rope.has("factor"):
            yield "rope.scaling.type", "none"

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        return super().change(word, weight.plus(1) if word.endswith("norm.weight") else weight, i)


class StableLM(Family):
    arch = "stablelm"
    hf_names: ClassVar[tuple[str, ...]] = (
        "StableLmForCausalLM",
        "StableLMEpochForCausalLM",
        "LlavaStableLMEpochForCausalLM",
    )
    model_types: ClassVar[tuple[str, ...]] = ("stablelm", "stablelm_epoch")
    layer: ClassVar[Names] = {
        **Family.layer,
        "self_attn.q_layernorm.norms.*": "attn_q_norm",
        "self_attn.k_layernorm.norms.*": "attn_k_norm",
    }
    whole: ClassVar[Names] = WHOLE
    silent_base = 10000.0
    omitted: ClassVar[frozenset[str]] = frozenset({"attention.layer_norm_rms_epsilon"})

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        yield "rope.dimension_count", n_rotated(c, default=0.25)
        yield "use_parallel_residual", c.bool("use_parallel_residual", default=True)
        yield "attention.layer_norm_epsilon", c.float("layer_norm_eps", "norm_eps")
