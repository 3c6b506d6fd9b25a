"""What a model computes. A node is an operation and its result at once: one row per token, `width` numbers.

Nodes are plain dataclasses: a model file builds them, `reference.py` evaluates them, `fuse.py` matches them with
`case`. They know nothing of threads, tiles or buffers. What only `fuse.py` makes is in `fused.py`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from llamakit.core.gguf.types import GGMLType
from llamakit.core.graph.node import Add as Add
from llamakit.core.graph.node import LikeX as LikeX
from llamakit.core.graph.node import Mul as Mul
from llamakit.core.graph.node import Node as Node
from llamakit.core.graph.node import Scale as Scale
from llamakit.core.graph.node import in_order as in_order
from llamakit.core.graph.node import node as node
from llamakit.core.graph.rotation import Rotation
from llamakit.errors import ModelError


@node
class Tokens(Node):
    """The input: token ids."""

    @property
    def width(self) -> int:
        return 1


@node
class Positions(Node):
    """The input: each token's position in its sequence."""

    @property
    def width(self) -> int:
        return 1


@node
class Weight(Node):
    """A learned array by its GGUF name: shape (rows, columns), experts in front; or (n,).

    It may be a part of the tensor: `n` rows (of each expert), or numbers of a vector, from `first` on; `shape` is the
    part's.
    """

    name: str
    shape: tuple[int, ...]
    type: GGMLType
    first: int = 0
    is_part: bool = False

    @property
    def width(self) -> int:
        return self.shape[-1]

    @property
    def n_rows(self) -> int:
        return self.shape[-2]

    @property
    def key(self) -> tuple[str, int, tuple[int, ...]]:
        """Equal for symbols of the same numbers."""
        return self.name, self.first, self.shape

    def part(self, first: int, n: int) -> Weight:
        """Rows first .. first + n - 1, or numbers of a vector."""
        shape = (*self.shape[:-2], n, self.shape[-1]) if len(self.shape) > 1 else (n,)
        return replace(self, shape=shape, first=self.first + first, is_part=True)


@node
class Embed(Node):
    """scale * table[token], or of the position"""

    tokens: Tokens | Positions
    table: Weight
    scale: float = 1.0

    @property
    def width(self) -> int:
        return self.table.width


@node
class Norm(LikeX):
    """Over each `group` numbers of x: rows, or heads.

    A weight of shape (heads, n) has numbers of its own for each head. Without a weight, `n` says how many numbers are
    normed together; 0 is the whole row.
    """

    x: Node
    weight: Weight | None
    eps: float
    bias: Weight | None = None
    n: int = 0

    @property
    def group(self) -> int:
        return self.weight.width if self.weight is not None else self.n or self.x.width


@node
class RmsNorm(Norm):
    """x / sqrt(mean(x^2) + eps) * weight + bias"""


@node
class LayerNorm(Norm):
    """(x - mean) / sqrt(variance + eps) * weight + bias"""


@node
class Linear(Node):
    """x W^T * scale + bias; scale is one number, bias one for each row of W, itself scaled if `is_bias_scaled`."""

    x: Node
    weight: Weight
    scale: Weight | None = None
    bias: Weight | None = None
    is_bias_scaled: bool = False

    @property
    def width(self) -> int:
        return self.weight.n_rows

    def __post_init__(self) -> None:
        if self.x.width != self.weight.width:
            raise ModelError(f"{self.weight.name} takes {self.weight.width} columns, is given {self.x.width}")


@node
class Rope(LikeX):
    """Each head's first dimensions turned by the angles of its token's position."""

    x: Node
    head_dim: int
    rotation: Rotation


@node
class Glu(Node):
    """activation(gate) * up, the activation as in `Activation`; or one of these of both, with a limit c:

    "swiglu_oai"    g sigmoid(1.702 g) (u + 1), g = min(gate, c), u = clamp(up, c)
    "swiglu_clamp"  silu(min(gate, c)) clamp(up, c)
    "silu_clamp"    min(silu(gate), c) clamp(up, c)
    "situ"          c tanh(g / c) sigmoid(g) u
    """

    gate: Node
    up: Node
    activation: str = "silu"
    limit: float = 0.0

    @property
    def width(self) -> int:
        return self.gate.width


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


@node
class Div(Node):
    """a / b, b one row for all tokens"""

    a: Node
    b: Weight

    @property
    def width(self) -> int:
        return self.a.width


@node
class Activation(LikeX):
    """Of each number: "silu", "gelu" (the tanh form), "gelu_erf" (x times the normal distribution at x),
    "gelu_quick" (x sigmoid(1.702 x)), "relu", "relu2" (max(x, 0)^2), "elu", "exp" (at most e^88), "sigmoid", "tanh",
    "softplus"."""

    x: Node
    kind: str


@node
class Softcap(LikeX):
    """cap * tanh(x / cap)"""

    x: Node
    cap: float


@node
class Shift(LikeX):
    """x + c"""

    x: Node
    c: float


@node
class Clamp(LikeX):
    """x within -limit .. limit"""

    x: Node
    limit: float


@node
class Tempered(LikeX):
    """x * (1 + scale * ln(floor((position + offset) / length) + 1)): sharper attention far into a text."""

    x: Node
    scale: float
    length: int
    offset: int = 0

    def factors(self, n_positions: int, first: int = 0) -> npt.NDArray[np.float32]:
        position = np.arange(first, first + n_positions) + self.offset
        return np.asarray(1 + self.scale * np.log(position // self.length + 1.0), np.float32)


@node
class Slice(Node):
    """Numbers first .. first + n - 1 of each of `groups` equal parts of a row, side by side."""

    x: Node
    first: int
    n: int
    groups: int = 1

    @property
    def width(self) -> int:
        return self.n * self.groups


@node
class Concat(Node):
    """Rows side by side; with groups, the first group of each part, then the second of each, and so on."""

    parts: tuple[Node, ...]
    groups: int = 1

    @property
    def width(self) -> int:
        return sum(p.width for p in self.parts)


@node
class Repeat(Node):
    """A row `n` times side by side."""

    x: Node
    n: int

    @property
    def width(self) -> int:
        return self.n * self.x.width


@node
class HeadLinear(Node):
    """Each head times a matrix of its own.   x: heads of weight.width numbers, weight: (heads, rows, columns)"""

    x: Node
    weight: Weight

    @property
    def width(self) -> int:
        return self.weight.shape[0] * self.weight.n_rows


@node
class SelectRows(LikeX):
    """The rows whose logits are wanted."""

    x: Node
