"""PLaMo 1 to 3."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.checkpoint import Checkpoint
from llamakit.convert.config import Config
from llamakit.convert.families.mamba import changed_state
from llamakit.convert.family import Family, Keys, Named
from llamakit.convert.names import LAYER, WHOLE, Names
from llamakit.convert.weight import Array, Weight

SHARED_HEADS = 5  # of keys and values in version 1, whatever its config says


class Plamo(Family):
    """Query head h shares the key of head h % 5: heads go over in the order where neighbours share one."""

    arch = "plamo"
    hf_names: ClassVar[tuple[str, ...]] = ("PlamoForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("plamo",)
    layer: ClassVar[Names] = {**LAYER, "norm": "attn_norm"}

    def renamed(self, name: str) -> str | None:
        return super().renamed(name.replace("layers.layers.", "layers."))

    def hparams(self) -> Keys:
        c = self.config
        yield "context_length", 4096
        yield "embedding_length", c.n_embd
        yield "feed_forward_length", c.int("intermediate_size")
        yield "block_count", self.n_layer
        yield "attention.head_count", c.n_head
        yield "attention.head_count_kv", SHARED_HEADS
        yield "attention.layer_norm_rms_epsilon", c.float("rms_norm_eps")

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        dim, n_share = self.config.head_dim, self.config.n_head // SHARED_HEADS

        def move(rows: Array) -> Array:
            heads = rows.reshape(n_share, SHARED_HEADS, dim, *rows.shape[1:])
            return heads.swapaxes(0, 1).reshape(rows.shape)

        if word == "attn_q.weight":
            weight = weight.moved("order heads", move)
        elif word == "attn_output.weight":
            weight = weight.transposed().moved("order heads", move).transposed()
        return [(word, weight)]


MIXER: Names = {
    "pre_mixer_norm": "attn_norm",
    "post_mixer_norm.weight": "post_attention_norm",
    "pre_mlp_norm": "ffn_norm",
    "post_mlp_norm.weight": "post_ffw_norm",
    "mixer.qkv_proj": "attn_qkv",
    "mixer.o_proj": "attn_output",
    "mixer.q_norm": "attn_q_norm",
    "mixer.k_norm": "attn_k_norm",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
SHIFTS = {  # what norms are stored without
    "attn_norm.weight": 1.0, "post_attention_norm": 1 / 5, "ffn_norm.weight": 1.0,
    "post_ffw_norm": 1 / 5**1.5, "output_norm.weight": 1.0,
}  # fmt: skip


class Plamo2(Plamo):
    """Attention in some layers, state space in the others."""

    arch = "plamo2"
    hf_names: ClassVar[tuple[str, ...]] = ("Plamo2ForCausalLM", "PLaMo2ForCausalLM")
    model_types: ClassVar[tuple[str, ...]] = ("plamo2",)
    layer: ClassVar[Names] = {
        **MIXER,
        "mixer.q_weight": "attn_q_norm.weight",
        "mixer.k_weight": "attn_k_norm.weight",
        "mixer.in_proj": "ssm_in",
        "mixer.conv1d": "ssm_conv1d",
        "mixer.bcdt_proj": "ssm_x",
        "mixer.dt_proj": "ssm_dt",
        "mixer.dt_bias": "ssm_dt.bias",
        "mixer.A_log": "ssm_a",
        "mixer.D": "ssm_d",
        "mixer.out_proj": "ssm_out",
        **{f"mixer.{name}_norm_weight": f"ssm_{name.lower()}_norm" for name in ("dt", "B", "C")},
    }
    whole: ClassVar[Names] = WHOLE

    def is_attention(self, i: int) -> bool:
        period = self.config.int("mamba_step", default=2)
        if not self.config.bool("mamba_enabled", default=True):
            return True
        return i == self.n_layer - 1 if self.n_layer <= period // 2 else i % period == period // 2

    def hparams(self) -> Keys:
        c = self.config
        kinds = [self.is_attention(i) for i in range(self.n_layer)]
        dim, n_head = c.int("hidden_size_per_head", default=128), c.int("mamba_num_heads", default=64)
        yield "vocab_size", c.int("vocab_size")
        yield "attention.head_count", [c.int("num_attention_heads", default=32) if kind else 0 for kind in kinds]
        yield "attention.head_count_kv", [c.int("num_key_value_heads", default=4) if kind else 0 for kind in kinds]
        yield "context_length", c.int("max_position_embeddings", default=2048)
        yield "embedding_length", c.int("hidden_size", default=4096)
        yield "attention.key_length", dim
        yield "attention.value_length", dim
        yield "block_count", self.n_layer
        yield "attention.layer_norm_rms_epsilon", c.float("rms_norm_eps", default=1e-6)
        yield "rope.freq_base", c.rope.float("rope_theta", default=10000.0)
        yield "ssm.state_size", c.int("mamba_d_state", default=64)
        yield "ssm.conv_kernel", c.int("mamba_d_conv", default=4)
        yield "ssm.time_step_rank", n_head
        yield "ssm.inner_size", n_head * dim
        yield "ssm.group_count", 0
        yield "feed_forward_length", c.int("intermediate_size", default=13312)

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        weight = changed_state(word, weight)
        return [(word, weight.plus(SHIFTS[word]) if word in SHIFTS else weight)]


class Plamo3(Plamo):
    arch = "plamo3"
    hf_names: ClassVar[tuple[str, ...]] = ("Plamo3ForCausalLM", "PLaMo3ForCausalLM")
    model_types: ClassVar[tuple[str, ...]] = ("plamo3",)
    layer: ClassVar[Names] = MIXER

    def __init__(self, config: Config, checkpoint: Checkpoint) -> None:
        """YaRN's settings stand apart in the config."""
        factor = config.float("rope_scaling_factor", default=1.0)
        if factor != 1 and not config.rope.has("rope_type"):
            yarn = {
                "rope_type": "yarn", "factor": factor, "truncate": False, "beta_fast": 32.0, "beta_slow": 1.0,
                "original_max_position_embeddings": config.int("initial_context_length"),
            }  # fmt: skip
            config = config.overlaid(rope_scaling={**config.section("rope_scaling").values, **yarn})
        super().__init__(config, checkpoint)

    def hparams(self) -> Keys:
        yield from Family.hparams(self)
        c = self.config
        yield "vocab_size", c.int("vocab_size")
        if c.has("window_size", "sliding_window"):
            yield "attention.sliding_window", c.int("window_size", "sliding_window")
            yield "attention.sliding_window_pattern", c.int_or_ints("sliding_window_pattern")

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        shift = 1.0 if word in ("attn_q_norm.weight", "attn_k_norm.weight") else SHIFTS.get(word, 0.0)
        return [(word, weight.plus(shift) if shift else weight)]
