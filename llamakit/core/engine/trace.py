"""Look into a model while it computes: record values by name, change them, see what attention attends to.

Works on the compiled program, of quantized files too. While a trace is on, the values it names are not fused with their
neighbours; when it is off, nothing is left of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from llamakit.core.engine.hooks import Hooks, Moment
from llamakit.core.graph.names import LAYER, matching, name_nodes
from llamakit.core.graph.ops import Node, Weight
from llamakit.core.graph.ops.attention import Attention
from llamakit.core.graph.reference.attention import attention_shares
from llamakit.core.quants import dequantize
from llamakit.errors import UsageError

if TYPE_CHECKING:
    from llamakit.core.engine.context import Context

Floats = npt.NDArray[np.float32]
Hook = Callable[[Moment], Floats | None]  # changes `moment.rows` in place, or gives what to put there

ATTENTION = "attn_weights"  # blk.N.attn_weights: made of q and k


@dataclass
class Recorded:
    """Rows of one value, in the order they were computed."""

    rows: list[Floats] = field(default_factory=list)
    positions: list[npt.NDArray[np.int32]] = field(default_factory=list)
    sequences: list[npt.NDArray[np.int64]] = field(default_factory=list)


class Trace:
    """Records the values of a context that some patterns name (see `graph/names.py`), from `with` to its end.

        with Trace(context, "blk.*.out", hooks={"blk.3.attn_heads": silence_head_2}) as trace:
            context.prefill(tokens)
        trace["blk.3.out"]      # float32 (n_tokens, n_embd)

    A hook is called with a Moment whenever there are rows of its value; what is recorded is what it leaves. Values of
    outputs (`output_norm`, `output`) have rows for those tokens only whose logits were asked for. What is in the cache
    is neither recorded nor changed, and what hooks have changed stays in it: truncate what should be computed anew.
    Traces cannot be nested: a context has one at a time, else UsageError is raised; so it is for a pattern that names
    nothing, with the names that are near.
    """

    def __init__(self, context: Context, *patterns: str, hooks: Mapping[str, Hook] | None = None) -> None:
        self.context = context
        self.nodes = name_nodes(context.formula.root, context.formula.layer_outputs)
        self.names = self._found(patterns)
        self._hooks: dict[str, list[Hook]] = {}
        for pattern, hook in (hooks or {}).items():
            for name in self._found([pattern]):
                self._hooks.setdefault(name, []).append(hook)
        self._recorded: dict[str, Recorded] = {name: Recorded() for name in self._needed()}

    def _found(self, patterns: Sequence[str]) -> list[str]:
        names = [*self.nodes, *attention_names(self.nodes)]
        found: list[str] = []
        for pattern in patterns:
            these = matching(pattern, names)
            if not these:
                raise UsageError(
                    f"no value of this model is called {pattern!r}; near it are: {nearest(pattern, names)}"
                )
            found += [name for name in these if name not in found]
        return found

    def _needed(self) -> list[str]:
        """What is recorded for the names that were asked for."""
        needed: list[str] = []
        for name in self.names:
            layer, _, end = name.rpartition(".")
            parts = [part for part in (f"{layer}.q", f"{layer}.k", f"{layer}.chosen") if part in self.nodes]
            needed += parts if end == ATTENTION else [name]
        return list(dict.fromkeys(needed))

    def __enter__(self) -> Trace:
        by_node: dict[int, list[str]] = {}
        for name in (*self._recorded, *self._hooks):
            names = by_node.setdefault(id(self.nodes[name]), [])
            if name not in names:
                names.append(name)
        self._watching = Hooks(self._seen)
        self.context.watch(self._watching, {node: tuple(names) for node, names in by_node.items()})
        return self

    def __exit__(self, *_: object) -> None:
        self.context.watch(None, {})

    def _seen(self, moment: Moment) -> None:
        for name in moment.names:
            for hook in self._hooks.get(name, ()):
                changed = hook(moment)
                if changed is not None:
                    put(name, changed, moment.rows)
        for name in moment.names:
            if name in self._recorded:
                recorded = self._recorded[name]
                recorded.rows.append(moment.rows.copy())
                recorded.positions.append(moment.positions.copy())
                recorded.sequences.append(moment.sequences.copy())

    # what was seen
    def __getitem__(self, name: str) -> Floats:
        """A value's rows, float32 (n_rows, width); of attention weights (n_head, n_tokens, n_tokens).

        Raises KeyError for what was not recorded.
        """
        found = matching(name, self.names)
        if len(found) != 1:
            raise KeyError(name)
        layer, _, end = found[0].rpartition(".")
        return self._attention(layer) if end == ATTENTION else self._rows(found[0])

    def positions(self, name: str) -> npt.NDArray[np.int32]:
        """Where in their sequences the rows of a value stand."""
        parts = self._recorded[matching(name, self.names)[0]].positions
        return np.concatenate([np.zeros(0, np.int32), *parts])

    def sequences(self, name: str) -> npt.NDArray[np.int64]:
        """Which sequences the rows of a value are of."""
        parts = self._recorded[matching(name, self.names)[0]].sequences
        return np.concatenate([np.zeros(0, np.int64), *parts])

    def clear(self) -> None:
        """Forget what was recorded."""
        for name in self._recorded:
            self._recorded[name] = Recorded()

    def _rows(self, name: str) -> Floats:
        rows = self._recorded[name].rows
        return np.concatenate(rows) if rows else np.zeros((0, self.nodes[name].width), np.float32)

    def _attention(self, layer: str) -> Floats:
        """How much of each position's value a token takes; nothing of those behind it.

        Of one sequence that began while the trace was on: keys that were in the cache before were not seen.
        """
        q, k = self._rows(f"{layer}.q"), self._rows(f"{layer}.k")
        positions = self._recorded[f"{layer}.k"].positions
        if not positions or not np.array_equal(np.concatenate(positions), np.arange(len(k))):
            raise UsageError(f"{layer}.{ATTENTION}: needs a trace of one sequence from its first token on")
        node = self.nodes[f"{layer}.attn_heads"]
        assert isinstance(node, Attention)
        chosen = self._rows(f"{layer}.chosen") if node.chosen else None
        return attention_shares(node, q, k, self._weight(node.sinks), self._weight(node.distances), chosen)

    def _weight(self, symbol: Weight | None) -> Floats | None:
        if symbol is None:
            return None
        tensor = self.context.model.reader.tensor(symbol.name)
        return dequantize(tensor.data, tensor.type).reshape(symbol.shape)


def nearest(pattern: str, names: Sequence[str]) -> str:
    """The five names that are most like a pattern, those of all layers as one."""
    from difflib import get_close_matches

    kinds = dict.fromkeys(LAYER.sub("blk.*.", name) for name in names)
    n_layers = len({found[0] for name in names if (found := LAYER.match(name))})
    near = get_close_matches(LAYER.sub("blk.*.", pattern), kinds, 5, 0)
    return ", ".join(near) + (f" (layers 0 to {n_layers - 1})" if n_layers else "")


def put(name: str, changed: Floats, rows: Floats) -> None:
    """Raise UsageError where a hook gave what does not fit."""
    try:
        rows[:] = changed
    except (TypeError, ValueError):
        what = f"an array of shape {np.shape(changed)}" if isinstance(changed, np.ndarray) else repr(changed)[:60]
        raise UsageError(f"the hook of {name} returned {what}; it must return {rows.shape} numbers, or None") from None


def attention_names(nodes: Mapping[str, Node]) -> list[str]:
    """Of the layers whose attention weights can be worked out."""
    heads = (name for name, node in nodes.items() if name.endswith(".attn_heads") and isinstance(node, Attention))
    return [name.removesuffix("attn_heads") + ATTENTION for name in heads]
