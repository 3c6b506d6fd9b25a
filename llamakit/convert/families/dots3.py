"""Dots 3 Note, its text: latent attention of two sizes, with and without a window."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

from llamakit.convert.checkpoint import Checkpoint
from llamakit.convert.config import Config
from llamakit.convert.families.deepseek import DeepSeek2
from llamakit.convert.families.nextn import NEXTN
from llamakit.convert.families.settings import copied, n_dense
from llamakit.convert.families.sparse_latent import INDEXER
from llamakit.convert.family import GATINGS, SCORE_FUNCTIONS, Keys, Named
from llamakit.convert.names import Names
from llamakit.convert.weight import Weight
from llamakit.errors import ModelError

EMBEDDING = "model.mtp.embed_tokens.weight"
OF_WINDOWS = (
    "num_attention_heads", "q_lora_rank", "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim",
)  # fmt: skip


def as_released(config: Config, has_index: bool) -> Config:
    """The settings as the released checkpoints spell them, of what transformers writes: `per_layer_config`, and layers
    with an index by that name. `has_index` says whether there are tensors of one.

    Raises ModelError where layers of one kind differ.
    """
    kinds = config.layer_types or [
        "full_attention" if i < 2 or i % 4 == 1 else "sliding_attention" for i in range(config.n_layer)
    ]
    has_index = config.bool("use_dsa", default=has_index)
    kinds = [kind if kind == "sliding_attention" else "indexed_attention" if has_index else "full_attention"
             for kind in kinds]  # fmt: skip
    changed: dict[str, Any] = {"layer_types": kinds}
    given = config.section("per_layer_config")
    if given.values:
        own = [given.section(str(i)).values for i in range(config.n_layer)]
        windows = [each for each, kind in zip(own, kinds, strict=True) if kind == "sliding_attention"]
        others = [each for each, kind in zip(own, kinds, strict=True) if kind != "sliding_attention"]
        if any(others) or any(each != windows[0] for each in windows):
            raise ModelError(f"{config.path}: per_layer_config gives layers of one kind different shapes")
        changed |= {f"swa_{name}": windows[0].get(name, config.values.get(name)) for name in OF_WINDOWS if windows}
    rope = config.section("rope_parameters").values
    if "indexed_attention" in rope:
        changed["rope_parameters"] = {**rope, "full_attention": rope["indexed_attention"]}
    return config.overlaid(**changed)


class Dots3Note(DeepSeek2):
    arch = "dots3note"
    hf_names: ClassVar[tuple[str, ...]] = (
        "Dots3NoteForCausalLM", "Dots3NoteForConditionalGeneration", "Dots3NoteTextForCausalLM",
    )  # fmt: skip
    model_types: ClassVar[tuple[str, ...]] = ("dots3_note", "dots3_note_text")
    says_multiplier = False
    layer: ClassVar[Names] = {
        **DeepSeek2.layer,
        **INDEXER,
        **NEXTN,
        "self_attn.gate_proj": "attn_gate",
        "self_attn.g_proj": "attn_gate",
        "self_attn.k_rope_only_layernorm": "attn_k_norm",
    }

    def __init__(self, config: Config, checkpoint: Checkpoint) -> None:
        super().__init__(as_released(config, any(".indexer." in name for name in checkpoint)), checkpoint)

    @cached_property
    def n_layer(self) -> int:
        """One more where the checkpoint has a layer that foretells."""
        return self.config.n_layer + (EMBEDDING in self.checkpoint)

    def renamed(self, name: str) -> str | None:
        if name.startswith(("vision_encoder.", "audio_encoder.")):
            return None
        if name == EMBEDDING:
            name = f"layers.{self.config.n_layer}.embed_tokens.weight"
        return super().renamed(name)

    def is_local(self, i: int) -> bool:
        """Whether a layer has a window; that which foretells does."""
        return i >= self.config.n_layer or self.config.layer_types[i] == "sliding_attention"

    def of_layer(self, i: int, name: str) -> int:
        return self.config.int(f"swa_{name}" if self.is_local(i) else name)

    def hparams(self) -> Keys:
        c, kinds = self.config, [self.is_local(i) for i in range(self.config.n_layer)]
        n_latent, n_turned = c.int("swa_kv_lora_rank"), c.int("swa_qk_rope_head_dim")
        yield from super().hparams()
        yield "leading_dense_block_count", n_dense(c, default=0)
        yield "attention.head_count", [self.of_layer(i, "num_attention_heads") for i in range(self.n_layer)]
        yield "attention.sliding_window", c.int("sliding_window_size", "sliding_window")
        yield "attention.sliding_window_pattern", kinds
        yield "attention.kv_lora_rank_swa", n_latent
        yield "attention.key_length_swa", n_latent + n_turned
        yield "attention.value_length_swa", n_latent
        yield "attention.key_length_mla_swa", c.int("swa_qk_nope_head_dim") + n_turned
        yield "attention.value_length_mla_swa", c.int("swa_v_head_dim")
        if self.n_layer > c.n_layer:
            yield "nextn_predict_layers", self.n_layer - c.n_layer
        yield from copied(
            c,
            {
                "attention.indexer.head_count": "index_n_heads",
                "attention.indexer.key_length": "index_head_dim",
                "attention.indexer.top_k": "index_topk",
            },
        )
        yield "attention.indexer.types", [kind == "indexed_attention" for kind in c.layer_types]
        if not c.has(*SCORE_FUNCTIONS):
            yield "expert_gating_func", GATINGS["sigmoid"]

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        c = self.config
        if i is not None and c.bool("apply_mla_qkv_lora_rescale", default=True):
            if word == "attn_q_a_norm.weight":
                weight = weight.times((c.n_embd / c.int("q_lora_rank")) ** 0.5)
            elif word == "attn_kv_a_norm.weight":
                weight = weight.times((c.n_embd / self.of_layer(i, "kv_lora_rank")) ** 0.5)
        if i is None or word != "attn_kv_b.weight":
            return super().change(word, weight, i)
        n_key, n_value = self.of_layer(i, "qk_nope_head_dim"), self.of_layer(i, "v_head_dim")
        heads = weight.reshaped(self.of_layer(i, "num_attention_heads"), n_key + n_value, weight.shape[-1])
        keys = heads.moved("keys", lambda array: array[:, :n_key]).transposed()
        return [("attn_k_b.weight", keys), ("attn_v_b.weight", heads.moved("values", lambda array: array[:, n_key:]))]
