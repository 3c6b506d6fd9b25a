"""Records of a mixture of experts: route, then each chosen expert's two products for each token, then their sum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from llamakit.core.graph.lower.grouped import ExpertProducts, Input
from llamakit.core.graph.ops import Experts, Weight
from llamakit.core.graph.plan import pitch
from llamakit.core.graph.program import Step
from llamakit.core.graph.tap import Rows
from llamakit.core.graph.weights import Floats, padded
from llamakit.core.kernels.elementwise import GATED as GATED_KINDS
from llamakit.core.kernels.elementwise import Elementwise
from llamakit.core.kernels.epilogue import GATED, GELU, SILU, STORE
from llamakit.core.kernels.moe import GATINGS, Combine, Route, Spread
from llamakit.core.kernels.tile import ROWS
from llamakit.core.kernels.unary import KINDS, SOFTCAP, Unary

FUSED = ("silu", "gelu")  # activations that products can end with

if TYPE_CHECKING:
    from llamakit.core.graph.lower.lowering import Lowering


def lower_experts(lowering: Lowering, node: Experts) -> list[Step]:
    """Row (t, k) of the products is token t's k-th best expert."""
    low, m, n_rows = lowering, lowering.memory, lowering.rows_of(node) * node.n_used

    def floats(name: str, n: int) -> Floats:
        return low.buffer(name, 4 * n)[: 4 * n].view(np.float32)

    shares, chosen = floats("shares", n_rows), floats("chosen", n_rows).view(np.int32)
    n_chosen = np.zeros(1, np.int64)
    x = Input(low.at(node.x), pitch(node.x), node.x.width, node.n_used)
    router_pitch = pitch(node.router)
    bias = node.selection_bias
    probs, worths = (floats(name, router_pitch * low.rows_of(node)) for name in ("probs", "worths"))
    route = Route(
        logits=low.at(node.router), probs=probs, worths=worths,
        bias=m.weights.vector(bias) if bias else None, shares=shares, chosen=chosen, n_rows=low.row_count(node),
        n_chosen_rows=n_chosen, pitch=router_pitch, n_expert=node.router.width, n_used=node.n_used,
        n_group=node.n_group, n_group_used=node.n_group_used, n_best_of_group=node.n_best_of_group,
        per_expert=node.per_expert, gating=GATINGS[node.gating],
        is_normed=int(node.is_normed), norm_power=node.norm_power, norm_floor=node.norm_floor, scale=node.share_scale,
        jitter=node.jitter,
    )  # fmt: skip
    steps = [Step("moe.route", route)]
    if node.is_share_first:
        spread = floats("spread", x.pitch * n_rows)
        steps.append(Step("moe.spread", Spread(
            x=x.address, shares=shares, out=spread, n_rows=low.row_count(node), pitch=x.pitch, n_used=node.n_used,
        )))  # fmt: skip
        x = Input(int(spread.ctypes.data), x.pitch, x.width)

    n_expert = node.up.shape[0]
    products = ExpertProducts(low, chosen, n_chosen, n_rows, n_expert, is_one=low.rows_of(node) == 1)

    def watch(weights: tuple[Weight, ...], x: Input) -> list[Step]:
        names = tuple(w.name for w in weights if m.observer and m.observer.wants(w.name))
        rows = Rows(x.address, x.width, x.pitch, n_chosen, m.batch, chosen, x.share, n_expert)
        return m.observer.steps(names, rows) if m.observer and names else []

    def product(result: str, parts: tuple[Weight, ...], x: Input) -> tuple[list[Step], Input]:
        """Each row times its expert's matrix; with two parts, gate and up with the activation behind."""
        is_gated = len(parts) > 1
        packed = m.weights.pack(parts, is_interleaved=is_gated)
        names = [next(n for n in ("gate", "up", "down") if getattr(node, n) is part) for part in parts]
        scales, biases = (tuple(getattr(node, f"{n}_{what}") for n in names) for what in ("scale", "bias"))
        none = (None,) * len(parts)
        out_pitch = padded(parts[0].n_rows) if is_gated else packed.n_groups * ROWS
        out = floats(result, out_pitch * n_rows)
        fields = {
            "out": out, "out_pitch": out_pitch, "n_groups": packed.n_groups, "mode": GATED if is_gated else STORE,
            "scale": m.weights.per_row(parts, scales, 1.0, none, is_gated, packed.n_groups),
            "bias": m.weights.per_row(parts, biases, 0.0, none, is_gated, packed.n_groups),
            "activation": GELU if node.activation == "gelu" else SILU,
        }  # fmt: skip
        return products.steps(packed, x, fields), Input(int(out.ctypes.data), out_pitch, parts[0].n_rows)

    gate, up = node.gate, node.up
    firsts = (up,) if gate is None else (gate, up)
    steps += watch(firsts, x)
    is_fused = gate is not None and gate.type == up.type and up.n_rows % ROWS == 0 and node.activation in FUSED
    own, hidden = product("hidden", firsts if is_fused else (up,), x)
    steps += own
    if not is_fused:
        fields = {"pitch": hidden.pitch, "n_rows": n_chosen}
        unary = {"x": hidden.address, "out": hidden.address, "n": hidden.pitch} | fields
        if gate is None:
            steps.append(Step("unary.unary", Unary(kind=KINDS[node.activation], c=0.0, **unary)))
        else:
            if node.up_cap:
                steps.append(Step("unary.unary", Unary(kind=SOFTCAP, c=node.up_cap, **unary)))
            own, gates = product("gates", (gate,), x)
            steps += [*own, Step("elementwise.glu", Elementwise(
                a=gates.address, b=hidden.address, out=hidden.address, activation=GATED_KINDS[node.activation],
                limit=node.limit, **fields,
            ))]  # fmt: skip
    steps += watch((node.down,), hidden)
    own, y = product("results", (node.down,), hidden)
    combine = Combine(
        y=y.address, y_pitch=y.pitch, shares=shares, out=low.at(node), n_rows=low.row_count(node), pitch=pitch(node),
        n_used=node.n_used,
    )  # fmt: skip
    return [*steps, *own, Step("moe.combine", combine)]
