"""Records of a mixture of experts: route, then each chosen expert's two products for each token, then their sum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from llamakit.core.graph.memory import aligned
from llamakit.core.graph.ops import Experts, Weight
from llamakit.core.graph.plan import pitch
from llamakit.core.graph.program import Step
from llamakit.core.graph.tap import Rows
from llamakit.core.graph.weights import Packed, padded
from llamakit.core.kernels.epilogue import GATED, GELU, SILU, STORE
from llamakit.core.kernels.moe import Combine, Route
from llamakit.core.kernels.tile import ROWS
from llamakit.errors import ModelError

if TYPE_CHECKING:
    from llamakit.core.graph.lower import Lowering


def lower_experts(lowering: Lowering, node: Experts) -> list[Step]:
    """Row (t, k) of the products is token t's k-th best expert. ModelError when gate and up are of different types."""
    if node.gate.type != node.up.type or node.gate.n_rows % 16:
        raise ModelError(f"{node.gate.name} and {node.up.name} need one type, and rows in whole groups of 16")
    m, n_rows = lowering.memory, lowering.rows_of(node) * node.n_used
    shares, chosen = aligned(4 * n_rows).view("f4"), aligned(4 * n_rows).view("i4")
    n_chosen = np.zeros(1, np.int64)
    gate_up, down = m.weights.pack((node.gate, node.up), is_interleaved=True), m.weights.pack((node.down,))
    hidden_pitch, out_pitch = padded(node.gate.n_rows), down.n_groups * ROWS
    hidden, y = aligned(4 * hidden_pitch * n_rows).view("f4"), aligned(4 * out_pitch * n_rows).view("f4")
    route = Route(
        logits=lowering.at(node.router), shares=shares, chosen=chosen, n_rows=lowering.row_count(node),
        n_chosen_rows=n_chosen, pitch=pitch(node.router), n_expert=node.gate.shape[0], n_used=node.n_used,
        is_normed=int(node.is_normed),
    )  # fmt: skip

    def product(packed: Packed, out: Any, out_pitch: int, mode: int, scale: Any) -> dict[str, Any]:
        return {
            "out": out, "out_pitch": out_pitch, "scale": scale, "bias": None, "n_groups": packed.n_groups, "mode": mode,
            "activation": {"silu": SILU, "gelu": GELU}[node.activation], "n_rows": n_chosen, "scratch": None,
            "n_scratch": 0,
        }  # fmt: skip

    def scale(packed: Packed, parts: tuple[Weight, ...], values: tuple[Weight | None, ...]) -> Any:
        is_interleaved = len(parts) > 1
        return m.weights.per_row(parts, values, 1.0, (None,) * len(parts), is_interleaved, packed.n_groups)

    up_scale = scale(gate_up, (node.gate, node.up), (node.gate_scale, node.up_scale))
    down_scale = scale(down, (node.down,), (node.down_scale,))
    x, n = lowering.at(node.x), node.x.width

    def watch(weights: tuple[Weight, ...], address: int, width: int, pitch: int, share: int) -> list[Step]:
        names = tuple(w.name for w in weights if m.observer and m.observer.wants(w.name))
        rows = Rows(address, width, pitch, n_chosen, m.batch, chosen, share, node.gate.shape[0])
        return m.observer.steps(names, rows) if m.observer and names else []

    combine = Combine(
        y=y, y_pitch=out_pitch, shares=shares, out=lowering.at(node), n_rows=lowering.row_count(node),
        pitch=pitch(node), n_used=node.n_used,
    )  # fmt: skip
    return [
        Step("moe.route", route),
        *watch((node.gate, node.up), x, n, pitch(node.x), node.n_used),
        lowering.gemv(gate_up, x, pitch(node.x), n, None, 0.0, product(gate_up, hidden, hidden_pitch, GATED, up_scale),
                      chosen, node.n_used),
        *watch((node.down,), int(hidden.ctypes.data), node.gate.n_rows, hidden_pitch, 1),
        lowering.gemv(down, int(hidden.ctypes.data), hidden_pitch, node.gate.n_rows, None, 0.0,
                      product(down, y, out_pitch, STORE, down_scale), chosen),
        Step("moe.combine", combine),
    ]  # fmt: skip
