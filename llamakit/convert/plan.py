"""What a conversion is going to write: every key, every tensor with its type; nothing but headers is read for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from llamakit.convert.checkpoint import FLOAT8, Checkpoint, open_checkpoint
from llamakit.convert.config import Config
from llamakit.convert.description import Size, general_keys
from llamakit.convert.families.mistral_native import read_params
from llamakit.convert.family import Family, Mapped
from llamakit.convert.fit import problems
from llamakit.convert.quantized.methods import dequantized
from llamakit.convert.registry import find_family
from llamakit.convert.vocabulary.files import TokenizerFiles
from llamakit.convert.vocabulary.golden_strings import golden_strings
from llamakit.convert.vocabulary.keys import PREFIX, vocabulary_keys
from llamakit.convert.weight import Weight
from llamakit.core.gguf.layout import tensor_bytes
from llamakit.core.gguf.naming import ModelName
from llamakit.core.gguf.types import BLOCK_SIZES, GGMLType
from llamakit.core.gguf.values import Value
from llamakit.errors import ModelError

Q8_0_BLOCK = BLOCK_SIZES[GGMLType.Q8_0].n_values
QUANTIZATION_VERSION = 2  # of the block layouts; ggml.h

_LAYER = re.compile(r"(?:^|\.)blk\.(\d+)\.")
# Tensors that stay F32 in every file, by the end of their names.
_ALWAYS_F32 = (
    "_norm.weight", "ffn_gate_inp.weight", "ffn_gate_inp_shexp.weight", "ssm_conv1d.weight", "shortconv.conv.weight",
    "altup_correct_coef.weight", "altup_predict_coef.weight", "time_mix_first.weight", "time_mix_w1.weight",
    "time_mix_w2.weight", "time_mix_decay_w1.weight", "time_mix_decay_w2.weight", "time_mix_lerp_fused.weight",
    "indexer.proj.weight",
)  # fmt: skip
_ALWAYS_F32_WHOLE = ("position_embd.weight", "token_types.weight")
# Tensors that three values a weight would ruin.
_NOT_TERNARY = (
    "token_embd.weight",
    "per_layer_token_embd.weight",
    "output.weight",
    "altup_router.weight",
    "laurel_l.weight",
    "laurel_r.weight",
)


@dataclass(frozen=True, slots=True)
class OutputType:
    """A kind of file: what it is called, its number (`general.file_type`), and the type of most of its tensors."""

    name: str
    number: int
    default: GGMLType


OUTPUT_TYPES = {
    "f32": OutputType("F32", 0, GGMLType.F32),
    "f16": OutputType("F16", 1, GGMLType.F16),
    "bf16": OutputType("BF16", 32, GGMLType.BF16),
    "q8_0": OutputType("Q8_0", 7, GGMLType.Q8_0),
    "tq1_0": OutputType("TQ1_0", 36, GGMLType.TQ1_0),
    "tq2_0": OutputType("TQ2_0", 37, GGMLType.TQ2_0),
}

Chooser = Callable[[str, tuple[int, ...]], GGMLType]
"""The type of a tensor that may be quantized, by its name and its shape in GGUF order."""


@dataclass(frozen=True, slots=True)
class PlannedWeight:
    name: str
    weight: Weight
    type: GGMLType

    @property
    def shape(self) -> tuple[int, ...]:
        """In GGUF order: fastest first."""
        return self.weight.shape[::-1]

    @property
    def n_bytes(self) -> int:
        return tensor_bytes(self.shape, self.type)


@dataclass(frozen=True)
class Plan:
    folder: Path
    output_type: OutputType
    keys: Mapping[str, Any]
    weights: Sequence[PlannedWeight]
    left_out: Sequence[str] = field(default_factory=list)
    unknown: Sequence[str] = field(default_factory=list)
    problems: Sequence[str] = field(default_factory=list)  # why the file could not be loaded

    @property
    def n_bytes(self) -> int:
        return sum(weight.n_bytes for weight in self.weights)

    def check(self) -> None:
        """Raises one ModelError that lists why the file could not be loaded."""
        if self.problems:
            raise ModelError(f"{self.folder}: what would be written cannot be loaded: {'; '.join(self.problems)}")

    def file_name(self) -> str:
        """The name by GGUF's naming convention."""

        def text(key: str) -> str | None:
            value = self.keys.get(f"general.{key}")
            return value if isinstance(value, str) else None

        base = text("basename") or text("name") or "ggml-model"
        if not self.weights:
            return str(ModelName(base, None, text("finetune"), text("version"), kind="vocab"))
        size, encoding = text("size_label"), self.output_type.name
        return str(ModelName(base, size, text("finetune"), text("version"), encoding))


@dataclass(frozen=True)
class Source:
    """A folder, opened and understood."""

    folder: Path
    files: TokenizerFiles
    config: Config
    checkpoint: Checkpoint
    family: Family
    mapped: Mapped

    @classmethod
    def open(
        cls,
        folder: Path,
        allow_pickle: bool = False,
        has_weights: bool = True,
        *,
        is_mistral: bool = False,
        has_named_template: bool = True,
    ) -> Source:
        """`is_mistral`: the files are Mistral's own, not transformers'; see `TokenizerFiles` for the last.

        Raises ModelError, UsageError for a folder that is no model's, or of an unknown architecture.
        """
        config = read_params(folder) if is_mistral else Config.read(folder)
        chosen = find_family(config)
        checkpoint = Checkpoint({})
        if has_weights:
            checkpoint = dequantized(open_checkpoint(folder, allow_pickle, is_mistral), config)
        check_sizes(config)
        family = chosen(config, checkpoint)
        files = TokenizerFiles(folder, is_mistral, has_named_template)
        mapped = family.mapped() if has_weights else Mapped()
        if has_weights:
            check_layers(folder, family.n_layer, mapped)
        return cls(folder, files, config, checkpoint, family, mapped)

    def float8_weights(self) -> set[str]:
        """Tensors of the file that are FP8 in the checkpoint."""
        stored, weights = self.checkpoint.tensors, self.mapped.weights
        return {
            name
            for name, weight in weights.items()
            if any(source in stored and stored[source].dtype in FLOAT8 for source in weight.sources)
        }

    def auto_type(self) -> OutputType:
        """The 16-bit type that loses least."""
        return OUTPUT_TYPES["bf16" if self.checkpoint.first_dtype == "BF16" else "f16"]


def check_sizes(config: Config) -> None:
    """Raises ModelError for sizes that no model has."""
    for name in ("hidden_size", "num_hidden_layers", "num_attention_heads"):
        if config.has(name) and isinstance(config.values[name], (int, float)) and config.int(name) < 1:
            raise ModelError(f"{config.path}: {name} is {config.int(name)}")


def check_layers(folder: Path, n_layer: int, mapped: Mapped) -> None:
    """Raises ModelError where a layer has no tensors at all, as in a folder that lacks some of its files."""
    found = {int(match[1]) for name in mapped.weights if (match := _LAYER.search(name))}
    missing = next((i for i in range(n_layer) if i not in found), None)
    if missing is not None:
        raise ModelError(f"{folder}: there are no tensors of layer {missing} of {n_layer}; is a file missing?")


def metadata(source: Source, name: str | None = None, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """All keys but those that depend on the type of the file."""
    family, weights = source.family, source.mapped.weights
    size = Size.of(weights) if weights else None
    keys = general_keys(source.folder, family.gguf_arch, size, name, overrides or {})
    keys |= family.keys()
    vocabulary = vocabulary_keys(source.files, source.config, family.n_vocab, family.has_all_added)
    own = {PREFIX + key: value for key, value in family.tokenizer_keys()}
    keys |= vocabulary | own
    return keys | golden_strings(source.files, plain_values(keys))


def make_plan(
    source: Source,
    keys: Mapping[str, Any],
    output_type: OutputType,
    choose: Chooser | None = None,
    as_q8_0: Collection[str] = (),
) -> Plan:
    """Settle the type of every tensor, and hold keys and tensors against the architecture.

    `choose` overrules the type of those that may be quantized, `as_q8_0` both. Raises ModelError for names too long or
    shapes that GGUF cannot hold.
    """
    keys = {**keys, "general.file_type": output_type.number, "general.quantization_version": QUANTIZATION_VERSION}
    planned = []
    for name, weight in source.mapped.weights.items():
        if not 1 <= len(weight.shape) <= 4:
            raise ModelError(f"{source.folder}: tensor {name} would have the shape {list(weight.shape)}")
        is_q8_0 = name in as_q8_0 and len(weight.shape) > 1 and weight.shape[-1] % Q8_0_BLOCK == 0
        type_ = GGMLType.Q8_0 if is_q8_0 else _type(name, weight, output_type, choose)
        planned.append(PlannedWeight(name, weight, type_))
    misfits = problems(source.family, plain_values(keys), source.mapped.weights)
    return Plan(source.folder, output_type, keys, planned, source.mapped.left_out, source.mapped.unknown, misfits)


def _type(name: str, weight: Weight, output_type: OutputType, choose: Chooser | None) -> GGMLType:
    is_kept = name.endswith(_ALWAYS_F32) or name in _ALWAYS_F32_WHOLE or not name.endswith(".weight")
    if len(weight.shape) <= 1 or is_kept:
        return GGMLType.F32
    if choose is not None:
        return choose(name, weight.shape[::-1])
    wanted = output_type.default
    is_ternary = wanted in (GGMLType.TQ1_0, GGMLType.TQ2_0)
    if is_ternary and name.endswith(_NOT_TERNARY):
        return GGMLType.F16
    return wanted if weight.shape[-1] % BLOCK_SIZES[wanted].n_values == 0 else GGMLType.F16


def plain_values(keys: Mapping[str, Any]) -> dict[str, Value]:
    """Keys as a reader of the file would see them: arrays as lists."""
    return {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in keys.items()}
