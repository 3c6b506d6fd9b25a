"""Records of a mixture of experts: route, then each chosen expert's two products for each token, then their sum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from llamakit.core.graph.memory import aligned
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
    from llamakit.core.graph.lower import Lowering


def lower_experts(lowering: Lowering, node: Experts) -> list[Step]:
    """Row (t, k) of the products is token t's k-th best expert."""
    low, m, n_rows = lowering, lowering.memory, lowering.rows_of(node) * node.n_used
    shares, chosen = aligned(4 * n_rows).view("f4"), aligned(4 * n_rows).view("i4")
    n_chosen = np.zeros(1, np.int64)
    x, x_pitch, x_share = low.at(node.x), pitch(node.x), node.n_used
    router_pitch = pitch(node.router)
    bias = node.selection_bias
    probs, worths = (aligned(4 * router_pitch * low.rows_of(node)).view("f4") for _ in range(2))
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
        spread = aligned(4 * x_pitch * n_rows).view("f4")
        steps.append(Step("moe.spread", Spread(
            x=x, shares=shares, out=spread, n_rows=low.row_count(node), pitch=x_pitch, n_used=node.n_used,
        )))  # fmt: skip
        x, x_share = int(spread.ctypes.data), 1

    def watch(weights: tuple[Weight, ...], address: int, width: int, pitch: int, share: int) -> list[Step]:
        names = tuple(w.name for w in weights if m.observer and m.observer.wants(w.name))
        rows = Rows(address, width, pitch, n_chosen, m.batch, chosen, share, node.up.shape[0])
        return m.observer.steps(names, rows) if m.observer and names else []

    def product(parts: tuple[Weight, ...], x: int, x_pitch: int, x_share: int = 1) -> tuple[Step, Floats, int]:
        """Each row times its expert's matrix; with two parts, gate and up with the activation behind."""
        is_gated = len(parts) > 1
        packed = m.weights.pack(parts, is_interleaved=is_gated)
        names = [next(n for n in ("gate", "up", "down") if getattr(node, n) is part) for part in parts]
        scales, biases = (tuple(getattr(node, f"{n}_{what}") for n in names) for what in ("scale", "bias"))
        none = (None,) * len(parts)
        out_pitch = padded(parts[0].n_rows) if is_gated else packed.n_groups * ROWS
        out = aligned(4 * out_pitch * n_rows).view("f4")
        fields = {
            "out": out, "out_pitch": out_pitch, "n_groups": packed.n_groups, "mode": GATED if is_gated else STORE,
            "scale": m.weights.per_row(parts, scales, 1.0, none, is_gated, packed.n_groups),
            "bias": m.weights.per_row(parts, biases, 0.0, none, is_gated, packed.n_groups),
            "activation": GELU if node.activation == "gelu" else SILU, "n_rows": n_chosen, "scratch": None,
            "n_scratch": 0,
        }  # fmt: skip
        step = low.gemv(packed, x, x_pitch, parts[0].width, None, 0.0, fields, chosen, x_share)
        return step, out, out_pitch

    gate, up = node.gate, node.up
    firsts = (up,) if gate is None else (gate, up)
    steps += watch(firsts, x, node.x.width, x_pitch, x_share)
    is_fused = gate is not None and gate.type == up.type and up.n_rows % ROWS == 0 and node.activation in FUSED
    if is_fused:
        step, hidden, hidden_pitch = product(firsts, x, x_pitch, x_share)
        steps.append(step)
    else:
        step, hidden, hidden_pitch = product((up,), x, x_pitch, x_share)
        steps.append(step)
        fields = {"out": hidden, "pitch": hidden_pitch, "n_rows": n_chosen}
        if gate is None:
            steps.append(Step("unary.unary", Unary(
                x=hidden, n=hidden_pitch, kind=KINDS[node.activation], c=0.0, **fields,
            )))  # fmt: skip
        else:
            if node.up_cap:
                steps.append(Step("unary.unary", Unary(
                    x=hidden, n=hidden_pitch, kind=SOFTCAP, c=node.up_cap, **fields,
                )))  # fmt: skip
            step, gates, _ = product((gate,), x, x_pitch, x_share)
            steps += [step, Step("elementwise.glu", Elementwise(
                a=gates, b=hidden, activation=GATED_KINDS[node.activation], limit=node.limit, **fields,
            ))]  # fmt: skip
    address = int(hidden.ctypes.data)
    steps += watch((node.down,), address, node.down.width, hidden_pitch, 1)
    step, y, y_pitch = product((node.down,), address, hidden_pitch)
    combine = Combine(
        y=y, y_pitch=y_pitch, shares=shares, out=low.at(node), n_rows=low.row_count(node), pitch=pitch(node),
        n_used=node.n_used,
    )  # fmt: skip
    return [*steps, step, Step("moe.combine", combine)]
