"""general.*: what a model is called, who made it, of what. From the model card, the config and the folder's name.

Keys, and which source goes before which, are as in llama.cpp's converter of 2026.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llamakit.convert.card import Card, read_card
from llamakit.convert.checkpoint import read_json
from llamakit.convert.given_keys import NAMED_FIELDS, SAMPLING, given_keys
from llamakit.convert.model_id import parse_model_id, title
from llamakit.convert.weight import Weight
from llamakit.core.gguf.naming import size_label

# Key below `general.`, and the keys of a card that give it, the first that is there.
_FROM_CARD = {
    "name": ("name", "model_name"),
    "author": ("author", "model_author", "model_creator"),
    "version": ("version", "model_version"),
    "organization": ("organization", "model_organization"),
    "finetune": ("finetune", "model_finetune"),
    "basename": ("basename", "model_basename", "model_type"),
    "description": ("description", "model_description"),
    "quantized_by": ("quantized_by",),
    "size_label": ("size_label", "model_size_label"),
    "license": ("license",),
    "license.name": ("license_name",),
    "license.link": ("license_link",),
    "source.url": ("url", "model_url"),
    "source.doi": ("doi", "model_doi"),
    "source.uuid": ("uuid", "model_uuid"),
    "source.repo_url": ("repo_url", "model_repo_url"),
}
_ORDER = (
    "name", "author", "version", "organization", "finetune", "basename", "description", "quantized_by", "size_label",
    "license", "license.name", "license.link", "url", "doi", "uuid", "repo_url", "source.url", "source.doi",
    "source.uuid", "source.repo_url",
)  # fmt: skip


@dataclass(frozen=True)
class Size:
    """Parameters of a model: of all tensors, and of it with one expert a layer."""

    n_params: int
    n_of_one_expert: int
    n_expert: int

    @classmethod
    def of(cls, weights: Mapping[str, Weight]) -> Size:
        total = sum(weight.n_values for weight in weights.values())
        one, counts = 0, []
        for name, weight in weights.items():
            is_stack = "_exps." in name and len(weight.shape) >= 3
            one += weight.n_values // weight.shape[0] if is_stack else weight.n_values
            counts += [weight.shape[0]] if is_stack else []
        return cls(total, one, -(-sum(counts) // len(counts)) if counts else 0)

    @property
    def label(self) -> str:
        return size_label(self.n_of_one_expert if self.n_expert else self.n_params, self.n_expert)


def general_keys(
    folder: Path, arch: str, size: Size | None, name: str | None, overrides: Mapping[str, Any]
) -> dict[str, Any]:
    """Full keys to values. `name` and `overrides` (full keys) go before all that is found."""
    card = read_card(folder)
    found = _collected(folder, card, size)
    if size is not None and size.n_params:
        found.setdefault("size_label", size.label)
    keys: dict[str, Any] = {"general.architecture": arch, "general.type": "model"}
    keys |= {f"general.sampling.{key}": value for key, value in _sampling(folder)}
    keys |= {f"general.{key}": found[key] for key in _ORDER if key in found}
    keys |= dict(_related("base_model", _list(card, "base_model", "base_models"), size))
    keys |= dict(_related("dataset", _list(card, "datasets", "dataset"), size))
    tags = [*_list(card, "tags"), *_list(card, "pipeline_tag")]
    if tags:
        keys["general.tags"] = tags
    languages = _list(card, "languages", "language")
    if languages:
        keys["general.languages"] = languages
    own = dict(given_keys(overrides))
    counts = tuple(key.removesuffix("count") for key in own if key.endswith(".count"))
    keys = {key: value for key, value in keys.items() if not key.startswith(counts)} | own
    if name is not None:
        keys["general.name"] = name
    return keys


def _collected(folder: Path, card: Card, size: Size | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, sources in _FROM_CARD.items():
        value = next((card[source] for source in sources if source in card), None)
        if value is not None:
            found[key] = ",".join(value) if isinstance(value, list) else value
    config = folder / "config.json"  # which Mistral's own folders need not have
    path = read_json(config).get("_name_or_path") if config.is_file() else None
    ids = [path] if isinstance(path, str) and path and path.count("/") <= 1 else []
    for text in (*ids, folder.resolve().name):
        parts = parse_model_id(text, size.n_params if size else 0)
        found.setdefault("name", title(parts.name))
        if parts.organization is not None:
            found.setdefault("organization", title(parts.organization))
        for key in ("basename", "finetune", "version", "size_label"):
            value = getattr(parts, key)
            if value is not None:
                found.setdefault(key, value)
    return found


def _sampling(folder: Path) -> Iterator[tuple[str, str | int | float]]:
    """What generation_config.json recommends."""
    path = folder / "generation_config.json"
    given = read_json(path) if path.is_file() else {}
    for theirs, (ours, kind) in SAMPLING.items():
        value = given.get(theirs)
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            try:
                yield ours, kind(value)
            except ValueError:
                continue


def _list(card: Card, *keys: str) -> list[str]:
    value = next((card[key] for key in keys if key in card), [])
    return [value] if isinstance(value, str) else value


def _related(kind: str, ids: Sequence[str], size: Size | None) -> Iterator[tuple[str, Any]]:
    """Keys of base models or data sets, given by their ids or addresses."""
    if not ids:
        return
    yield f"general.{kind}.count", len(ids)
    for i, text in enumerate(ids):
        entry: dict[str, str] = {}
        is_address = text.startswith(("http://", "https://", "ssh://"))
        if not is_address:
            parts = parse_model_id(text, size.n_params if size else 0)
            entry["name"] = title(parts.name)
            if parts.version is not None:
                entry["version"] = parts.version
            if parts.organization is not None:
                entry["organization"] = title(parts.organization)
                entry["repo_url"] = f"https://huggingface.co/{text}"
        else:
            entry["repo_url"] = text
        for field in NAMED_FIELDS:
            if field in entry:
                yield f"general.{kind}.{i}.{field}", entry[field]
