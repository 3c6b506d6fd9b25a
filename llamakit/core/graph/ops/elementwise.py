"""Each number for itself, or with its neighbour of another row."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from llamakit.core.graph.ops.inputs import Weight
from llamakit.core.graph.ops.node import LikeX, Node, node


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
    "gelu_quick" (x sigmoid(1.702 x)), "relu", "relu2" (max(x, 0)^2), "relu6" (min(max(x, 0), 6)), "leaky_relu"
    (max(x, x / 100)), "hard_swish" (x relu6(x + 3) / 6), "mish" (x tanh(softplus(x))), "elu", "exp" (at most e^88),
    "sigmoid", "tanh", "softplus"."""

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
