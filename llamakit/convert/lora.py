"""PEFT adapters (LoRA) to GGUF: the pairs A, B of each module under the names of the base model's tensors.

Whatever moves the rows of a base model's tensor moves those of B, so B goes through the conversion of that tensor.
Sources: PEFT's `LoraConfig`, llama.cpp's `convert_lora_to_gguf.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llamakit.convert.checkpoint import Checkpoint, pickle_refused, read_json
from llamakit.convert.config import Config
from llamakit.convert.family import Family
from llamakit.convert.pickled import read_pickled
from llamakit.convert.plan import OutputType, Plan, PlannedWeight
from llamakit.convert.registry import find_family, known
from llamakit.convert.safetensors import StoredTensor, read_safetensors
from llamakit.convert.weight import Weight, stacked
from llamakit.core.engine.adapters import EMBEDDING
from llamakit.core.gguf.metadata import Metadata
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.types import BLOCK_SIZES, GGMLType
from llamakit.errors import ModelError, UsageError

TENSORS, PICKLE, CONFIG = "adapter_model.safetensors", "adapter_model.bin", "adapter_config.json"
_HALF = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_(embedding_)?([AB])(?:\.default)?(?:\.weight)?")
_UNKNOWN_KINDS = {
    "use_dora": "DoRA, whose magnitudes GGUF cannot hold",
    "use_qalora": "QA-LoRA",
    "use_bdlora": "BD-LoRA",
    "alora_invocation_tokens": "an activated LoRA, which applies to a part of a text only",
}


@dataclass(frozen=True)
class LoraConfig:
    """adapter_config.json: how much each module's product counts."""

    path: Path
    rank: int
    alpha: float
    is_rank_stabilized: bool
    is_transposed: bool  # the base model's matrices are stored columns first
    base_name: str
    rank_pattern: Mapping[str, Any]
    alpha_pattern: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> LoraConfig:
        """Raises ModelError for a folder that is no adapter's, or one of a kind that cannot be converted."""
        config = Config(folder / CONFIG, read_json(folder / CONFIG))
        kind = config.str("peft_type", default="LORA")
        if kind.upper() != "LORA":
            raise ModelError(f"{config.path}: the adapter is of the kind {kind!r:.40}; only LORA is converted")
        for key, what in _UNKNOWN_KINDS.items():
            if config.values.get(key):
                raise ModelError(f"{config.path}: {key}: {what}, is not converted; merge it into the base model first")
        return cls(
            config.path,
            config.int("r"),
            config.float("lora_alpha"),
            config.bool("use_rslora", default=False),
            config.bool("fan_in_fan_out", default=False),
            config.str("base_model_name_or_path", default=""),
            config.section("rank_pattern").values,
            config.section("alpha_pattern").values,
        )

    def factor(self, module: str, rank: int) -> float:
        """What B A is multiplied by: alpha / rank, or alpha / sqrt(rank)."""
        alpha = float(matching(self.alpha_pattern, module, self.alpha))
        return alpha / (rank**0.5 if self.is_rank_stabilized else rank)


def matching(pattern: Mapping[str, Any], module: str, default: float) -> float:
    """The value of the first regular expression that a module's name ends with, as PEFT looks them up."""
    for key, value in pattern.items():
        if re.match(rf"(?:.*\.)?(?:{key})$", module) and isinstance(value, (int, float)):
            return value
    return default


def base_family(base: Path, checkpoint: Checkpoint) -> Family:
    """How the base model's tensors are named and moved; `base` is its folder (config.json is enough) or a GGUF file.

    Raises ModelError for an architecture that is not converted.
    """
    if base.is_dir():
        config = Config.read(base)
        return find_family(config)(config, checkpoint)
    with GGUFReader(base) as reader:
        meta = Metadata.of_model(reader.metadata, base)
        arch, is_tied = meta.arch, "output.weight" not in reader
        given = {
            "num_hidden_layers": meta.int("block_count"),
            "hidden_size": meta.int("embedding_length"),
            "num_attention_heads": meta.int("attention.head_count"),
            "num_key_value_heads": meta.int("attention.head_count_kv", meta.int("attention.head_count")),
            "head_dim": meta.int("attention.key_length", 0) or None,
            "tie_word_embeddings": is_tied,
        }
    for family in dict.fromkeys(known().values()):
        if getattr(family, "arch", None) == arch:
            return family(Config(base, given), checkpoint)
    raise ModelError(f"{base}: adapters of {arch} models are not converted yet")


def plan_lora(
    folder: Path, base: Path, output_type: OutputType, name: str | None = None, allow_pickle: bool = False
) -> Plan:
    """What the adapter file will hold. Raises ModelError, naming the tensor, for what has no place in it."""
    config = LoraConfig.read(folder)
    halves, others = read_halves(folder, read_tensors(folder, allow_pickle))
    linear = {module: pair for module, pair in halves.items() if not pair.is_embedding}
    family = base_family(base, Checkpoint({f"{module}.weight": pair.b for module, pair in linear.items()}))
    weights: dict[str, tuple[Weight, Weight]] = {}
    if linear:
        weights |= mapped_pairs(family, config, linear)
    for module, pair in halves.items():
        if pair.is_embedding:
            source = Checkpoint({"a": pair.a, "b": pair.b})
            factor = config.factor(module, pair.rank) * pair.rank / config.alpha
            weights[EMBEDDING] = source.weight("a").transposed(), source.weight("b").times(factor)
    keys = {
        "general.architecture": family.gguf_arch,
        "general.type": "adapter",
        "general.name": name or folder.resolve().name,
        **({"general.base_model.count": 1, "general.base_model.0.name": config.base_name} if config.base_name else {}),
        "general.file_type": output_type.number,
        "general.quantization_version": 2,
        "adapter.type": "lora",
        "adapter.lora.alpha": config.alpha,
    }
    planned = [
        PlannedWeight(f"{tensor}.lora_{half}", weight, type_of(weight, output_type.default))
        for tensor, pair_of_weights in weights.items()
        for half, weight in zip("ab", pair_of_weights, strict=True)
    ]
    return Plan(folder, output_type, keys, planned, left_out=others)


def read_tensors(folder: Path, allow_pickle: bool = False) -> dict[str, StoredTensor]:
    """Those of an adapter. Raises UsageError where there are none, or pickled ones only that are not allowed."""
    if (folder / TENSORS).is_file():
        return read_safetensors(folder / TENSORS)
    if not (folder / PICKLE).is_file():
        raise UsageError(f"{folder}: neither {TENSORS} nor {PICKLE}; is it the folder of a PEFT adapter?")
    if not allow_pickle:
        raise UsageError(f"{folder}: {pickle_refused(PICKLE)}")
    return read_pickled(folder / PICKLE)


def first_dtype(folder: Path, allow_pickle: bool = False) -> str:
    """The name of the type that the adapter's tensors are stored in."""
    dtypes = {stored.dtype for stored in read_tensors(folder, allow_pickle).values()}
    return {"F16": "f16", "BF16": "bf16"}.get(dtypes.pop(), "f32") if len(dtypes) == 1 else "f32"


@dataclass(frozen=True)
class Halves:
    """Of one module, as they lie in the file.   a: (rank, columns), b: (rows, rank)"""

    a: StoredTensor
    b: StoredTensor
    is_embedding: bool

    @property
    def rank(self) -> int:
        return self.b.shape[-1]


def read_halves(path: Path, tensors: Mapping[str, StoredTensor]) -> tuple[dict[str, Halves], list[str]]:
    """The pairs by module, and the names of norms, which are left out."""
    found: dict[tuple[str, bool], dict[str, StoredTensor]] = {}
    others = []
    for name, stored in tensors.items():
        match = _HALF.fullmatch(name)
        if match:
            found.setdefault((match[1], bool(match[2])), {})[match[3]] = stored
        elif name.endswith((".base_layer.weight", "norm.weight")):
            others.append(name)
        else:
            raise ModelError(
                f"{path}: {name} is neither lora_A nor lora_B: a tensor that was trained whole; merge the adapter into "
                "the base model, then convert that"
            )
    halves = {}
    for (module, is_embedding), pair in found.items():
        if len(pair) < 2:
            raise ModelError(f"{path}: {module} has no lora_{'A' if 'B' in pair else 'B'}")
        a, b = pair["A"], pair["B"]
        if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != b.shape[1]:
            raise ModelError(f"{path}: {module} has lora_A {list(a.shape)} and lora_B {list(b.shape)}: no rank")
        halves[module] = Halves(a, b, is_embedding)
    if not halves:
        raise ModelError(f"{path}: there is no lora_A in it")
    return halves, others


def mapped_pairs(family: Family, config: LoraConfig, halves: Mapping[str, Halves]) -> dict[str, tuple[Weight, Weight]]:
    """A and B by the GGUF's names of their tensors."""
    mapped = family.mapped()
    if lost := [*mapped.unknown, *mapped.left_out]:
        hint = "; the head is the embedding in this model" if "lm_head" in lost[0] else ""
        raise ModelError(f"{config.path.parent}: {lost[0]} has no place in a {family.gguf_arch} model{hint}")
    pairs = {}
    own = {name for name, _ in family.extra()}
    for name, b in mapped.weights.items():
        if name in own:
            continue
        modules = [source.removesuffix(".weight") for source in b.sources]
        ranks = {halves[module].rank for module in modules}
        factors = {config.factor(module, halves[module].rank) for module in modules}
        if len(ranks) > 1 or len(factors) > 1 or b.shape[-1] not in ranks or (len(b.shape) == 2) != (len(modules) == 1):
            raise ModelError(f"{config.path.parent}: {', '.join(modules[:2])}: their lora_B cannot be {name}.lora_b")
        sources = Checkpoint({module: halves[module].a for module in modules})
        lower = [sources.weight(module) for module in modules]
        (rank,), (factor,) = ranks, factors
        pairs[name] = (lower[0] if len(b.shape) == 2 else stacked(lower)), b.times(factor * rank / config.alpha)
    return pairs


def type_of(weight: Weight, wanted: GGMLType) -> GGMLType:
    """Rows that are no whole blocks are F16."""
    return wanted if weight.shape[-1] % BLOCK_SIZES[wanted].n_values == 0 else GGMLType.F16
