"""config.json as typed values: the first of several names that is there, or the error that says which is missing."""

from __future__ import annotations

import builtins
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from llamakit.convert.checkpoint import read_json
from llamakit.errors import ModelError


class _Default(Enum):
    REQUIRED = "one of the names must be there"


REQUIRED: Final = _Default.REQUIRED
Required: TypeAlias = Literal[_Default.REQUIRED]

_TEXT_PARTS = ("text_config", "llm_config")  # where models of several senses keep what is theirs of text
_ROPE_BASE = ("global_rope_theta", "rope_global_theta", "rope_theta_global", "rope_theta", "rotary_emb_base")
_ROPE_BASE_LOCAL = (
    "local_rope_theta", "rope_local_theta", "rope_theta_local", "swa_rope_theta", "rope_local_base_freq",
)  # fmt: skip
_ROPE_PART = ("partial_rotary_factor", "rope_pct", "rope_percent", "rotary_pct")
_ROPE_MIRRORED = {"original_max_position_embeddings": ("original_max_position_embeddings",)}


@dataclass(frozen=True)
class Config:
    """Hyper-parameters by name; null counts as absent. Methods raise ModelError naming the file and the key."""

    path: Path
    values: Mapping[str, Any]
    may_be_tied: builtins.bool = False  # a part of the file says that the head is the embedding

    @classmethod
    def read(cls, folder: Path) -> Config:
        """config.json of a folder, the part for text laid over the rest."""
        path = folder / "config.json"
        values = read_json(path)
        ties = {values.get("tie_word_embeddings")}
        for part in _TEXT_PARTS:
            if isinstance(values.get(part), dict):
                ties.add(values[part].get("tie_word_embeddings"))
                values = {**values, **values[part]}
                if False in ties:  # where they disagree, a head that is stored counts
                    values["tie_word_embeddings"] = False
        return cls(path, values, True in ties)

    @property
    def architecture(self) -> builtins.str:
        """The name of the model's class in transformers, or "" where only the model type is known."""
        names = self.values.get("architectures")
        return names[0] if isinstance(names, list) and names and isinstance(names[0], str) else ""

    @property
    def model_type(self) -> builtins.str:
        return self.str("model_type", default="")

    def has(self, *names: builtins.str) -> builtins.bool:
        return any(self.values.get(name) is not None for name in names)

    def int(self, *names: builtins.str, default: builtins.int | Required = REQUIRED) -> builtins.int:
        value = self._find(names, default)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if type(value) is not int:
            raise self._wrong(names, value, "a whole number")
        return value

    def float(self, *names: builtins.str, default: builtins.float | Required = REQUIRED) -> builtins.float:
        value = self._find(names, default)
        if type(value) not in (int, float) or not math.isfinite(value):
            raise self._wrong(names, value, "a number")
        return float(value)

    def bool(self, *names: builtins.str, default: builtins.bool | Required = REQUIRED) -> builtins.bool:
        value = self._find(names, default)
        if type(value) is not bool:
            raise self._wrong(names, value, "true or false")
        return value

    def str(self, *names: builtins.str, default: builtins.str | Required = REQUIRED) -> builtins.str:
        value = self._find(names, default)
        if not isinstance(value, str):
            raise self._wrong(names, value, "a string")
        return value

    def ints(self, *names: builtins.str, default: list[builtins.int] | Required = REQUIRED) -> list[builtins.int]:
        value = self._find(names, default)
        if not isinstance(value, list) or not all(type(item) is int for item in value):
            raise self._wrong(names, value, "a list of whole numbers")
        return value

    def floats(self, *names: builtins.str, default: list[builtins.float] | Required = REQUIRED) -> list[builtins.float]:
        value = self._find(names, default)
        if not isinstance(value, list) or not all(type(item) in (int, float) for item in value):
            raise self._wrong(names, value, "a list of numbers")
        return [float(item) for item in value]

    def strs(self, *names: builtins.str, default: list[builtins.str] | Required = REQUIRED) -> list[builtins.str]:
        value = self._find(names, default)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(names, value, "a list of strings")
        return value

    def int_or_ints(self, *names: builtins.str) -> builtins.int | list[builtins.int]:
        """A number that a model gives once or for each layer."""
        return self.ints(*names) if isinstance(self._find(names, REQUIRED), list) else self.int(*names)

    def section(self, name: builtins.str) -> Config:
        """An object inside; empty where it is absent."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, dict):
            raise self._wrong((name,), value, "an object")
        return Config(self.path, value or {})

    def overlaid(self, **values: Any) -> Config:
        return replace(self, values={**self.values, **values})

    @property
    def n_layer(self) -> builtins.int:
        return self.int("n_layers", "num_hidden_layers", "n_layer", "num_layers")

    @property
    def n_ctx(self) -> builtins.int:
        return self.int("max_position_embeddings", "max_seq_len", "n_positions")

    @property
    def n_embd(self) -> builtins.int:
        return self.int("hidden_size", "n_embd", "d_model", "dim")

    @property
    def n_head(self) -> builtins.int:
        return self.int("num_attention_heads", "n_head", "n_heads", "num_heads")

    @property
    def n_head_kv(self) -> builtins.int:
        return self.int("num_key_value_heads", "n_kv_heads", "num_kv_heads", default=self.n_head)

    @property
    def head_dim(self) -> builtins.int:
        return self.int("head_dim", default=self.n_embd // max(self.n_head, 1))

    @property
    def layer_types(self) -> list[builtins.str]:
        """What kind of layer each is; empty where the model does not say."""
        return self.strs("layer_types", default=[])

    @property
    def rope(self) -> Config:
        """The rotation of the layers without a window, in the spelling of transformers 5 (`rope_parameters`)."""
        given = self._rope_given()
        if "full_attention" in given or "sliding_attention" in given:
            return Config(self.path, given.get("full_attention") or {})
        mirrored = {
            "rope_theta": _ROPE_BASE, "partial_rotary_factor": _ROPE_PART, **_ROPE_MIRRORED
        }  # fmt: skip
        found = {name: self._find(names, None) for name, names in mirrored.items()}
        found["rope_type"] = given.get("type")
        found = {name: value for name, value in found.items() if value is not None}
        return Config(self.path, {**found, **{name: value for name, value in given.items() if value is not None}})

    @property
    def local_rope(self) -> Config:
        """The rotation of the layers with a window; empty where it is that of the others."""
        given = self._rope_given()
        if "full_attention" in given or "sliding_attention" in given:
            return Config(self.path, given.get("sliding_attention") or {})
        base = self._find(_ROPE_BASE_LOCAL, None)
        return Config(self.path, {} if base is None else {"rope_theta": base})

    def _rope_given(self) -> Mapping[builtins.str, Any]:
        for name in ("rope_parameters", "rope_scaling"):
            if self.has(name):
                return self.section(name).values
        return {}

    def _find(self, names: tuple[builtins.str, ...], default: Any) -> Any:
        for name in names:
            if self.values.get(name) is not None:
                return self.values[name]
        if default is REQUIRED:
            raise ModelError(f"{self.path}: {' or '.join(names)} is missing")
        return default

    def _wrong(self, names: tuple[builtins.str, ...], value: Any, wanted: builtins.str) -> ModelError:
        name = next((name for name in names if self.values.get(name) is not None), names[0])
        return ModelError(f"{self.path}: {name} is {value!r:.60}, not {wanted}")
