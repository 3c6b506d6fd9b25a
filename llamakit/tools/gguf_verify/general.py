"""Metadata that every model has: the right types, sound numbers, what its tensors say too."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from llamakit.core.gguf.types import PLAIN_DTYPES, GGMLType
from llamakit.core.gguf.values import Value
from llamakit.core.vocab.text import is_utf8
from llamakit.tools.gguf_verify.finding import Finding, Level

# Keys below general. by what they hold; source: the GGUF specification.
TEXTS = (
    "architecture type name author version organization finetune basename description quantized_by size_label license "
    "license.name license.link url doi uuid repo_url source.url source.doi source.uuid source.repo_url"
).split()
COUNTS = ("quantization_version", "file_type", "alignment", "base_model.count", "dataset.count", "parameter_count")
LISTS = ("tags", "languages")
QUANTIZATION_VERSION = 2
NO_ARCHITECTURE = ("imatrix",)  # values of general.type: such files hold no model
FLOATS = set(PLAIN_DTYPES) | {GGMLType.BF16}
MOST_SHOWN = 60


def check_general(path: Path, metadata: Mapping[str, Value], types: set[GGMLType]) -> Iterator[Finding]:
    """Faults of the `general.*` keys, and of any number in the metadata; `types` are those of the file's tensors."""

    def wrong(key: str, message: str, level: Level = Level.ERROR) -> Finding:
        return Finding(level, path, message, key=key)

    for name in TEXTS:
        value = metadata.get(f"general.{name}", "")
        if not isinstance(value, str):
            yield wrong(f"general.{name}", f"must be a text, not {shown(value)}")
    for name in COUNTS:
        value = metadata.get(f"general.{name}", 0)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            yield wrong(f"general.{name}", f"must be a whole number, not {shown(value)}")
    for name in LISTS:
        value = metadata.get(f"general.{name}", [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            yield wrong(f"general.{name}", "must be a list of texts")
    if not metadata.get("general.architecture") and metadata.get("general.type") not in NO_ARCHITECTURE:
        yield wrong("general.architecture", "is missing: no program can tell what model this is")
    if types - FLOATS and metadata.get("general.quantization_version") != QUANTIZATION_VERSION:
        message = f"should be {QUANTIZATION_VERSION}, as tensors are quantized"
        yield wrong("general.quantization_version", message, Level.WARNING)
    for key in metadata:
        # Token texts need not be UTF-8, and scores are looked at with the vocabulary.
        if key.startswith("tokenizer.ggml."):
            continue
        value = metadata[key]
        if isinstance(value, str) and not is_utf8(value):
            yield wrong(key, "is not UTF-8", Level.WARNING)
        if any(isinstance(x, float) and not math.isfinite(x) for x in (value if isinstance(value, list) else [value])):
            yield wrong(key, "is not a finite number")


def shown(value: Value) -> str:
    text = f"a list of {len(value)}" if isinstance(value, list) else repr(value)
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 3] + "..."
