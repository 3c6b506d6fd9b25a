"""A JSON schema document: its parts by JSON pointer, and what its references mean. Nothing is ever fetched."""

from __future__ import annotations

import json
import math
import re
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

from llamakit.core.grammar.errors import GrammarError
from llamakit.errors import printable

LITERALS = {"enum", "const", "default", "examples", "example"}  # what is within is no schema
UNEVALUATED = {"unevaluatedItems", "unevaluatedProperties"}
DRAFT = re.compile(r"json-schema\.org/draft(?:-0|/)([0-9]+)")
NEWEST_DRAFT = 2020


class SchemaError(GrammarError):
    """A schema that cannot be used; names the place in it."""

    def __init__(self, pointer: str, message: str) -> None:
        self.pointer = pointer
        super().__init__(f"JSON schema, at {printable(pointer) or 'its root'}: {message}")


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
        """Find every object's place, and the names that references may use."""
        queue: list[tuple[str, Any, str]] = [("", self.root, "")]
        while queue:
            pointer, value, base = queue.pop()
            self.places[pointer] = value
            if isinstance(value, dict):
                own = value.get("$id", value.get("id") if self.draft <= 4 else None)
                if isinstance(own, str) and not (self.draft <= 7 and "$ref" in value):
                    uri, fragment = urldefrag(urljoin(base, own))
                    if fragment:
                        self.anchors[base, fragment] = pointer
                    else:
                        base = uri
                        self.resources[uri] = pointer
                for keyword in ("$anchor", "$dynamicAnchor"):
                    if isinstance(name := value.get(keyword), str):
                        self.anchors[base, name] = pointer
                        if keyword == "$dynamicAnchor":
                            self.dynamic.setdefault(name, []).append(pointer)
                self.has_unevaluated |= not value.keys().isdisjoint(UNEVALUATED)
                parts = value.items() if is_names(pointer) else ((k, v) for k, v in value.items() if k not in LITERALS)
                queue += [(join(pointer, k), v, base) for k, v in parts]
            elif isinstance(value, list):
                queue += [(join(pointer, i), v, base) for i, v in enumerate(value)]
            self.bases[pointer] = base

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


def is_names(pointer: str) -> bool:
    """Whether the members of the object at a pointer are schemas by name, whatever their names are."""
    return pointer.rpartition("/")[2] in {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}


def describe(value: Any) -> str:
    """What a JSON value is, for messages."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "an array"
    return f"the {'string' if isinstance(value, str) else 'number'} {value!r:.40}"


def check_number(pointer: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise SchemaError(pointer, f"a number is expected, not {describe(value)}")


def check_count(pointer: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0 or value != int(value):
        raise SchemaError(pointer, f"a number of things is expected, not {describe(value)}")
    return int(value)
