"""Mixtures of experts."""

from __future__ import annotations

from llamakit.core.graph.ops.inputs import Weight
from llamakit.core.graph.ops.node import LikeX, Node, node


@node
class Experts(LikeX):
    """sum over the n_used best experts e of share_e * (down_e h + bias), h = glu(gate_e x, up_e x), or of up_e x alone.

    Of the router's logits: shares are their "softmax" over all experts, "sigmoid", "softplus_root", or, once chosen,
    "softmax_chosen" among these. With "sparse_mixer" experts are chosen one by one, each with its share of the softmax
    over those left whose logits are below its own by at most 2 * `jitter` of it. `selection_bias` is added for the
    choice only. With groups, only experts of the n_group_used best groups are chosen, by the sum of the two best of
    each, or the best alone (`n_best_of_group`). Then the shares are divided by their sum (`is_normed`), or the root of
    that of their squares (`norm_power` 2), which counts as at least `norm_floor`, and multiplied by `share_scale`.
    With `is_share_first`, x is multiplied by the share, not the result. With `up_cap`, what up gives is softcapped
    first.
    """

    x: Node
    router: Node
    gate: Weight | None
    up: Weight
    down: Weight
    n_used: int
    is_normed: bool = True
    activation: str = "silu"
    gate_scale: Weight | None = None  # one number for each expert
    up_scale: Weight | None = None
    down_scale: Weight | None = None
    gating: str = "softmax"
    selection_bias: Weight | None = None
    n_group: int = 1
    n_group_used: int = 1
    n_best_of_group: int = 2
    share_scale: float = 1.0
    gate_bias: Weight | None = None  # (experts, rows)
    up_bias: Weight | None = None
    down_bias: Weight | None = None
    limit: float = 0.0
    up_cap: float = 0.0
    is_share_first: bool = False
    jitter: float = 0.0
    norm_power: int = 1
    norm_floor: float = 2.0**-14
    per_expert: int = 1  # so many neighbours of the router's experts share one matrix

    @property
    def width(self) -> int:
        return self.down.n_rows
