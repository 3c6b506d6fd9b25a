"""Families by the names that config.json gives. A file in `families/` is all it takes to add one."""

from __future__ import annotations

import difflib
import pkgutil
from functools import cache
from importlib import import_module

from llamakit.convert import families
from llamakit.convert.config import Config
from llamakit.convert.family import Family
from llamakit.errors import ModelError


@cache
def known() -> dict[str, type[Family]]:
    """Names of classes of transformers, and model types, to families."""
    for module in pkgutil.iter_modules(families.__path__):
        import_module(f"{families.__name__}.{module.name}")
    found: dict[str, type[Family]] = {}
    waiting = [Family]
    while waiting:
        family = waiting.pop()
        waiting += family.__subclasses__()
        for name in (*family.__dict__.get("hf_names", ()), *family.__dict__.get("model_types", ())):
            found[name] = family
    return found


def find_family(config: Config) -> type[Family]:
    """The family of a checkpoint. Raises ModelError naming the nearest known where there is none."""
    table = known()
    for name in (config.architecture, config.model_type):
        if name in table:
            return table[name].chosen(config)
    name = config.architecture or config.model_type
    if not name:
        raise ModelError(f"{config.path}: it names neither `architectures` nor a `model_type`; what model is it?")
    nearest = difflib.get_close_matches(name, table, n=3, cutoff=0.5)
    hint = f"; the nearest known are {', '.join(nearest)}" if nearest else ""
    raise ModelError(f"{config.path}: the architecture {name!r:.80} is not known{hint}")
