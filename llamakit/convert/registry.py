"""Families by the names that config.json gives. A file in `families/` is all it takes to add one.

Those of a user's own are known once their file was run (`--arch-file`, see `core/models/own_architectures.py`), or come
with an installed package, as entry points of the group FAMILIES: class of transformers = "module:subclass of Family".
"""

from __future__ import annotations

import difflib
import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib import import_module

from llamakit.convert import families
from llamakit.convert.config import Config
from llamakit.convert.family import Family
from llamakit.core.models.own_architectures import entry_point
from llamakit.errors import ModelError

FAMILIES = "llamakit.families"


def known() -> dict[str, type[Family]]:
    """Names of classes of transformers, and model types, to families; a user's own go before those here."""
    _import_all()
    found: dict[str, type[Family]] = {}
    for family in sorted(_below(Family), key=lambda family: not _is_ours(family)):
        for name in (*family.__dict__.get("hf_names", ()), *family.__dict__.get("model_types", ())):
            found[name] = family
    return found


@cache
def _import_all() -> None:
    for module in pkgutil.iter_modules(families.__path__):
        import_module(f"{families.__name__}.{module.name}")


def _below(family: type[Family]) -> Iterator[type[Family]]:
    for child in family.__subclasses__():
        yield child
        yield from _below(child)


def _is_ours(family: type[Family]) -> bool:
    return family.__module__.startswith(f"{families.__name__}.")


def find_family(config: Config) -> type[Family]:
    """The family of a checkpoint. Raises ModelError naming the nearest known where there is none."""
    table = known()
    for name in (config.architecture, config.model_type):
        if name in table:
            return table[name].chosen(config)
        packaged = entry_point(FAMILIES, name) if name else None
        if packaged is not None:
            if not (isinstance(packaged, type) and issubclass(packaged, Family)):
                raise ModelError(f"the entry point {name!r} of {FAMILIES} is no subclass of Family")
            return packaged.chosen(config)
    name = config.architecture or config.model_type
    if not name:
        raise ModelError(f"{config.path}: it names neither `architectures` nor a `model_type`; what model is it?")
    nearest = difflib.get_close_matches(name, table, n=3, cutoff=0.5)
    hint = f"; the nearest known are {', '.join(nearest)}" if nearest else ""
    raise ModelError(f"{config.path}: the architecture {name!r:.80} is not known{hint}")
