"""Architectures by the name that GGUF files give them: one file of this folder each, or one from outside."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pathlib import Path

from llamakit.core.gguf.metadata import Metadata
from llamakit.core.models.base import Decoder
from llamakit.core.models.own_architectures import added, of_packages, plain_name
from llamakit.errors import ModelError

PARTS = {
    "__init__", "base", "encoder", "expert_transformer", "hparams", "hyper_transformer", "own_architectures",
    "registry", "rope_settings", "sliding_window", "tensors", "transformer",
}  # fmt: skip


@cache
def names() -> tuple[str, ...]:
    """All architectures of this folder, sorted; a file is named after its architecture, "-" as "_"."""
    stems = {p.stem for p in Path(__file__).parent.glob("*.py")} - PARTS
    return tuple(sorted(stems))


def lookup(arch: str) -> type[Decoder] | None:
    """The class of an architecture: of a file that was added, of this folder, of an installed package; or None."""
    own = added(arch)
    if own is not None:
        return own
    stem = plain_name(arch)
    if stem not in names():
        return of_packages(arch)
    module = import_module(f"{__package__}.{stem}")
    return next(
        c
        for c in vars(module).values()
        if isinstance(c, type) and issubclass(c, Decoder) and c.__module__ == module.__name__
    )


def find(meta: Metadata) -> type[Decoder]:
    """The class of a model's architecture; ModelError names those that are called alike."""
    found = lookup(meta.arch)
    if found is not None:
        return found
    like = get_close_matches(plain_name(meta.arch), names(), n=5)
    hint = f"; alike are {', '.join(like)}" if like else ""
    raise ModelError(
        f"{meta.path}: unknown architecture {meta.arch!r}, none of the {len(names())} known{hint}; "
        "--arch-file names a Python file that has it"
    )
