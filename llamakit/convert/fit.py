"""Whether a file that is yet to be written could be loaded: its keys and tensors, held against the architecture.

The formula is the loader's own, so nothing is said here of any architecture. No data is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llamakit.convert.family import Family
from llamakit.convert.names import Names
from llamakit.convert.weight import Weight, as_float32
from llamakit.core.gguf.metadata import Metadata
from llamakit.core.gguf.types import GGMLType
from llamakit.core.gguf.values import Value
from llamakit.core.models.registry import lookup
from llamakit.core.models.tensors import Misfit
from llamakit.errors import ModelError

_LAYER = re.compile(r"blk\.(\d+)\.(.+)")
_MODELS_OF_TEXT = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
_MOST = 20  # problems that are told


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A tensor as the formula sees it. `data` is asked for where numbers are part of the formula: rope_freqs."""

    name: str
    weight: Weight
    type: GGMLType = GGMLType.F32

    @property
    def shape(self) -> tuple[int, ...]:
        return self.weight.shape[::-1]

    @property
    def data(self) -> NDArray[np.float32]:
        return as_float32(self.weight.load())


class _File:
    """The tensors that are to be."""

    def __init__(self, weights: Mapping[str, Weight]) -> None:
        self._by_name = {name: _Tensor(name, weight) for name, weight in weights.items()}
        self.tensors = list(self._by_name.values())

    def tensor(self, name: str) -> _Tensor:
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name


def problems(family: Family, keys: Mapping[str, Value], weights: Mapping[str, Weight]) -> list[str]:
    """What would keep the file from being loaded, each with the tensor's name in the checkpoint.

    None for a vocabulary alone, and for an architecture that is converted and not known to the engine.
    """
    architecture = lookup(family.gguf_arch) if weights else None
    if architecture is None:
        return []
    meta = Metadata.of_model(keys, family.config.path.parent)
    try:
        architecture(meta, _File(weights))
    except Misfit as misfit:
        told = [f"{name} {what}{_origin(family, weights, name)}" for name, what in misfit.problems]
        return told[:_MOST] + ([f"{len(told) - _MOST} more"] if len(told) > _MOST else [])
    except ModelError as error:
        return [str(error).removeprefix(f"{meta.path}: ")]
    return _without_head(family, weights) if architecture.has_head else []


def _without_head(family: Family, weights: Mapping[str, Weight]) -> list[str]:
    """A head that the config says is not the embedding, and that is not there: the loader would take the embedding."""
    c = family.config
    is_untied = c.has("tie_word_embeddings") and not c.bool("tie_word_embeddings") and not c.may_be_tied
    if is_untied and c.architecture.endswith(_MODELS_OF_TEXT) and "output.weight" not in weights:
        return [
            "there is no head (lm_head.weight), and by tie_word_embeddings it is not the embedding; if it is, set "
            "that to true in config.json"
        ]
    return []


def _origin(family: Family, weights: Mapping[str, Weight], name: str) -> str:
    """What a tensor is in the checkpoint, or would be: as in another layer, or by the family's words."""
    if name in weights:
        sources = weights[name].sources
        return f": {', '.join(sources[:3])}{', ...' if len(sources) > 3 else ''}" if sources else ""
    match = _LAYER.fullmatch(name)
    if match is None:
        words = _words(family.whole, name)
        return f": {words}" if words else ""
    i, ours = int(match[1]), match[2]
    for other, weight in weights.items():
        like = _LAYER.fullmatch(other)
        if like is not None and like[2] == ours and weight.sources:
            return ": " + re.sub(rf"(?<=\.){like[1]}(?=\.)", str(i), weight.sources[0], count=1)
    words = _words(family.layer, ours)
    return f": {words} of layer {i}" if words else ""


def _words(names: Names, ours: str) -> str | None:
    """The checkpoint's words for a tensor: the first that become it."""
    stem, _, suffix = ours.rpartition(".")
    return next(
        (theirs if word == ours else f"{theirs}.{suffix}" for theirs, word in names.items() if word in (ours, stem)),
        None,
    )
