"""The models of a folder: GGUF files, and folders that hold one in several files."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from llamakit.errors import UsageError
from llamakit.server.settings import ModelSettings

SHARD = re.compile(r"-(\d{5})-of-\d{5}$")


def models_of(folder: str, common: ModelSettings) -> dict[str, ModelSettings]:
    """Settings by names, in the order of the names. Raises UsageError for a folder that cannot be read."""
    try:
        paths = sorted(Path(folder).iterdir())
    except OSError as error:
        raise UsageError(f"--models-dir {folder}: {error.strerror}") from None
    found = {}
    for path in paths:
        files = sorted(path.glob("*.gguf")) if path.is_dir() else [path] if path.suffix == ".gguf" else []
        firsts = [file for file in files if is_model(file)]
        if firsts:
            name = path.name if path.is_dir() else SHARD.sub("", path.stem)
            found[name] = replace(common, path=str(firsts[0]), aliases=(name, f"{name}.gguf"))
    return found


def is_model(path: Path) -> bool:
    """Not the projector of another model, and the first of several files."""
    shard = SHARD.search(path.stem)
    return not path.name.startswith("mmproj") and (shard is None or int(shard[1]) == 1)
