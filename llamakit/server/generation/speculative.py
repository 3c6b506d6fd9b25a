"""How tokens are guessed, as a request may say it: less than the server does, as it cannot guess in other ways."""

from __future__ import annotations

from dataclasses import dataclass

from llamakit.server.generation.field import Body, FieldError, Number, Text, Whole

NONE = "none"
# llama.cpp's names of the ways
WAYS = {
    "draft-simple", "draft-eagle3", "draft-mtp", "draft-dflash", "draft-dspark", "ngram-simple", "ngram-map-k",
    "ngram-map-k4v", "ngram-mod", "ngram-cache",
}  # fmt: skip

N_MAX = Whole("speculative.n_max", "Most tokens to guess at once; 0: none.", least=0)
N_MIN = Whole("speculative.n_min", "Guesses of fewer tokens are left out.", least=0)
P_MIN = Number("speculative.p_min", "Without effect: as many tokens are guessed as pay.", least=0, most=1)
TYPES = Text("speculative.types", "none, or the ways in which the server guesses, as /props tells them.",
             ("speculative.type",))  # fmt: skip
SPECULATIVE_FIELDS = (N_MAX, N_MIN, P_MIN, TYPES)


@dataclass(frozen=True, slots=True)
class Speculative:
    """`types` is the way, n_max None for as many as pay."""

    types: str = NONE
    n_max: int | None = None
    n_min: int = 0

    @property
    def is_on(self) -> bool:
        return self.types != NONE


def read_speculative(body: Body, types: str) -> Speculative:
    """What holds for a request to a server that guesses by `types`. Raises FieldError for what it cannot."""
    n_max, n_min, wanted = N_MAX.read(body), N_MIN.read(body), TYPES.read(body)
    P_MIN.read(body)
    if n_max is not None and n_min is not None and n_min > n_max > 0:
        raise FieldError(N_MIN.name, f"must be at most speculative.n_max, {n_max}, but got {n_min}")
    if wanted is not None:
        ways = [way.strip() for way in wanted.split(",")]
        if unknown := [way for way in ways if way not in (WAYS | {NONE})]:
            raise FieldError(TYPES.name, f"there is no way to guess {unknown[0][:40]!r}")
        if ways != [NONE] and types not in ways:
            raise FieldError(TYPES.name, f"the server cannot guess by {wanted[:80]!r}: it does by {types!r}")
        types = NONE if ways == [NONE] else types
    return Speculative(NONE if n_max == 0 else types, n_max, n_min or 0)
