"""general.*: what the user gives (`--metadata`), each value of the type that readers expect of its key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llamakit.errors import ModelError

# generation_config.json's words: the key below `general.sampling.`, and its type.
SAMPLING = {
    "sequence": ("sequence", str), "top_k": ("top_k", int), "top_p": ("top_p", float), "min_p": ("min_p", float),
    "xtc_probability": ("xtc_probability", float), "xtc_threshold": ("xtc_threshold", float),
    "temperature": ("temp", float), "penalty_last_n": ("penalty_last_n", int),
    "repetition_penalty": ("penalty_repeat", float), "penalty_repeat": ("penalty_repeat", float),
    "mirostat": ("mirostat", int), "mirostat_tau": ("mirostat_tau", float), "mirostat_eta": ("mirostat_eta", float),
}  # fmt: skip
NAMED_FIELDS = ("name", "author", "version", "organization", "description", "url", "doi", "uuid", "repo_url")

_SPREAD = {"general.base_models": "base_model", "general.datasets": "dataset"}
_LISTS = ("general.tags", "general.languages")
_NUMBERS = {f"general.sampling.{key}": kind for key, kind in SAMPLING.values() if kind is not str}
_SETTLED = ("architecture", "type", "file_type", "quantization_version", "alignment")  # by the conversion


def given_keys(given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Full keys to values; base models and data sets, which gguf-py has as lists of objects, are a key for each field.

    Raises ModelError for a key that is not the user's to give, and a value that its key cannot have.
    """
    for key, value in given.items():
        if not key.startswith("general."):
            raise ModelError(f"--metadata: {key!r:.60} does not begin with general.")
        if key.removeprefix("general.") in _SETTLED:
            raise ModelError(f"--metadata: {key} is settled by the conversion")
        if key in _SPREAD:
            yield from _spread(key, value)
        else:
            yield key, _checked(key, value)


def _spread(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise ModelError(f"--metadata: {key} is {value!r:.60}, not a list of objects")
    yield f"general.{_SPREAD[key]}.count", len(value)
    for i, entry in enumerate(value):
        for field, text in entry.items():
            if field not in NAMED_FIELDS or not isinstance(text, str):
                known = ", ".join(NAMED_FIELDS)
                raise ModelError(f"--metadata: {key} has {field!r:.40}: {text!r:.40}; it can have texts under {known}")
            yield f"general.{_SPREAD[key]}.{i}.{field}", text


def _checked(key: str, value: Any) -> Any:
    kind = int if key.endswith(".count") else _NUMBERS.get(key, str)
    if key in _LISTS:
        fits, wanted = isinstance(value, list) and all(isinstance(item, str) for item in value), "a list of texts"
    elif kind is str:
        fits, wanted = isinstance(value, str), "a text"
    else:
        is_number = isinstance(value, (int, float) if kind is float else int) and not isinstance(value, bool)
        fits, wanted = is_number, "a number" if kind is float else "a whole number"
    if not fits:
        raise ModelError(f"--metadata: {key} is {value!r:.60}, not {wanted}")
    return float(value) if kind is float else value
