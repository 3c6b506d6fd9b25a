"""Where texts that were computed are kept: in memory, or on disk for the next program.

Prompts that begin alike are computed once in any case, as long as a `Llama` is open and has room (see
`core/kv/prefix_tree.py`). A cache keeps them beyond that.
"""

from __future__ import annotations

import hashlib
import os
import threading
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from llamakit.core.engine.generate import n_common
from llamakit.core.engine.scheduler.scheduler import Scheduler
from llamakit.errors import LlamakitError, UsageError

USUAL_BYTES = 2 << 30
ENDING = ".state"


class BaseLlamaCache(Protocol):
    """States by the tokens that they are of. `find` gives the one that begins most like some tokens."""

    capacity_bytes: int

    @property
    def cache_size(self) -> int:
        """Bytes kept."""

    def find(self, tokens: Sequence[int]) -> tuple[int, bytes] | None:
        """How many of the tokens a state has in common with them, and it; None where nothing has any."""

    def add(self, tokens: Sequence[int], state: bytes) -> None:
        """Keep a state; others go, those that were not used for longest, when there is no room for all."""


class LlamaRAMCache:
    """In memory, until the program ends. Any thread may use it."""

    def __init__(self, capacity_bytes: int = USUAL_BYTES) -> None:
        self.capacity_bytes = checked(capacity_bytes)
        self._states: OrderedDict[tuple[int, ...], bytes] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def cache_size(self) -> int:
        with self._lock:
            return sum(map(len, self._states.values()))

    def find(self, tokens: Sequence[int]) -> tuple[int, bytes] | None:
        with self._lock:
            key = max(self._states, key=lambda known: n_common(known, tokens), default=())
            n = n_common(key, tokens)
            if n == 0:
                return None
            self._states.move_to_end(key)
            return n, self._states[key]

    def add(self, tokens: Sequence[int], state: bytes) -> None:
        with self._lock:
            self._states[tuple(tokens)] = state
            self._states.move_to_end(tuple(tokens))
            while len(self._states) > 1 and sum(map(len, self._states.values())) > self.capacity_bytes:
                self._states.popitem(last=False)


LlamaCache = LlamaRAMCache  # llama-cpp-python's older name


class LlamaDiskCache:
    """Files in a folder: one a text, named after its tokens' hash, which appears when it is whole.

    Several programs may use one folder. A file that is damaged, or of another model, counts as not there.
    """

    def __init__(
        self, cache_dir: str | os.PathLike[str] = ".cache/llama_cache", capacity_bytes: int = USUAL_BYTES
    ) -> None:
        self.folder, self.capacity_bytes = Path(cache_dir), checked(capacity_bytes)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{cache_dir}: {error.strerror}") from None

    @property
    def cache_size(self) -> int:
        return sum(size for _, size, _ in self._files())

    def find(self, tokens: Sequence[int]) -> tuple[int, bytes] | None:
        best: tuple[int, Path] | None = None
        for path, _, _ in self._files():
            n = n_common(tokens_of(path), tokens)
            if n and (best is None or n > best[0]):
                best = n, path
        if best is None:
            return None
        try:
            os.utime(best[1])  # it was used
            return best[0], best[1].read_bytes()[4 + 4 * len(tokens_of(best[1])) :]
        except OSError:  # another program has removed it
            return None

    def add(self, tokens: Sequence[int], state: bytes) -> None:
        import numpy as np

        from llamakit.core.gguf.output import write_file

        ids = np.asarray(tokens, "<i4").tobytes()
        data = len(tokens).to_bytes(4, "little") + ids + state
        write_file(self.folder / (hashlib.sha256(ids).hexdigest()[:32] + ENDING), data)
        self._make_room()

    def _files(self) -> list[tuple[Path, int, float]]:
        """Path, bytes, and when it was last used, the oldest first."""
        found = []
        for path in self.folder.glob(f"*{ENDING}"):
            try:
                status = path.stat()
            except OSError:
                continue
            found.append((path, status.st_size, status.st_mtime))
        return sorted(found, key=lambda file: file[2])

    def _make_room(self) -> None:
        files = self._files()
        total = sum(size for _, size, _ in files)
        for path, size, _ in files[:-1]:
            if total <= self.capacity_bytes:
                return
            path.unlink(missing_ok=True)
            total -= size


def begin_with(cache: BaseLlamaCache, scheduler: Scheduler, tokens: Sequence[int]) -> None:
    """Let a text begin with what a cache has of it, where that is more than the engine has."""
    found = cache.find(tokens)
    if found is not None and found[0] > scheduler.recall(tokens)[0]:
        try:
            scheduler.learn(found[1])
        except LlamakitError as error:  # of another model, or damaged: the text will be computed
            warnings.warn(f"the cache is of no use here: {error}", stacklevel=4)


def keep(cache: BaseLlamaCache, scheduler: Scheduler, tokens: Sequence[int]) -> None:
    """Put what the engine has of a text into a cache."""
    n, state = scheduler.recall(tokens)
    if n:
        cache.add(tokens[:n], state)


def tokens_of(path: Path) -> list[int]:
    """Those that a file begins with; none where it is damaged or gone."""
    import numpy as np

    try:
        with path.open("rb") as file:
            n = int.from_bytes(file.read(4), "little")
            ids = file.read(4 * n) if 4 * n <= path.stat().st_size else b""
    except OSError:
        return []
    return np.frombuffer(ids, "<i4").tolist() if n and len(ids) == 4 * n else []


def checked(capacity_bytes: int) -> int:
    if capacity_bytes < 0:
        raise UsageError(f"capacity_bytes is {capacity_bytes}; it must be at least 0")
    return capacity_bytes
