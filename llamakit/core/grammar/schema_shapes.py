"""What a schema allows, as a choice of simple shapes: each of one JSON type, with everything said about it together.

Shapes can be met (both must hold) and negated, so allOf, oneOf, not and if become choices of shapes again. What is
within arrays and objects stays an expression, looked at when its turn comes: schemas may contain themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from llamakit.core.grammar.dfa import Dfa
from llamakit.core.grammar.fuel import spend
from llamakit.core.grammar.schema_numbers import Numbers
from llamakit.core.grammar.schema_strings import Strings

ALL_ITEMS = 1 << 60


# expressions
@dataclass(frozen=True, slots=True)
class At:
    """The schema at a pointer."""

    pointer: str


@dataclass(frozen=True, slots=True)
class Literal:
    """Exactly this JSON value, given as text."""

    text: str


@dataclass(frozen=True, slots=True)
class AllOf:
    parts: frozenset[Expr]


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Expr


Expr = At | Literal | AllOf | AnyOf | Not
TRUE: Expr = AllOf(frozenset())
FALSE: Expr = AnyOf(())


def all_of(*exprs: Expr) -> Expr:
    parts: set[Expr] = set()
    for expr in exprs:
        if expr == FALSE:
            return FALSE
        parts |= expr.parts if isinstance(expr, AllOf) else {expr}
    return next(iter(parts)) if len(parts) == 1 else AllOf(frozenset(parts))


def negated(expr: Expr) -> Expr:
    if expr in (TRUE, FALSE):
        return FALSE if expr == TRUE else TRUE
    return expr.part if isinstance(expr, Not) else Not(expr)


# shapes
@dataclass(frozen=True, slots=True)
class Null:
    def meet(self, other: Null) -> Null:
        return self

    def negation(self) -> list[Null]:
        return []


@dataclass(frozen=True, slots=True)
class Bools:
    values: frozenset[bool] = frozenset([False, True])

    def meet(self, other: Bools) -> Bools | None:
        return Bools(self.values & other.values) if self.values & other.values else None

    def negation(self) -> list[Bools]:
        others = frozenset([False, True]) - self.values
        return [Bools(others)] if others else []


@dataclass(frozen=True, slots=True)
class Contains:
    """Among the items from `skip` on, `least` to `most` are as `item` says."""

    item: Expr
    least: int
    most: int | None
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Arrays:
    """The first items are as `prefix` says, others as `rest`; `least` to `most` of them.

    unique_at: where in the schema it is said that no two items are equal. n_seen: how many items some keyword has
    looked at, for unevaluatedItems.
    """

    prefix: tuple[Expr, ...] = ()
    rest: Expr = TRUE
    least: int = 0
    most: int | None = None
    contains: tuple[Contains, ...] = ()
    unique_at: str | None = None
    n_seen: int = 0

    def item(self, i: int) -> Expr:
        return self.prefix[i] if i < len(self.prefix) else self.rest

    def meet(self, other: Arrays) -> Arrays | None:
        n = max(len(self.prefix), len(other.prefix))
        prefix = tuple(all_of(self.item(i), other.item(i)) for i in range(n))
        mosts = [m for m in (self.most, other.most) if m is not None]
        return Arrays(
            prefix,
            all_of(self.rest, other.rest),
            max(self.least, other.least),
            min(mosts) if mosts else None,
            tuple(dict.fromkeys(self.contains + other.contains)),
            self.unique_at or other.unique_at,
            max(self.n_seen, other.n_seen),
        ).settled()

    def settled(self) -> Arrays | None:
        """With no more places than there can be items; None if that leaves no array."""
        n = next((i for i, item in enumerate((*self.prefix, self.rest)) if item == FALSE), None)
        most = self.most if n is None else n if self.most is None else min(n, self.most)
        least = max([self.least, *(c.skip + c.least for c in self.contains if c.least)])
        if most is not None and most < least:
            return None
        return replace(self, prefix=self.prefix[:most], least=least, most=most)

    def negation(self) -> list[Arrays] | None:
        """All other arrays, in parts; None if they cannot be said."""
        if self.unique_at is not None:
            return None
        out = [Arrays(most=self.least - 1)] if self.least else []
        if self.most is not None:
            out.append(Arrays(least=self.most + 1))
        for i, item in enumerate(self.prefix):
            if item != TRUE:
                out.append(Arrays((TRUE,) * i + (negated(item),), least=i + 1))
        if self.rest not in (TRUE, FALSE) and (self.most is None or self.most > len(self.prefix)):
            out.append(Arrays(contains=(Contains(negated(self.rest), 1, None, len(self.prefix)),)))
        for c in self.contains:
            if c.least:
                out.append(Arrays(contains=(Contains(c.item, 0, c.least - 1, c.skip),)))
            if c.most is not None:
                out.append(Arrays(contains=(Contains(c.item, c.most + 1, None, c.skip),)))
        return out


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that are none of `without`, and that all of `inside` and none of `outside` accept."""

    without: frozenset[str] = frozenset()
    inside: tuple[Dfa, ...] = ()
    outside: tuple[Dfa, ...] = ()

    def has(self, name: str) -> bool:
        if name in self.without or any(dfa.accepts(name) for dfa in self.outside):
            return False
        return all(dfa.accepts(name) for dfa in self.inside)


@dataclass(frozen=True, slots=True)
class Seen:
    """The keys that some keyword has looked at, for unevaluatedProperties."""

    names: frozenset[str] = frozenset()
    patterns: tuple[Dfa, ...] = ()
    is_all: bool = False

    def union(self, other: Seen) -> Seen:
        return Seen(self.names | other.names, self.patterns + other.patterns, self.is_all or other.is_all)


@dataclass(frozen=True, slots=True)
class Objects:
    """Values of the named properties, if they are there, are as `properties` says; those of keys as `rules` says.

    Of each of `some`, at least one property has such a key and value. `least` to `most` properties.
    """

    properties: tuple[tuple[str, Expr], ...] = ()
    required: tuple[str, ...] = ()
    rules: tuple[tuple[Keys, Expr], ...] = ()
    some: tuple[tuple[Keys, Expr], ...] = ()
    least: int = 0
    most: int | None = None
    seen: Seen = Seen()

    def values(self, names: Iterable[str]) -> dict[str, Expr]:
        """What the values of these properties must be."""
        own = dict(self.properties)
        return {n: all_of(own.get(n, TRUE), *(e for keys, e in self.rules if keys.has(n))) for n in names}

    def meet(self, other: Objects) -> Objects | None:
        properties = dict(self.properties)
        for name, expr in other.properties:
            properties[name] = all_of(properties.get(name, TRUE), expr)
        mosts = [m for m in (self.most, other.most) if m is not None]
        met = Objects(
            tuple(properties.items()),
            tuple(dict.fromkeys(self.required + other.required)),
            tuple(dict.fromkeys(self.rules + other.rules)),
            tuple(dict.fromkeys(self.some + other.some)),
            max(self.least, other.least),
            min(mosts) if mosts else None,
            self.seen.union(other.seen),
        )
        return None if met.is_empty else met

    @property
    def is_empty(self) -> bool:
        if self.most is not None and max(self.least, len(self.required)) > self.most:
            return True
        return FALSE in self.values(self.required).values()

    def negation(self) -> list[Objects]:
        """All other objects, in parts."""
        out = [Objects(most=self.least - 1)] if self.least else []
        if self.most is not None:
            out.append(Objects(least=self.most + 1))
        out += [Objects(properties=((name, FALSE),)) for name in self.required]
        for name, expr in self.properties:
            if expr != TRUE:
                out.append(Objects(((name, negated(expr)),), (name,)))
        out += [Objects(some=((keys, negated(expr)),)) for keys, expr in self.rules if expr != TRUE]
        return out + [Objects(rules=((keys, negated(expr)),)) for keys, expr in self.some]


Shape = Null | Bools | Numbers | Strings | Arrays | Objects
ANYTHING: tuple[Shape, ...] = (Null(), Bools(), Numbers(), Strings(), Arrays(), Objects())


def cost(shape: Shape) -> int:
    """Steps of looking at all of a shape."""
    if isinstance(shape, Objects):
        return len(shape.properties) + len(shape.required) * len(shape.rules) + len(shape.some)
    return len(shape.prefix) if isinstance(shape, Arrays) else 0


def meet(a: Shape, b: Shape) -> Shape | None:
    """What is both; None if nothing is."""
    spend(1 + cost(a) + cost(b))
    return a.meet(b) if type(a) is type(b) else None  # type: ignore[arg-type]


def meet_all(a: Iterable[Shape], b: Iterable[Shape]) -> list[Shape]:
    """A choice of shapes that are in both choices."""
    b = list(b)
    return list(dict.fromkeys(m for x in a for y in b if (m := meet(x, y)) is not None))
