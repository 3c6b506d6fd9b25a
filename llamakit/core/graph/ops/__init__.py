"""What a model computes. A node is an operation and its result at once: one row per token, `width` numbers.

Nodes are plain dataclasses: a model file builds them, `reference/` evaluates them, `fuse.py` matches them with `case`.
They know nothing of threads, tiles or buffers. What only `fuse.py` makes is in `fused.py`.
"""

from __future__ import annotations

from llamakit.core.graph.ops.elementwise import Activation as Activation
from llamakit.core.graph.ops.elementwise import Clamp as Clamp
from llamakit.core.graph.ops.elementwise import Div as Div
from llamakit.core.graph.ops.elementwise import Glu as Glu
from llamakit.core.graph.ops.elementwise import Shift as Shift
from llamakit.core.graph.ops.elementwise import Softcap as Softcap
from llamakit.core.graph.ops.elementwise import Tempered as Tempered
from llamakit.core.graph.ops.experts import Experts as Experts
from llamakit.core.graph.ops.inputs import Embed as Embed
from llamakit.core.graph.ops.inputs import Positions as Positions
from llamakit.core.graph.ops.inputs import Tokens as Tokens
from llamakit.core.graph.ops.inputs import Weight as Weight
from llamakit.core.graph.ops.linear import HeadLinear as HeadLinear
from llamakit.core.graph.ops.linear import LayerNorm as LayerNorm
from llamakit.core.graph.ops.linear import Linear as Linear
from llamakit.core.graph.ops.linear import Norm as Norm
from llamakit.core.graph.ops.linear import RmsNorm as RmsNorm
from llamakit.core.graph.ops.node import Add as Add
from llamakit.core.graph.ops.node import LikeX as LikeX
from llamakit.core.graph.ops.node import Mul as Mul
from llamakit.core.graph.ops.node import Node as Node
from llamakit.core.graph.ops.node import Scale as Scale
from llamakit.core.graph.ops.node import in_order as in_order
from llamakit.core.graph.ops.node import node as node
from llamakit.core.graph.ops.rope import Rope as Rope
from llamakit.core.graph.ops.rows import Concat as Concat
from llamakit.core.graph.ops.rows import Repeat as Repeat
from llamakit.core.graph.ops.rows import SelectRows as SelectRows
from llamakit.core.graph.ops.rows import Slice as Slice
