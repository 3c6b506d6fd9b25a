"""Few measurements, a damage for every candidate.

The divergence is quadratic in a small change of the logits, so a tensor's damage grows with the energy of its rounding
error. One measurement fixes the factor; between two, damage follows the power law through both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from llamakit.core.gguf.types import GGMLType
from llamakit.tools.measured.candidates import Candidate, Choices

FLOOR = 1e-7  # nats: what cannot be told from nothing
STEEPEST, FLATTEST = 2.0, 0.5  # exponents between two measurements that are believed

Measured = Mapping[GGMLType, float]  # the damage of one tensor's types, as far as measured


def damage_of(choices: Choices, candidate: Candidate, measured: Measured) -> float:
    """Measured, or inferred from what was measured of the same tensor; nats a token."""
    if candidate.error == 0.0:
        return 0.0
    if candidate.type in measured:
        return max(FLOOR, measured[candidate.type])
    known = sorted(
        (math.log(c.error), math.log(max(FLOOR, measured[c.type])))
        for c in choices.candidates
        if c.type in measured and c.error > 0
    )
    return math.exp(through(known, math.log(candidate.error)))


def through(points: list[tuple[float, float]], x: float) -> float:
    """The line through the two points around x, of a believable slope; slope 1 beyond the last."""
    below = [p for p in points if p[0] <= x]
    above = [p for p in points if p[0] > x]
    if not below or not above:
        x0, y0 = below[-1] if below else above[0]
        return y0 + (x - x0)
    (x0, y0), (x1, y1) = below[-1], above[0]
    slope = min(STEEPEST, max(FLATTEST, (y1 - y0) / max(x1 - x0, 1e-9)))
    share = (x - x0) / max(x1 - x0, 1e-9)
    return (1 - share) * (y0 + slope * (x - x0)) + share * (y1 - slope * (x1 - x))


def reference_type(choices: Choices, error: float, measured: Measured) -> GGMLType | None:
    """The type to measure first: the one whose rounding error is nearest to `error`.

    None where nothing need be measured: no choice, or a type of about that error is known.
    """
    lossy = [c for c in choices.candidates if c.error > 0]
    if not lossy:
        return None
    nearest = min(lossy, key=lambda c: abs(math.log(c.error / error)))
    return None if nearest.type in measured else nearest.type
