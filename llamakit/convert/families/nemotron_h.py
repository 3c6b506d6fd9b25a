"""Nemotron H: each layer is one of state space, attention, feed-forward or a mixture of experts."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.families.mamba import NO_LIMIT, changed_state
from llamakit.convert.families.settings import copied
from llamakit.convert.family import GATINGS, Family, Keys, Named
from llamakit.convert.names import MAMBA, Names, prefixed
from llamakit.convert.weight import Weight

LETTERS = {"M": "mamba", "*": "attention", "-": "mlp", "E": "moe"}
SYNONYMS = {"linear_attention": "mamba", "full_attention": "attention"}


class NemotronH(Family):
    arch = "nemotron_h"
    hf_names: ClassVar[tuple[str, ...]] = ("NemotronHForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("nemotron_h",)
    activation = "relu2"
    may_tie_head = False
    turns_neighbours = True  # nothing turns, but so files have always been
    layer: ClassVar[Names] = {
        "norm": "attn_norm",
        **prefixed(
            "mixer.",
            {
                **MAMBA,
                "q_proj": "attn_q",
                "k_proj": "attn_k",
                "v_proj": "attn_v",
                "o_proj": "attn_output",
                "up_proj": "ffn_up",
                "down_proj": "ffn_down",
                "gate": "ffn_gate_inp",
                "gate.e_score_correction_bias": "exp_probs_b.bias",
                "gate.e_score_correction.bias": "exp_probs_b.bias",
                "experts.*.up_proj": "ffn_up_exps",
                "experts.*.down_proj": "ffn_down_exps",
                "shared_experts.up_proj": "ffn_up_shexp",
                "shared_experts.down_proj": "ffn_down_shexp",
                "fc1_latent_proj": "ffn_latent_down",
                "fc2_latent_proj": "ffn_latent_up",
            },
        ),
    }
    whole: ClassVar[Names] = {"embeddings": "token_embd", "norm_f": "output_norm", "lm_head": "output"}
    pad_vocab = 8

    @property
    def kinds(self) -> list[str]:
        """What each layer is, in the words of LETTERS."""
        c = self.config
        if c.has("layers_block_type"):
            return [SYNONYMS.get(kind, kind) for kind in c.strs("layers_block_type")]
        return [LETTERS.get(letter, letter) for letter in c.str("hybrid_override_pattern")]

    @property
    def n_layer(self) -> int:
        return len(self.kinds)

    @property
    def n_vocab(self) -> int:
        return -(-self.config.int("vocab_size") // self.pad_vocab) * self.pad_vocab

    @property
    def gguf_arch(self) -> str:
        return "nemotron_h_moe" if "moe" in self.kinds else self.arch

    def renamed(self, name: str) -> str | None:
        return None if name.startswith("mtp.") else super().renamed(name)

    def activation_key(self) -> Keys:
        """The feed-forward's goes by another name than elsewhere; the usual one is that of the state-space layers."""
        return iter(())

    def foreign_keys(self) -> Keys:
        """What transformers takes for the least time step."""
        yield from super().foreign_keys()
        yield "llamakit.ssm.time_step_min", self.config.float("mamba_dt_min", "time_step_min", default=0.001)

    def expert_keys(self) -> Keys:
        c = self.config
        if "moe" not in self.kinds:
            return
        yield from super().expert_keys()
        yield from copied(
            c,
            {
                "expert_feed_forward_length": "moe_intermediate_size",
                "expert_shared_feed_forward_length": "moe_shared_expert_intermediate_size",
                "expert_shared_count": "n_shared_experts",
                "expert_weights_norm": "norm_topk_prob",
                "expert_weights_scale": "routed_scaling_factor",
                "moe_latent_size": "moe_latent_size",
            },
        )
        yield "expert_gating_func", GATINGS["sigmoid"]

    def hparams(self) -> Keys:
        c, kinds = self.config, self.kinds
        n_head, dim = c.int("mamba_num_heads"), c.int("mamba_head_dim", default=64)
        widths = {"mlp": c.int("intermediate_size", default=0), "moe": c.int("moe_intermediate_size", default=0)}
        head_dim = c.int("head_dim", "attention_head_dim", default=c.n_embd // c.n_head)
        yield from super().hparams()
        yield "context_length", NO_LIMIT
        yield "vocab_size", self.n_vocab
        yield "feed_forward_length", [widths.get(kind, 0) for kind in kinds]
        yield "attention.head_count_kv", [c.n_head_kv if kind == "attention" else 0 for kind in kinds]
        yield "attention.key_length", head_dim
        yield "attention.value_length", head_dim
        yield "rope.dimension_count", head_dim
        yield "rope.scaling.finetuned", False
        yield "ssm.conv_kernel", c.int("conv_kernel", "d_conv", default=4)
        yield "ssm.state_size", c.int("ssm_state_size", "state_size", "d_state")
        yield "ssm.group_count", c.int("n_groups", default=1)
        yield "ssm.inner_size", n_head * dim
        yield "ssm.time_step_rank", n_head

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        n_group = self.config.int("n_groups", default=1)
        return super().change(word, changed_state(word, weight, n_group, has_heads=True), i)
