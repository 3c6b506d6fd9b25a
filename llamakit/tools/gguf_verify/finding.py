"""One thing that is wrong, odd or worth knowing, and where it lies."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from llamakit.errors import printable


class Level(Enum):
    """How much a finding matters: an error breaks the model, a warning is what no good writer does, a note is legal."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """`offset` counts bytes from the start of the file; `block` blocks from the start of the tensor, whose values are
    its blocks if it has none. Of many blocks with the same fault one finding tells: `block` is the first, `n_blocks`
    counts them, `blocks` lists the first few."""

    level: Level
    path: Path
    message: str
    offset: int | None = None
    key: str | None = None
    tensor: str | None = None
    type: str | None = None
    block: int | None = None
    n_blocks: int = 0
    blocks: tuple[int, ...] = ()

    def __str__(self) -> str:
        """On one line: level, place, what."""
        place = [f"tensor {self.tensor} ({self.type})" if self.tensor else f"key {self.key}" if self.key else ""]
        if self.block is not None:
            more = f" and {self.n_blocks - 1} more" if self.n_blocks > 1 else ""
            place.append(f"block {self.block}{more}")
        if self.offset is not None:
            place.append(f"byte {self.offset}")
        where = ", ".join(part for part in place if part)
        return printable(": ".join(part for part in (self.level.value, where, self.message) if part))

    def as_json(self) -> dict[str, Any]:
        """The fields that say something."""
        fields = asdict(self) | {"level": self.level.value, "path": str(self.path), "blocks": list(self.blocks)}
        is_of_block = self.block is not None
        return {
            name: value
            for name, value in fields.items()
            if (is_of_block if name in ("n_blocks", "blocks") else value is not None)
        }
