"""Typed reading of a model's metadata: each value has the right type and range, or the error names its key.

`Metadata` looks keys up under a prefix, by default the architecture's: `meta.int("block_count")` reads
`llama.block_count` of a llama model. `meta.section("tokenizer.ggml")` reads elsewhere.
"""

from __future__ import annotations

import builtins
import math
from collections import ChainMap
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, TypeVar

from llamakit.core.gguf.values import Value
from llamakit.errors import ModelError


class _Default(Enum):
    REQUIRED = "there is none: the key must be present"


REQUIRED: Final = _Default.REQUIRED
Required: TypeAlias = Literal[_Default.REQUIRED]
D = TypeVar("D")
_Bound: TypeAlias = "builtins.float | None"

_MAX_ARCH = 64


def with_overrides(metadata: Mapping[str, Value], overrides: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """A file's keys and values with others in front of them; values are decoded when they are asked for."""
    return ChainMap(dict(overrides or {}), metadata)  # type: ignore[arg-type]  # it changes nothing


class Metadata:
    """A typed view of key/values under one prefix. All methods raise ModelError, naming the file and the full key.

    `default` is returned, as it is, when the key is absent; without one the key must be there. The bounds `min`
    and `max` are allowed values themselves, `above` is not.
    """

    def __init__(self, mapping: Mapping[str, Value], path: str | Path, arch: str) -> None:
        self.mapping = mapping
        self.path = Path(path)
        self.arch = arch
        self._prefix = arch

    @classmethod
    def of_model(cls, mapping: Mapping[str, Value], path: str | Path) -> Metadata:
        """The view under the prefix that `general.architecture` names."""
        arch = cls(mapping, path, "general").str("architecture")
        if not 0 < len(arch) <= _MAX_ARCH or not arch.isprintable():
            raise ModelError(f"{path}: general.architecture is {_shown(arch)}, which names no architecture")
        return cls(mapping, path, arch)

    def section(self, prefix: builtins.str) -> Metadata:
        """The same key/values under another prefix, such as "general" or "tokenizer.ggml"."""
        other = Metadata(self.mapping, self.path, self.arch)
        other._prefix = prefix
        return other

    def full_key(self, key: builtins.str) -> builtins.str:
        return f"{self._prefix}.{key}"

    def has(self, key: builtins.str) -> builtins.bool:
        return self.full_key(key) in self.mapping

    def int(
        self, key: builtins.str, default: D | Required = REQUIRED, *, min: _Bound = None, max: _Bound = None
    ) -> builtins.int | D:
        """A whole number; neither a float nor a truth value passes for one."""
        if default is not REQUIRED and not self.has(key):
            return default
        return self._int(key, self._value(key), min, max)

    def float(
        self,
        key: builtins.str,
        default: D | Required = REQUIRED,
        *,
        min: _Bound = None,
        max: _Bound = None,
        above: _Bound = None,
    ) -> builtins.float | D:
        """A finite number, whole or not."""
        if default is not REQUIRED and not self.has(key):
            return default
        return self._float(key, self._value(key), min, max, above)

    def bool(self, key: builtins.str, default: D | Required = REQUIRED) -> builtins.bool | D:
        """A truth value; numbers do not pass for one."""
        if default is not REQUIRED and not self.has(key):
            return default
        value = self._value(key)
        if not isinstance(value, builtins.bool):
            raise self._error(key, value, "true or false")
        return value

    def str(self, key: builtins.str, default: D | Required = REQUIRED) -> builtins.str | D:
        """A text."""
        if default is not REQUIRED and not self.has(key):
            return default
        value = self._value(key)
        if not isinstance(value, builtins.str):
            raise self._error(key, value, "a text")
        return value

    def ints(
        self,
        key: builtins.str,
        n: builtins.int | None = None,
        default: D | Required = REQUIRED,
        *,
        min: _Bound = None,
        max: _Bound = None,
    ) -> list[builtins.int] | D:
        """`n` whole numbers, one a layer: a list of just as many, or one number for all. Without `n`, any list."""
        if default is not REQUIRED and not self.has(key):
            return default
        return [self._int(key, item, min, max) for item in self._items(key, n, "whole numbers")]

    def floats(
        self,
        key: builtins.str,
        n: builtins.int | None = None,
        default: D | Required = REQUIRED,
        *,
        min: _Bound = None,
        max: _Bound = None,
        above: _Bound = None,
    ) -> list[builtins.float] | D:
        """`n` finite numbers: a list of just as many, or one number for all. Without `n`, any list."""
        if default is not REQUIRED and not self.has(key):
            return default
        return [self._float(key, item, min, max, above) for item in self._items(key, n, "numbers")]

    def bools(
        self, key: builtins.str, n: builtins.int | None = None, default: D | Required = REQUIRED
    ) -> list[builtins.bool] | D:
        """`n` truth values: a list of just as many, or one for all. Without `n`, any list."""
        if default is not REQUIRED and not self.has(key):
            return default
        items = self._items(key, n, "truth values")
        bools = [item for item in items if isinstance(item, builtins.bool)]
        if len(bools) != len(items):
            raise self._error(key, items, "truth values only")
        return bools

    def strs(self, key: builtins.str, default: D | Required = REQUIRED) -> list[builtins.str] | D:
        """A list of texts."""
        if default is not REQUIRED and not self.has(key):
            return default
        items = self._items(key, None, "texts")
        texts = [item for item in items if isinstance(item, builtins.str)]
        if len(texts) != len(items):
            raise self._error(key, items, "texts only")
        return texts

    def _value(self, key: builtins.str) -> Value:
        try:
            return self.mapping[self.full_key(key)]
        except KeyError:
            message = f"{self.path}: the key {self.full_key(key)} is missing; convert the model anew"
            raise ModelError(message) from None

    def _items(self, key: builtins.str, n: builtins.int | None, what: builtins.str) -> list[Value]:
        """The elements of a list of `n`; one value in place of a list stands for all of them."""
        value = self._value(key)
        if not isinstance(value, list):
            if n is None:
                raise self._error(key, value, f"a list of {what}")
            return [value] * n
        if n is not None and len(value) != n:
            raise self._error(key, value, f"{n} {what}")
        return value

    def _int(self, key: builtins.str, value: Value, low: _Bound, high: _Bound) -> builtins.int:
        if isinstance(value, builtins.bool) or not isinstance(value, builtins.int):
            raise self._error(key, value, "a whole number")
        if (low is not None and value < low) or (high is not None and value > high):
            raise self._error(key, value, "a whole number" + _range(low, high, None))
        return value

    def _float(self, key: builtins.str, value: Value, low: _Bound, high: _Bound, above: _Bound) -> builtins.float:
        if isinstance(value, builtins.bool) or not isinstance(value, (builtins.int, builtins.float)):
            raise self._error(key, value, "a number")
        outside = (
            (low is not None and value < low)
            or (high is not None and value > high)
            or (above is not None and value <= above)
        )
        if not math.isfinite(value) or outside:
            raise self._error(key, value, "a finite number" + _range(low, high, above))
        return builtins.float(value)

    def _error(self, key: builtins.str, value: Value, wanted: builtins.str) -> ModelError:
        return ModelError(f"{self.path}: {self.full_key(key)} is {_shown(value)}; it must be {wanted}")


def _range(low: _Bound, high: _Bound, above: _Bound) -> str:
    bounds = [
        f" {word} {bound}"
        for word, bound in (("above", above), ("of at least", low), ("of at most", high))
        if bound is not None
    ]
    return " and".join(bounds)


def _shown(value: Value) -> str:
    """A value short enough for one line of an error."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"
