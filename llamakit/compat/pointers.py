"""Numbers that stand for objects, where llama.cpp has pointers."""

from __future__ import annotations

from typing import Any, TypeVar
from weakref import WeakValueDictionary

T = TypeVar("T")

_known: WeakValueDictionary[int, Any] = WeakValueDictionary()
_kept: dict[int, Any] = {}  # what nobody else holds, until it is freed


def pointer_to(thing: object) -> int:
    """Good as long as somebody has the thing."""
    _known[id(thing)] = thing
    return id(thing)


def keep(thing: object) -> int:
    """A pointer that is good until `free`."""
    _kept[id(thing)] = thing
    return pointer_to(thing)


def at(pointer: Any, kind: type[T]) -> T:
    """What a pointer points to; a thing stands for itself. Raises ValueError for what points to nothing of the kind."""
    thing = _known.get(pointer) if isinstance(pointer, int) else pointer
    if not isinstance(thing, kind):
        raise ValueError(f"{pointer!r} points to no {kind.__name__}; was it freed?")
    return thing


def free(pointer: Any) -> None:
    """Let go of what was kept; nothing happens where nothing was."""
    _kept.pop(pointer, None)
