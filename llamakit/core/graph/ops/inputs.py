"""What a graph begins with: tokens, positions, weights."""

from __future__ import annotations

from dataclasses import replace

from llamakit.core.gguf.types import GGMLType
from llamakit.core.graph.ops.node import Node, node


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
