"""Methods that take what a function takes, and show its parameters to editors, type checkers and `inspect`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from types import MethodType
from typing import Any, Concatenate, ParamSpec

P = ParamSpec("P")


class Later:
    """A function of a module that is imported when somebody wants the function."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self.function(*arguments, **options)

    @property
    def function(self) -> Callable[..., Any]:
        found: Callable[..., Any] = getattr(import_module(self.module), self.name)
        return found


class Method:
    """A function as a method, with the parameters of another, of which the second is not to be given."""

    def __init__(self, function: Callable[..., Any], shown: Callable[..., Any]) -> None:
        self._function, self._shown = function, shown
        self.__name__, self.__doc__, self.__module__ = function.__name__, function.__doc__, function.__module__

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        return self if owner is None else MethodType(self, owner)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._function(*arguments, **options)

    @property
    def __signature__(self) -> inspect.Signature:
        shown = self._shown.function if isinstance(self._shown, Later) else self._shown
        signature = inspect.signature(shown)
        owner, _, *others = signature.parameters.values()
        return signature.replace(parameters=[owner.replace(name="self"), *others])


def takes_behind_second(
    shown: Callable[Concatenate[Any, Any, P], Any],
) -> Callable[[Callable[..., Any]], Callable[Concatenate[Any, P], Any]]:
    """For a method that finds the function's second argument itself. The function may be a `Later`."""
    return lambda function: Method(function, shown)
