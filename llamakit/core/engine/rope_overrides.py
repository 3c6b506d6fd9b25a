"""A user's own rotation, said as the metadata that would ask for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from llamakit.core.gguf.metadata import Metadata
from llamakit.core.gguf.reader import GGUFReader
from llamakit.errors import UsageError

SCALING_TYPES = ("none", "linear", "yarn", "longrope")


@dataclass(frozen=True, slots=True)
class RopeParams:
    """How rotations differ from the model's own; None leaves that. Raises UsageError for what makes no sense."""

    scaling_type: str | None = None
    freq_base: float | None = None
    freq_scale: float | None = None  # positions are multiplied by it
    yarn_orig_ctx: int | None = None
    yarn_ext_factor: float | None = None
    yarn_attn_factor: float | None = None
    yarn_beta_fast: float | None = None
    yarn_beta_slow: float | None = None

    def __post_init__(self) -> None:
        if self.scaling_type not in (None, *SCALING_TYPES):
            raise UsageError(f"rope scaling {self.scaling_type!r}: it can be {', '.join(SCALING_TYPES)}")
        for name in ("freq_base", "freq_scale", "yarn_orig_ctx"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"rope {name.replace('_', ' ')} is {value}; it must be above 0")

    def overrides(self, path: str | Path) -> dict[str, str | int | float]:
        """Metadata by full keys, for a model file: its architecture is part of them."""
        wanted = {
            "rope.scaling.type": self.scaling_type,
            "rope.freq_base": self.freq_base,
            "rope.scaling.factor": None if self.freq_scale is None else 1 / self.freq_scale,
            "rope.scaling.original_context_length": self.yarn_orig_ctx,
            "rope.scaling.yarn_ext_factor": self.yarn_ext_factor,
            "rope.scaling.attn_factor": self.yarn_attn_factor,
            "rope.scaling.yarn_beta_fast": self.yarn_beta_fast,
            "rope.scaling.yarn_beta_slow": self.yarn_beta_slow,
        }
        given = {key: value for key, value in wanted.items() if value is not None}
        if not given:
            return {}
        with GGUFReader(path) as reader:
            arch = Metadata.of_model(reader.metadata, path).arch
        return {f"{arch}.{key}": value for key, value in given.items()}
