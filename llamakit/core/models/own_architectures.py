"""Architectures from outside this package: a Python file that the user names, or a package that is installed.

`--arch-file my_arch.py` (`add_file`) runs the file, and knows its classes from then on; they go before those that are
called the same here. A package tells its classes as entry points, by the names that models have for them, and is
imported when a model needs it. So code runs only where the user has named it or installed it: never because of what a
model file says.
"""

from __future__ import annotations

import sys
import traceback
from importlib.util import module_from_spec, spec_from_file_location
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import Any

from llamakit.core.models.base import Decoder
from llamakit.errors import ModelError

ARCHITECTURES = "llamakit.architectures"  # group of entry points: general.architecture = "module:Decoder's subclass"
_added: dict[str, type[Decoder]] = {}


def add_file(path: str | PathLike[str]) -> None:
    """Run a Python file; its subclasses of Decoder are architectures from now on.

    Its subclasses of `convert.family.Family`, if it has any, are known to the converter by being there. Raises
    ModelError for a file that cannot be read or run, or has no class with an `arch`.
    """
    module = _run(Path(path))
    own = [c for c in vars(module).values() if isinstance(c, type) and c.__module__ == module.__name__]
    own = [c for c in own if isinstance(getattr(c, "arch", None), str)]
    if not own:
        raise ModelError(f"{path}: no class with an `arch`: neither an architecture nor a family of checkpoints")
    _added.update({plain_name(c.arch): c for c in own if issubclass(c, Decoder)})


def added(arch: str) -> type[Decoder] | None:
    """The class of a file that was added."""
    return _added.get(plain_name(arch))


def of_packages(arch: str) -> type[Decoder] | None:
    """The class that an installed package has for an architecture. Raises ModelError where it cannot be had."""
    found = entry_point(ARCHITECTURES, arch)
    if found is not None and not (isinstance(found, type) and issubclass(found, Decoder)):
        raise ModelError(f"the entry point {arch!r} of {ARCHITECTURES} is no subclass of Decoder")
    return found


def entry_point(group: str, name: str) -> Any:
    """What an installed package offers under a name; None where none does. Raises ModelError if it fails."""
    from importlib.metadata import entry_points

    for entry in entry_points(group=group, name=name):
        try:
            return entry.load()
        except Exception as error:  # the package's own
            raise ModelError(f"{entry.value}, the entry point {name!r} of {group}, fails: {_told(error)}") from error
    return None


def plain_name(arch: str) -> str:
    """As files of this folder are called: "command-r" -> "command_r"."""
    return arch.replace("-", "_")


def _run(path: Path) -> ModuleType:
    if not path.is_file():
        raise ModelError(f"{path}: no such file; --arch-file names a Python file with an architecture")
    name = f"llamakit_arch_{path.stem}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ModelError(f"{path}: its name does not end in .py")
    module = module_from_spec(spec)
    sys.modules[name] = module  # as dataclasses and pickles want it
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the user's own
        del sys.modules[name]
        raise ModelError(f"{path}: {_told(error, path)}") from error
    return module


def _told(error: Exception, path: Path | None = None) -> str:
    """An error of foreign code on one line, with the last line of the file that it went through."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if path and frame.filename == str(path)]
    where = f"line {frames[-1].lineno}: " if frames else ""
    return f"{where}{type(error).__name__}: {error}"
