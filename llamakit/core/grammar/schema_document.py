"""A JSON schema document: its parts by JSON pointer, and what its references mean. Nothing is ever fetched."""

from __future__ import annotations

import json
import math
import re
from enum import Enum
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

from llamakit.core.grammar.errors import GrammarError
from llamakit.errors import printable

WITH_SCHEMAS = {
    "additionalItems", "additionalProperties", "allOf", "anyOf", "contains", "contentSchema", "else", "if", "items",
    "not", "oneOf", "prefixItems", "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties",
}  # fmt: skip
WITH_NAMES = {"$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"}
UNEVALUATED = {"unevaluatedItems", "unevaluatedProperties"}
DRAFT = re.compile(r"json-schema\.org/draft(?:-0|/)([0-9]+)")
NEWEST_DRAFT = 2020
INFINITE = (math.inf, -math.inf)
TOO_LARGE = 10**400
SHOWN = 240  # characters of a pointer, in messages


class Role(Enum):
    """What a JSON value in a schema document is: a schema or a list of them, schemas by name, or anything else."""

    SCHEMA, NAMES, DATA = range(3)


class SchemaError(GrammarError):
    """A schema that cannot be used; names the place in it."""

    def __init__(self, pointer: str, message: str) -> None:
        self.pointer = pointer
        shown = pointer if len(pointer) <= SHOWN else f"{pointer[: SHOWN // 2]}...{pointer[-SHOWN // 2 :]}"
        super().__init__(f"JSON schema, at {printable(shown) or 'its root'}: {message}")


def load(text: str) -> Any:
    """A schema's text as Python values."""
    try:
        return json.loads(text, parse_constant=refuse_constant, object_pairs_hook=no_duplicates)
    except ValueError as error:
        raise SchemaError("", f"not valid JSON: {error}") from None
    except RecursionError:
        raise SchemaError("", "nested too deeply") from None


def refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} is there twice in one object")
    return found


def join(pointer: str, *parts: str | int) -> str:
    """A pointer to something within."""
    return pointer + "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


class Document:
    """A schema whose places are found by pointer, as `` (the root) or `/properties/a`."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self.places: dict[str, Any] = {}
        self.bases: dict[str, str] = {}  # the URI that relative references at a pointer start from
        self.resources: dict[str, str] = {"": ""}  # URI to pointer
        self.anchors: dict[tuple[str, str], str] = {}
        self.dynamic: dict[str, list[str]] = {}
        self.has_unevaluated = False
        self.draft = self.find_draft()
        self.index()

    def find_draft(self) -> int:
        """The year of the draft, or its number up to 7."""
        uri = self.root.get("$schema", "") if isinstance(self.root, dict) else ""
        found = DRAFT.search(uri) if isinstance(uri, str) else None
        return int(found[1]) if found else NEWEST_DRAFT

    def index(self) -> None:
        """Find every place, and the names that references may use: only schemas can have names."""
        queue: list[tuple[str, Any, str, Role]] = [("", self.root, "", Role.SCHEMA)]
        while queue:
            pointer, value, base, role = queue.pop()
            self.places[pointer] = value
            if role is Role.SCHEMA and isinstance(value, dict):
                base = self.enter(pointer, value, base)
                self.has_unevaluated |= not value.keys().isdisjoint(UNEVALUATED)
            self.bases[pointer] = base
            if isinstance(value, dict):
                queue += [(join(pointer, k), v, base, role_within(role, k)) for k, v in value.items()]
            elif isinstance(value, list):
                inner = Role.SCHEMA if role is not Role.DATA else Role.DATA
                queue += [(join(pointer, i), v, base, inner) for i, v in enumerate(value)]

    def enter(self, pointer: str, schema: dict[str, Any], base: str) -> str:
        """Note the names of a schema; returns the URI that references within start from."""
        own = schema.get("$id", schema.get("id") if self.draft <= 4 else None)
        if isinstance(own, str) and not (self.draft <= 7 and "$ref" in schema):
            uri, fragment = urldefrag(urljoin(base, own))
            if fragment:
                self.anchors[base, fragment] = pointer
            else:
                base = uri
                self.resources[uri] = pointer
        for keyword in ("$anchor", "$dynamicAnchor"):
            if isinstance(name := schema.get(keyword), str):
                self.anchors[base, name] = pointer
                if keyword == "$dynamicAnchor":
                    self.dynamic.setdefault(name, []).append(pointer)
        return base

    def at(self, pointer: str) -> Any:
        """The schema at a pointer: an object or a boolean."""
        schema = self.places[pointer]
        if not isinstance(schema, (dict, bool)):
            raise SchemaError(pointer, f"a schema is an object or a boolean, not {describe(schema)}")
        return schema

    def resolve(self, pointer: str, ref: Any) -> str:
        """The pointer that a reference, which stands at `pointer`, leads to."""
        if not isinstance(ref, str):
            raise SchemaError(pointer, f"a reference is a string, not {describe(ref)}")
        base = self.bases[pointer.rpartition("/")[0]]
        uri, fragment = urldefrag(urljoin(base, ref) if ref else base)
        if ref.startswith("#"):
            uri = base
        if uri not in self.resources:
            raise SchemaError(pointer, f"{ref!r} is not in this document, and nothing is fetched")
        fragment = unquote(fragment)
        if fragment and not fragment.startswith("/"):
            found = self.anchors.get((uri, fragment))
        else:
            found = self.resources[uri] + fragment
        if found is None or found not in self.places:
            raise SchemaError(pointer, f"{ref!r} leads nowhere")
        return found


def role_within(role: Role, key: str) -> Role:
    """What stands under a key."""
    if role is Role.SCHEMA:
        return Role.SCHEMA if key in WITH_SCHEMAS else Role.NAMES if key in WITH_NAMES else Role.DATA
    return Role.SCHEMA if role is Role.NAMES else Role.DATA


def describe(value: Any) -> str:
    """What a JSON value is, for messages."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "an array"
    return f"the {'string' if isinstance(value, str) else 'number'} {value!r:.40}"


def check_number(pointer: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or (value != value or value in INFINITE):
        raise SchemaError(pointer, f"a number is expected, not {describe(value)}")
    if abs(value) >= TOO_LARGE:
        raise SchemaError(pointer, "numbers beyond 1e400 are not supported")


def check_count(pointer: str, value: Any) -> int:
    check_number(pointer, value)
    if value < 0 or value != int(value):
        raise SchemaError(pointer, f"a number of things is expected, not {describe(value)}")
    return int(value)
