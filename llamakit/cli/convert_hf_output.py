"""What `llamakit convert-hf` shows: the mapping of tensors, and those that have no place in it."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llamakit.convert.plan import Plan


def show(plan: Plan, output: Path, as_json: bool) -> None:
    """The mapping of all tensors, and what has no place in it."""
    if as_json:
        tensors = [
            {
                "name": w.name, "shape": list(w.shape), "type": w.type.name,
                "from": list(w.weight.sources), "steps": list(w.weight.steps),
            }
            for w in plan.weights
        ]  # fmt: skip
        found = {"output": str(output), "type": plan.output_type.name, "n_bytes": plan.n_bytes, "tensors": tensors}
        found |= {"left_out": list(plan.left_out), "unknown": dict(unknown(plan)), "problems": list(plan.problems)}
        print(json.dumps(found, indent=1))
        return
    for key, value in plan.keys.items():
        is_long = not isinstance(value, (int, float, str)) and len(value) > 8
        print(f"{key} = {f'{len(value)} items' if is_long else str(value)[:100]!r}")
    for line in lines(plan):
        print(line)
    for name in plan.left_out:
        print(f"left out: {name}")
    for name, nearest in unknown(plan):
        print(f"no place: {name}{nearest}")
    for problem in plan.problems:
        print(f"cannot be loaded: {problem}")
    print(f"{output}: {plan.output_type.name}, {len(plan.weights)} tensors, {plan.n_bytes / 1e6:.1f} MB")


def lines(plan: Plan) -> list[str]:
    """A line a tensor: its name, shape and type, what it is made of and how."""
    width = max((len(planned.name) for planned in plan.weights), default=0)
    found = []
    for planned in plan.weights:
        sources = planned.weight.sources
        origin = (
            sources[0]
            if len(sources) == 1
            else f"{sources[0]} and {len(sources) - 1} more"
            if sources
            else "the config"
        )
        steps = f" ({', '.join(planned.weight.steps)})" if planned.weight.steps else ""
        shape = ", ".join(map(str, planned.shape))
        found.append(f"{planned.name:<{width}} {planned.type.name:<5} [{shape}] <- {origin}{steps}")
    return found


def unknown(plan: Plan) -> list[tuple[str, str]]:
    """Tensors without a place, each with the nearest of those that have one."""
    known = [source for planned in plan.weights for source in planned.weight.sources[:1]]
    found = []
    for name in plan.unknown:
        nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        found.append((name, f"; the nearest known is {nearest[0]}" if nearest else ""))
    return found
