"""What was measured so far, on disk: an interrupted search goes on, another target size costs nothing again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from llamakit import __version__
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.store import cache_folder


@dataclass
class Notebook:
    """Errors and damages by tensor and type; `path` None keeps them in memory only."""

    path: Path | None = None
    errors: dict[str, dict[GGMLType, float]] = field(default_factory=dict)
    damages: dict[str, dict[GGMLType, float]] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path) -> Notebook:
        """What the file holds; an empty notebook where it is missing or no longer readable."""
        book = cls(path)
        try:
            pages = json.loads(path.read_text(encoding="utf-8"))
            for page, numbers in ((book.errors, pages["errors"]), (book.damages, pages["damages"])):
                for name, row in numbers.items():
                    page[name] = {GGMLType[word]: float(value) for word, value in row.items()}
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            return cls(path)
        return book

    def note(self, name: str, type_: GGMLType, damage: float) -> None:
        self.damages.setdefault(name, {})[type_] = damage
        self.save()

    def save(self) -> None:
        """Beside the file and renamed; a cache that cannot be written is done without."""
        if self.path is None:
            return
        pages = {
            "errors": {name: {t.name: value for t, value in row.items()} for name, row in self.errors.items()},
            "damages": {name: {t.name: value for t, value in row.items()} for name, row in self.damages.items()},
        }
        partial = self.path.with_suffix(".partial")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps(pages), encoding="utf-8")
            os.replace(partial, self.path)
        except OSError:
            self.path = None


def notebook_path(reader: GGUFReader, conditions: Iterable[object]) -> Path:
    """A file of the cache for this model file under these conditions (texts, settings: all that shapes the numbers)."""
    digest = hashlib.sha256(__version__.encode())
    for file in reader.files:
        stat = os.stat(file.path)
        digest.update(
            repr((stat.st_size, stat.st_mtime_ns, [(t.name, t.shape, t.type) for t in file.tensors])).encode()
        )
    for condition in conditions:
        digest.update(condition if isinstance(condition, bytes) else repr(condition).encode())
    return cache_folder() / "measured" / f"{digest.hexdigest()[:32]}.json"
