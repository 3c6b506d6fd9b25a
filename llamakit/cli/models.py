"""`llamakit models [show NAME | rm NAME]`: what the cache of fetched models holds."""

from __future__ import annotations

import json as json_format
from typing import TYPE_CHECKING, Annotated

import typer

from llamakit.cli.parsing.reader import InvalidArgument

if TYPE_CHECKING:
    from llamakit.tools.model_cache import CachedModel


def models(
    action: Annotated[str, typer.Argument(help="list, show or rm.")] = "list",
    name: Annotated[
        str | None, typer.Argument(help="The model: as `list` calls it, its file's name, or hf:ORG/REPO[:QUANT].")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List the models that were fetched, by the names that -m takes; show one's files and hashes; rm deletes one."""
    if action == "list" and name is None:
        list_models(json)
    elif action == "show" and name is not None:
        show(name, json)
    elif action == "rm" and name is not None:
        remove(name)
    else:
        raise InvalidArgument("usage: `llamakit models`, `llamakit models show NAME` or `llamakit models rm NAME`")


def list_models(json: bool) -> None:
    from llamakit.tools import model_cache
    from llamakit.tools.catalog import models_folder

    found = model_cache.list_models()
    if json:
        print(json_format.dumps([as_json(model) for model in found], indent=1))
        return
    for model in found:
        print(f"{size_text(model.size):>9}  {model.name}{state(model)}")
    total = f"{size_text(sum(model.size for model in found)):>9}  in" if found else "no models in"
    print(f"{total} {models_folder()}")


def show(name: str, json: bool) -> None:
    from llamakit.tools.model_cache import find_model

    model = find_model(name)
    if json:
        print(json_format.dumps(as_json(model), indent=1))
        return
    print(f"{model.name}: {size_text(model.size)}{state(model)}")
    for path, digest in zip(model.paths, model.sha256, strict=True):
        print(f"{path}\n  SHA-256 {digest or 'not told by its source'}")


def remove(name: str) -> None:
    from llamakit.tools.model_cache import find_model, remove_model

    model = find_model(name)
    remove_model(model)
    print(f"removed {model.name}: {size_text(model.size)}")


def state(model: CachedModel) -> str:
    return "" if model.is_whole else " (not whole: `llamakit pull` goes on)"


def as_json(model: CachedModel) -> dict[str, object]:
    return {
        "name": model.name,
        "size": model.size,
        "whole": model.is_whole,
        "files": [
            {"path": str(path), "sha256": digest} for path, digest in zip(model.paths, model.sha256, strict=True)
        ],
    }


def size_text(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.2f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"
