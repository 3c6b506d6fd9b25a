"""Where texts that were computed are kept: in memory, or on disk for the next program.

Prompts that begin alike are computed once in any case, as long as a `Llama` is open and has room (see
`core/kv/prefix_tree.py`). A cache keeps them beyond that.
"""

from __future__ import annotations

import hashlib
import os
import threading
import warnings
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from llamakit.api.state import LlamaState
from llamakit.api.turns import SequenceBusy
from llamakit.core.engine.generate import n_common
from llamakit.core.gguf.output import write_file
from llamakit.core.sampling.params import RANDOM_SEED
from llamakit.errors import LlamakitError, UsageError

if TYPE_CHECKING:
    from llamakit.api.llama import Llama

USUAL_BYTES = 2 << 30
ENDING = ".state"


class BaseLlamaCache(ABC):
    """States by the tokens that they are of. Those of others may be of any kind, as long as they have these."""

    def __init__(self, capacity_bytes: int = USUAL_BYTES) -> None:
        if capacity_bytes < 0:
            raise UsageError(f"capacity_bytes is {capacity_bytes}; it must be at least 0")
        self.capacity_bytes = capacity_bytes

    @property
    @abstractmethod
    def cache_size(self) -> int:
        """Bytes kept."""

    @abstractmethod
    def __getitem__(self, key: Sequence[int]) -> LlamaState:
        """The state that begins most like some tokens. Raises KeyError where none begins like them."""

    @abstractmethod
    def __contains__(self, key: Sequence[int]) -> bool: ...

    @abstractmethod
    def __setitem__(self, key: Sequence[int], value: LlamaState) -> None:
        """Keep a state; others go, those that were not used for longest, when there is no room for all."""


class LlamaRAMCache(BaseLlamaCache):
    """In memory, until the program ends. Any thread may use it."""

    def __init__(self, capacity_bytes: int = USUAL_BYTES) -> None:
        super().__init__(capacity_bytes)
        self.cache_state: OrderedDict[tuple[int, ...], LlamaState] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def cache_size(self) -> int:
        with self._lock:
            return self._size()

    def _size(self) -> int:
        return sum(state.llama_state_size for state in self.cache_state.values())

    def _nearest(self, tokens: Sequence[int]) -> tuple[int, ...] | None:
        key = max(self.cache_state, key=lambda known: n_common(known, tokens), default=())
        return key if n_common(key, tokens) else None

    def __getitem__(self, key: Sequence[int]) -> LlamaState:
        with self._lock:
            nearest = self._nearest(key)
            if nearest is None:
                raise KeyError("nothing kept begins like these tokens")
            self.cache_state.move_to_end(nearest)
            return self.cache_state[nearest]

    def __contains__(self, key: Sequence[int]) -> bool:
        with self._lock:
            return self._nearest(key) is not None

    def __setitem__(self, key: Sequence[int], value: LlamaState) -> None:
        with self._lock:
            self.cache_state[tuple(key)] = value
            self.cache_state.move_to_end(tuple(key))
            while len(self.cache_state) > 1 and self._size() > self.capacity_bytes:
                self.cache_state.popitem(last=False)


LlamaCache = LlamaRAMCache  # llama-cpp-python's older name


class LlamaDiskCache(BaseLlamaCache):
    """Files in a folder: one a text, named after its tokens' hash, which appears when it is whole.

    Several programs may use one folder. A file that is damaged, or of another model, counts as not there.
    """

    def __init__(
        self, cache_dir: str | os.PathLike[str] = ".cache/llama_cache", capacity_bytes: int = USUAL_BYTES
    ) -> None:
        super().__init__(capacity_bytes)
        self.folder = Path(cache_dir)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{cache_dir}: {error.strerror}") from None

    @property
    def cache_size(self) -> int:
        return sum(size for _, size, _ in self._files())

    def _nearest(self, tokens: Sequence[int]) -> Path | None:
        n_best, best = 0, None
        for path, _, _ in self._files():
            n = n_common(tokens_of(path), tokens)
            if n > n_best:
                n_best, best = n, path
        return best

    def __getitem__(self, key: Sequence[int]) -> LlamaState:
        path = self._nearest(key)
        if path is None:
            raise KeyError("nothing kept begins like these tokens")
        try:
            os.utime(path)  # it was used
            tokens, data = tokens_of(path), path.read_bytes()
        except OSError:
            raise KeyError("another program has removed it") from None
        return kept_state(tokens, data[4 + 4 * len(tokens) :])

    def __contains__(self, key: Sequence[int]) -> bool:
        return self._nearest(key) is not None

    def __setitem__(self, key: Sequence[int], value: LlamaState) -> None:
        ids = np.asarray(key, "<i4").tobytes()
        data = len(key).to_bytes(4, "little") + ids + value.llama_state
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


def kept_state(tokens: Sequence[int], data: bytes) -> LlamaState:
    """One without logits or a seed."""
    ids = np.asarray(tokens, np.int32)
    return LlamaState(ids, np.empty((0, 0), np.float32), len(ids), data, len(data), RANDOM_SEED)


def begin_with(cache: BaseLlamaCache, llama: Llama, tokens: Sequence[int]) -> None:
    """Let a text begin with what a cache has of it, where that is more than the engine has."""
    try:
        state = cache[tokens]
    except KeyError:
        return
    if n_common(state.input_ids.tolist(), tokens) <= llama.shared.recall(tokens)[0]:
        return
    try:
        if not (llama.has_free_sequence() and loaded(llama, state)):
            llama.shared.learn(state.llama_state)
    except LlamakitError as error:  # of another model, or damaged: the text will be computed
        warnings.warn(f"the cache is of no use here: {error}", stacklevel=4)


def loaded(llama: Llama, state: LlamaState) -> bool:
    """Let the sequence be a state, but for its seed: that is of the text that it was made with. False while others
    work on it."""
    seed = llama.seed
    try:
        llama.load_state(state)
    except SequenceBusy:
        return False
    llama.seed = seed
    return True


def keep(cache: BaseLlamaCache, llama: Llama, tokens: Sequence[int]) -> None:
    """Put what the engine has of a text into a cache."""
    n, data = llama.shared.recall(tokens)
    if n:
        cache[tokens[:n]] = kept_state(tokens[:n], data)


def tokens_of(path: Path) -> list[int]:
    """Those that a file begins with; none where it is damaged or gone."""
    try:
        with path.open("rb") as file:
            n = int.from_bytes(file.read(4), "little")
            ids = file.read(4 * n) if 4 * n <= path.stat().st_size else b""
    except OSError:
        return []
    return np.frombuffer(ids, "<i4").tolist() if n and len(ids) == 4 * n else []
