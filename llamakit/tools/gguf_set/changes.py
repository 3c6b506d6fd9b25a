"""Changes of metadata, typed and checked before anything is written."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from llamakit.core.gguf.file import FileMetadata
from llamakit.core.gguf.labels import parse_key
from llamakit.core.gguf.shards import SPLIT_KEYS
from llamakit.core.gguf.types import ALIGNMENT_KEY, SCALAR_CODES, ValueType
from llamakit.core.gguf.values import Encoding, Value, encode
from llamakit.errors import UsageError

Types = tuple[ValueType, ...]  # from the outside in, as in Field

WORDS = {"true": True, "1": True, "false": False, "0": False}
SHORT = {
    name.lower().replace("uint", "u").replace("int", "i").replace("float", "f"): ValueType[name]
    for name in ("UINT8", "INT8", "UINT16", "INT16", "UINT32", "INT32", "UINT64", "INT64", "FLOAT32", "FLOAT64")
}
NAMES = {type_.name.lower(): type_ for type_ in ValueType} | SHORT | {"str": ValueType.STRING}


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one key: a value of these types or, without types, nothing."""

    key: str
    types: Types | None
    value: Value = ""

    @property
    def is_removal(self) -> bool:
        return self.types is None

    def is_needed(self, metadata: FileMetadata) -> bool:
        """Whether the file is any different without it."""
        if self.types is None:
            return self.key in metadata
        if self.key not in metadata:
            return True
        same_types = metadata.field(self.key).types == self.types
        return not same_types or metadata.raw(self.key) != encode(self.value, self.types, metadata.encoding)

    def fits_in_place(self, metadata: FileMetadata) -> bool:
        """Whether only the bytes of one number change, and no tensor moves."""
        is_number = self.types is not None and self.types[0] in SCALAR_CODES
        return (
            is_number
            and self.key in metadata
            and metadata.field(self.key).types == self.types
            and self.key != ALIGNMENT_KEY
        )


def set_key(metadata: FileMetadata, key: str, text: str, type_name: str | None = None) -> Change:
    """A key's new value from its text: numbers, true or false, strings as they are, arrays as JSON.

    The type is the one the key has; a key that is not there yet needs `type_name`. Raises UsageError for a text that
    is no such value, and for a key that must not change.
    """
    check_key(key)
    if type_name is not None:
        types = parse_types(type_name)
    elif key in metadata:
        types = metadata.field(key).types
    else:
        near = get_close_matches(key, list(metadata), 1)
        hint = f"did you mean {near[0]}? else " if near else ""
        raise UsageError(f"there is no key {key}; {hint}name a type with --type to add it")
    value = parse_value(key, types, text)
    return Change(key, types, value)


def remove_key(metadata: FileMetadata, key: str) -> Change:
    """Raises UsageError for a key that is not there, or must not change."""
    check_key(key)
    if key not in metadata:
        near = get_close_matches(key, list(metadata), 1)
        raise UsageError(f"there is no key {key} to remove" + (f"; did you mean {near[0]}?" if near else ""))
    return Change(key, None)


def set_text(key: str, text: str) -> Change:
    return Change(key, (ValueType.STRING,), text)


def check_key(key: str) -> None:
    """Refuse what is no key, and the keys that hold a split together."""
    if key in SPLIT_KEYS:
        raise UsageError(f"{key} belongs to the files of a split; use gguf-split to change how a model is split")
    try:
        parse_key(key.encode("utf-8", "surrogateescape"))
    except ValueError as error:
        raise UsageError(str(error)) from None


def parse_types(name: str) -> Types:
    """`u32`, `UINT32`, `str`, `[f32]` (an array), `[[str]]`."""
    inner = name.strip().lower()
    depth = 0
    while inner.startswith("[") and inner.endswith("]"):
        inner, depth = inner[1:-1], depth + 1
    if inner not in NAMES or NAMES[inner] is ValueType.ARRAY:
        raise UsageError(f"{name!r} is no type; there are {' '.join(SHORT)} bool str, and arrays of them as [u32]")
    return (ValueType.ARRAY,) * depth + (NAMES[inner],)


def parse_value(key: str, types: Types, text: str) -> Value:
    """The value that `text` says. Raises UsageError where it does not fit the types."""
    if types[0] is ValueType.STRING:
        return text
    try:
        if types[0] is ValueType.ARRAY:
            return json_array(types, text)
        value = scalar(types[0], text.strip())
        encode(value, types, Encoding())  # raises ValueError where it does not fit
    except ValueError as error:
        raise UsageError(f"{key}: {text!r:.60} is no {shown(types)}: {error}") from None
    return value


def scalar(type_: ValueType, text: str) -> Value:
    if type_ is ValueType.BOOL:
        if text.lower() not in WORDS:
            raise ValueError("give true or false")
        return WORDS[text.lower()]
    if type_ in (ValueType.FLOAT32, ValueType.FLOAT64):
        number = float(text)
        if not math.isfinite(number):
            raise ValueError("only finite numbers are allowed")
        return number
    return int(text, 0)


def json_array(types: Types, text: str) -> Value:
    value = json.loads(text)
    if not isinstance(value, list):
        raise ValueError("give a JSON array")
    if len(types) < 2:
        raise ValueError("the key holds an empty array of arrays; name its type with --type")
    encode(value, types, Encoding())  # raises ValueError where it does not fit
    return value


def shown(types: Types) -> str:
    """`[int32]` for an array, as `gguf dump` shows types."""
    depth = len(types) - 1
    return "[" * depth + types[-1].name.lower() + "]" * depth


def changed(metadata: FileMetadata, changes: Sequence[Change]) -> dict[str, Value]:
    """The metadata as it is to be: changed keys in their places, new ones at the end."""
    by_key = {change.key: change for change in changes}
    kept = {key: metadata[key] for key in metadata if key not in by_key or not by_key[key].is_removal}
    return kept | {key: change.value for key, change in by_key.items() if not change.is_removal}
