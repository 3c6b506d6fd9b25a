"""One field of a request's body: its names, its type, its limits; and how an OpenAPI document describes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llamakit.core.sampling.params import LARGEST
from llamakit.errors import UsageError

Body = Mapping[str, Any]  # a JSON object
Schema = Mapping[str, Any]  # a JSON schema

INT32_MAX = 2**31 - 1
WHOLE_FLOATS = 2**53  # up to here a float holds every whole number
KINDS = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", int: "a number", float: "a number"}


class FieldError(UsageError):
    """A field that makes no sense. `param` names it, `reason` is what is wrong with it."""

    def __init__(self, param: str, reason: str) -> None:
        super().__init__(f"Field '{param}': {reason}")
        self.param, self.reason = param, reason


def kind_of(value: object) -> str:
    return "null" if value is None else KINDS.get(type(value), type(value).__name__)


def wrong_type(param: str, expected: str, value: object) -> FieldError:
    return FieldError(param, f"must be {expected}, but is {kind_of(value)}")


@dataclass(frozen=True, slots=True)
class Field:
    """Null is as if a field were not there; of its names, the first that has a value counts."""

    name: str
    about: str
    aliases: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)

    def find(self, body: Body) -> tuple[str, Any] | None:
        """The name that the body uses, and the value."""
        return next(((name, body[name]) for name in self.names if body.get(name) is not None), None)

    @property
    def schema(self) -> dict[str, Any]:
        """What its values may be, as JSON schema."""
        return {"description": self.about}


@dataclass(frozen=True, slots=True)
class Flag(Field):
    def read(self, body: Body, is_strict: bool = False) -> bool | None:
        if (found := self.find(body)) is None:
            return None
        name, value = found
        if not isinstance(value, bool):
            raise wrong_type(name, "true or false", value)
        return value

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": ["boolean", "null"], "description": self.about}


@dataclass(frozen=True, slots=True)
class Whole(Field):
    """A whole number. A value beyond a hard limit is refused, one beyond a soft limit becomes the limit."""

    least: int = -INT32_MAX - 1
    most: int = INT32_MAX
    is_hard: bool = True

    def read(self, body: Body, is_strict: bool = False) -> int | None:
        """`is_strict` makes all limits hard."""
        if (found := self.find(body)) is None:
            return None
        name, value = found
        if isinstance(value, float) and value.is_integer() and abs(value) <= WHOLE_FLOATS:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise wrong_type(name, "a whole number", value)
        if not self.least <= value <= self.most and (self.is_hard or is_strict):
            raise FieldError(
                name, f"Value must be between {self.least} <= value <= {self.most}, but got {str(value)[:40]}"
            )
        return min(max(value, self.least), self.most)

    @property
    def schema(self) -> dict[str, Any]:
        limits = {"minimum": self.least, "maximum": self.most} if self.is_hard else {}
        return {"type": ["integer", "null"], **limits, "description": self.about}


@dataclass(frozen=True, slots=True)
class Number(Field):
    """A finite number; its limits are as those of a Whole."""

    least: float = -LARGEST
    most: float = LARGEST
    is_hard: bool = True

    def read(self, body: Body, is_strict: bool = False) -> float | None:
        """`is_strict` makes all limits hard."""
        if (found := self.find(body)) is None:
            return None
        name, value = found
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise wrong_type(name, "a number", value)
        if value != value:
            raise FieldError(name, "must be a number, but is NaN")
        if not self.least <= value <= self.most and (self.is_hard or is_strict):
            limits = f"{shown(self.least)} <= value <= {shown(self.most)}"
            raise FieldError(name, f"Value must be between {limits}, but got {shown(value)}")
        return float(min(max(value, self.least), self.most))

    @property
    def schema(self) -> dict[str, Any]:
        limits = {"minimum": self.least, "maximum": self.most} if self.is_hard and self.most < LARGEST else {}
        return {"type": ["number", "null"], **limits, "description": self.about}


@dataclass(frozen=True, slots=True)
class Text(Field):
    def read(self, body: Body) -> str | None:
        if (found := self.find(body)) is None:
            return None
        name, value = found
        if not isinstance(value, str):
            raise wrong_type(name, "a text", value)
        return value

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": ["string", "null"], "description": self.about}


@dataclass(frozen=True, slots=True)
class Texts(Field):
    """A list of texts; `is_single` lets one text stand for a list of it."""

    most: int = 4096
    is_single: bool = False

    def read(self, body: Body) -> tuple[str, ...] | None:
        if (found := self.find(body)) is None:
            return None
        name, value = found
        if isinstance(value, str) and self.is_single:
            return (value,)
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise FieldError(name, f"must be a {'text or a ' if self.is_single else ''}list of texts")
        if len(value) > self.most:
            raise FieldError(name, f"has {len(value)} texts, at most {self.most} are possible")
        return tuple(value)

    @property
    def schema(self) -> dict[str, Any]:
        texts = {"type": "array", "items": {"type": "string"}, "maxItems": self.most}
        single = [{"type": "string"}] if self.is_single else []
        return {"anyOf": [*single, texts, {"type": "null"}], "description": self.about}


@dataclass(frozen=True, slots=True)
class Anything(Field):
    """A field with a reader of its own. `items` is the schema of what its list holds."""

    types: tuple[str, ...] = ()
    items: Schema | None = None

    @property
    def schema(self) -> dict[str, Any]:
        types = {"type": [*self.types, "null"]} if self.types else {}
        return {**types, **({} if self.items is None else {"items": self.items}), "description": self.about}


def shown(value: float) -> str:
    """A number as C's to_string writes it, unless it is very large."""
    return f"{value:f}" if abs(value) < 1e12 else f"{value:g}" if abs(value) <= 1e308 else "more than 1e308"


def object_schema(fields: Iterable[Field], *, required: Sequence[str] = (), **others: Schema) -> dict[str, Any]:
    """The JSON schema of a body that has these fields, and `others`, whose schemas are given."""
    properties: dict[str, Schema] = dict(others)
    for field in fields:
        properties[field.name] = field.schema
        for alias in field.aliases:
            properties[alias] = {**field.schema, "description": f"The same as {field.name}."}
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


def names_of(fields: Iterable[Field]) -> frozenset[str]:
    """All names that these fields go by."""
    return frozenset(name for field in fields for name in field.names)
