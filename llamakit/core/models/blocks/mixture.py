"""Mixtures of experts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from llamakit.core.gguf.metadata import Metadata
from llamakit.core.graph.ops import Activation, Experts, Linear, Mul, Node, Weight
from llamakit.core.models.blocks.feed_forward import read_activation
from llamakit.core.models.hparams import HParams
from llamakit.core.models.tensors import Tensors
from llamakit.errors import ModelError

OURS, NORM = "llamakit", "expert_weights_norm"  # the prefix of keys that no other program knows
SMALLEST_SUM = 2.0**-14  # of shares
GATINGS = {1: "softmax", 2: "sigmoid", 3: "softmax_chosen", 4: "softplus_root"}


@dataclass(frozen=True)
class Routing:
    """How experts are chosen and weighed, see `graph.ops.Experts`."""

    n_expert: int
    n_used: int
    n_ff: int
    gating: str = "softmax"
    is_normed: bool = True
    share_scale: float = 1.0
    n_group: int = 1
    n_group_used: int = 1
    n_best_of_group: int = 2
    activation: str = "silu"
    limit: float = 0.0
    up_cap: float = 0.0
    has_scales: bool = False
    is_share_first: bool = False
    per_expert: int = 1
    jitter: float = 0.0
    norm_power: int = 1
    norm_floor: float = SMALLEST_SUM


def read_routing(
    meta: Metadata, hp: HParams, *, gating: str = "softmax", is_normed: bool = False, **fields: Any
) -> Routing:
    """The metadata's; `gating` where it names none.

    llama.cpp writes that shares are not normed for architectures that norm them: only our own key undoes `is_normed`.
    """
    kind = meta.int("expert_gating_func", 0, min=0)
    if kind and kind not in GATINGS:
        raise ModelError(f"{meta.path}: {meta.full_key('expert_gating_func')} is {kind}; known are 1 to {len(GATINGS)}")
    n_group = meta.int("expert_group_count", 0, min=0) or 1
    if hp.n_expert % n_group:
        raise ModelError(f"{meta.path}: {hp.n_expert} experts do not divide into {n_group} groups")
    routing = Routing(
        n_expert=hp.n_expert,
        n_used=hp.n_expert_used,
        n_ff=hp.n_ff_expert,
        gating=GATINGS.get(kind, gating),
        is_normed=meta.section(OURS).bool(NORM, is_normed or meta.bool(NORM, False)),
        activation=read_activation(meta, "silu"),
        share_scale=meta.float("expert_weights_scale", 0.0) or 1.0,
        n_group=n_group,
        n_best_of_group=meta.section(OURS).int("expert_group_best_count", 2, min=1, max=2),
        norm_power=meta.section(OURS).int("expert_weights_norm_power", 1, min=1, max=2),
        norm_floor=meta.section(OURS).float("expert_weights_norm_min", SMALLEST_SUM, min=0),
        n_group_used=meta.int("expert_group_used_count", 1, min=0, max=n_group) or n_group,
    )
    return replace(routing, **fields)


def mixture(x: Node, w: Tensors, routing: Routing, router: Node | None = None, suffix: str = "_exps") -> Experts:
    """The best experts' outputs, weighed. The router may read something else than x."""
    r = routing
    n_matrix = r.n_expert // r.per_expert
    shapes = {"gate": (r.n_ff, x.width), "up": (r.n_ff, x.width), "down": (x.width, r.n_ff)}

    def numbers(name: str, *shape: int) -> Weight | None:
        return w.find(f"ffn_{name}{suffix}.{'bias' if shape else 'scale'}", n_matrix, *shape)

    if w.has(f"ffn_gate_up{suffix}"):
        both = w.experts(f"ffn_gate_up{suffix}", n_matrix, 2 * r.n_ff, x.width)
        gate: Weight | None = both.part(0, r.n_ff)
        up = both.part(r.n_ff, r.n_ff)
    else:
        up = w.experts(f"ffn_up{suffix}", n_matrix, *shapes["up"])
        gate = w.experts(f"ffn_gate{suffix}", n_matrix, *shapes["gate"]) if w.has(f"ffn_gate{suffix}") else None
    if not r.has_scales:
        w.pass_over(*(f"ffn_{n}{suffix}.scale" for n in shapes))
    scales = {f"{n}_scale": numbers(n) for n in shapes}
    biases = {f"{n}_bias": numbers(n, shape[0]) for n, shape in shapes.items()}
    router = router or w.linear("ffn_gate_inp", x, r.n_expert)
    down = w.experts(f"ffn_down{suffix}", n_matrix, *shapes["down"])
    bias = w.find("exp_probs_b.bias", r.n_expert) or w.find_bare("exp_probs_b", r.n_expert)
    return Experts(
        x, router, gate, up, down, r.n_used, r.is_normed, r.activation, **scales, gating=r.gating,
        selection_bias=bias, n_group=r.n_group, n_group_used=r.n_group_used, n_best_of_group=r.n_best_of_group,
        share_scale=r.share_scale, **biases, limit=r.limit, up_cap=r.up_cap,
        is_share_first=r.is_share_first, per_expert=r.per_expert, jitter=r.jitter,
        norm_power=r.norm_power, norm_floor=r.norm_floor,
    )  # fmt: skip


def gated_share(shared: Node, x: Node, w: Tensors) -> Node:
    """What a shared expert gives, times how much x wants of it: one number."""
    gate = Linear(x, w("ffn_gate_inp_shexp", 1, x.width))
    return Mul(shared, Activation(gate, "sigmoid"))
