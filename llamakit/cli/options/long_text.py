"""Texts longer than a context or a run, for every command that generates text: a group (see `parsing/groups.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from llamakit.cli.options import shared as o
from llamakit.cli.options.shared import option
from llamakit.cli.parsing.reader import warn

if TYPE_CHECKING:
    from llamakit.core.engine.generate import SelfExtend
    from llamakit.tools.prompt_cache import PromptCache

PANEL = "Long texts"


@dataclass(frozen=True)
class LongTextOptions:
    keep: o.Keep = 0
    context_shift: o.ContextShift = False
    grp_attn_n: Annotated[
        int,
        option(
            "-gan", "--grp-attn-n", env="GRP_ATTN_N", panel=PANEL, help="Self-extend: tokens to a position; 1: off."
        ),
    ] = 1
    grp_attn_w: Annotated[
        int, option("-gaw", "--grp-attn-w", env="GRP_ATTN_W", panel=PANEL, help="Self-extend: tokens of a window.")
    ] = 512
    prompt_cache: Annotated[
        str | None, option("--prompt-cache", panel=PANEL, help="File that keeps what was computed, for the next run.")
    ] = None
    prompt_cache_all: Annotated[
        bool,
        option(
            "--prompt-cache-all",
            panel=PANEL,
            help="Keep what was generated too, to go on with it, as `chat` always does.",
        ),
    ] = False
    prompt_cache_ro: Annotated[
        bool, option("--prompt-cache-ro", panel=PANEL, help="Use the file, but leave it as it is.")
    ] = False

    @property
    def extend(self) -> SelfExtend | None:
        """Raises UsageError for numbers that do not go together."""
        from llamakit.core.engine.generate import SelfExtend

        return SelfExtend(self.grp_attn_n, self.grp_attn_w) if self.grp_attn_n != 1 else None

    def cache(self, saves_all: bool = False) -> PromptCache | None:
        """The file asked for; `saves_all`: even if it is not said. Raises GGUFError where it cannot be written."""
        if self.prompt_cache is None:
            for name, is_given in (("all", self.prompt_cache_all), ("ro", self.prompt_cache_ro)):
                if is_given:
                    warn(f"--prompt-cache-{name} has no effect without --prompt-cache FILE")
            return None
        from llamakit.core.gguf.output import check_writable
        from llamakit.tools.prompt_cache import PromptCache

        if not self.prompt_cache_ro:
            check_writable(self.prompt_cache)
        return PromptCache(
            self.prompt_cache, saves_all=saves_all or self.prompt_cache_all, is_read_only=self.prompt_cache_ro
        )
