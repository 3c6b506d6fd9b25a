"""How a model is opened to look into it: a group of options (see `parsing/groups.py`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from llamakit.cli.options import shared as o
from llamakit.cli.options.shared import option

if TYPE_CHECKING:
    from llamakit.tools.look.trace import LookParams


@dataclass(frozen=True)
class LookOptions:
    ctx_size: Annotated[
        int, option("-c", "--ctx-size", env="CTX_SIZE", help="Positions.", show_default="the prompt's tokens")
    ] = 0
    threads: o.Threads = -1
    override_kv: o.OverrideKv = field(default_factory=list)
    mmap: o.UseMmap = True
    half_cache: Annotated[bool, option("--half-cache", help="Keys and values in F16, as usual, not in F32.")] = False

    def params(self, path: str) -> LookParams:
        from llamakit.tools.look.trace import LookParams

        return LookParams(
            path, self.ctx_size, self.threads if self.threads > 0 else None, o.parse_overrides(self.override_kv),
            self.mmap, not self.half_cache,
        )  # fmt: skip
