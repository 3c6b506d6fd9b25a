"""Where two model files begin to compute something else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from llamakit.errors import UsageError
from llamakit.tools.look.trace import LookParams, encode, look, open_to_look, pieces, place

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Report = Callable[[str, int, int], None]

PATTERNS = ("token_embd", "blk.*", "output_norm", "output")
THRESHOLD = 1e-2


@dataclass(frozen=True)
class Difference:
    """Of one value: the sum of squared differences over that of A's squares, and the token where it is largest."""

    name: str
    error: float  # NaN or infinite where a value is
    worst_token: int


@dataclass(frozen=True)
class Comparison:
    """Values of both files in the order they are computed; those that only one of them has."""

    pieces: list[str]
    differences: list[Difference]
    only_a: list[str]
    only_b: list[str]
    threshold: float

    @property
    def first(self) -> Difference | None:
        """The first one beyond the threshold."""
        return next((d for d in self.differences if not d.error <= self.threshold), None)


def diff(
    a: LookParams, b: str, prompt: str, *, patterns: Sequence[str] = PATTERNS, threshold: float = THRESHOLD,
    report: Report | None = None,
) -> Comparison:  # fmt: skip
    """Compute a prompt with both files, and compare value by value.

    Both get the tokens of A's vocabulary. Raises UsageError where the embeddings or the vocabularies differ in size.
    """
    tokens = encode(a, prompt)
    with open_to_look(a, len(tokens), report) as context, context.model as model:
        values, shown = look(context, tokens, patterns), pieces(model.vocab, tokens)
    with open_to_look(replace(a, model=b), len(tokens), report) as context, context.model as model:
        if context.n_vocab <= max(tokens):
            raise UsageError(f"{b}: has {context.n_vocab} tokens; the prompt has token {max(tokens)} of {a.model}")
        others = look(context, tokens, patterns)
    return compare(shown, values, others, threshold)


def compare(pieces: list[str], a: dict[str, Floats], b: dict[str, Floats], threshold: float) -> Comparison:
    both = [name for name in a if name in b]
    for name in both:
        if a[name].shape != b[name].shape:
            raise UsageError(f"{name}: {a[name].shape[-1]} numbers in one model, {b[name].shape[-1]} in the other")
    differences = [difference(name, a[name], b[name]) for name in sorted(both, key=place)]
    return Comparison(pieces, differences, [n for n in a if n not in b], [n for n in b if n not in a], threshold)


def difference(name: str, a: Floats, b: Floats) -> Difference:
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(all="ignore"):
        by_token = np.square(wide_a - wide_b).sum(axis=-1)
        size = np.square(wide_a).sum()
        error = float(by_token.sum() / size) if size else float(by_token.sum() > 0)
    return Difference(name, error, int(np.argmax(np.nan_to_num(by_token, nan=np.inf, posinf=np.inf))))
