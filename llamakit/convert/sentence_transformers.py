"""Folders of sentence-transformers: how a text's vectors become one, and the dense layers behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llamakit.convert.checkpoint import Checkpoint, read_json
from llamakit.convert.config import Config
from llamakit.convert.safetensors import read_safetensors
from llamakit.convert.weight import Weight
from llamakit.errors import ModelError

MEAN, CLS, LAST, RANK = 1, 2, 3, 4
_FLAGS = {"pooling_mode_mean_tokens": MEAN, "pooling_mode_cls_token": CLS, "pooling_mode_lasttoken": LAST}
_NAMES = {"mean": MEAN, "cls": CLS, "lasttoken": LAST}
_DENSE_NAMES = ("dense_2", "dense_3")


def _modules(folder: Path, kind: str) -> list[Path]:
    """Folders of the modules of a kind, in their order."""
    path = folder / "modules.json"
    if not path.is_file():
        default = folder / "1_Pooling"
        return [default] if kind == "Pooling" and (default / "config.json").is_file() else []
    found = []
    for module in _list_of(path):
        name, type_ = module.get("path"), module.get("type")
        if not isinstance(name, str) or not isinstance(type_, str) or ".." in Path(name).parts:
            raise ModelError(f"{path}: a module without a type or a path inside the folder")
        if type_.endswith(kind):
            found.append(folder / name)
    return found


def _list_of(path: Path) -> list[dict[str, Any]]:
    try:
        parsed = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(f"{path}: no JSON: {str(error)[:120]}") from None
    if not isinstance(parsed, list) or not all(isinstance(entry, dict) for entry in parsed):
        raise ModelError(f"{path}: not a list of modules")
    return parsed


def pooling_type(folder: Path) -> int | None:
    """The number of GGUF's pooling; None where the folder does not say. ModelError for a kind GGUF has not."""
    for module in _modules(folder, "Pooling")[:1]:
        path = module / "config.json"
        given = read_json(path)
        found = next((kind for key, kind in _FLAGS.items() if given.get(key)), None)
        found = found or _NAMES.get(str(given.get("pooling_mode")))
        if found is None:
            raise ModelError(f"{path}: vectors are pooled in another way than mean, cls or last")
        return found
    return None


def classifier_pooling(name: str) -> int | None:
    """What is pooled before a classifier, by the name in config.json."""
    return _NAMES.get(name)


def dense_layers(folder: Path) -> Iterator[tuple[str, Config, Checkpoint]]:
    """GGUF's name, settings and tensors of each dense layer. Raises ModelError for more than two, or an activation."""
    modules = _modules(folder, "Dense")
    if len(modules) > len(_DENSE_NAMES):
        raise ModelError(f"{folder / 'modules.json'}: {len(modules)} dense layers; GGUF has names for two")
    for name, module in zip(_DENSE_NAMES, modules, strict=False):
        settings = Config(module / "config.json", read_json(module / "config.json"))
        activation = settings.str("activation_function", default="Identity")
        if not activation.endswith("Identity"):
            raise ModelError(f"{settings.path}: the activation {activation!r:.60} has no place in GGUF")
        yield name, settings, Checkpoint(read_safetensors(module / "model.safetensors"))


def dense_keys(folder: Path) -> Iterator[tuple[str, int]]:
    for name, settings, _ in dense_layers(folder):
        yield f"{name}_feat_in", settings.int("in_features")
        yield f"{name}_feat_out", settings.int("out_features")


def dense_weights(folder: Path) -> Iterator[tuple[str, Weight]]:
    for name, _, checkpoint in dense_layers(folder):
        for theirs in checkpoint:
            yield f"{name}.{theirs.removeprefix('linear.')}", checkpoint.weight(theirs)
