"""What an idle slot's last text has left in the cache: written to a file, read from one, forgotten."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from llamakit.core.engine.scheduler.slot import Slot
from llamakit.core.engine.state import State, load_file, load_state, save_file, save_state
from llamakit.core.kernels.kv_cells import BLOCK


def save(slot: Slot, path: str | os.PathLike[str]) -> tuple[int, int]:
    """Write as much of the text as is there. Returns the number of tokens and of bytes."""
    with known(slot, slot.tokens) as tokens:
        save_file(slot.context, path, tokens, slot.seq, extra={"root": repr(slot.root)})
    return len(tokens), Path(path).stat().st_size


def to_bytes(slot: Slot, wanted: Sequence[int]) -> tuple[int, bytes]:
    """The same of a text, whoever computed it, as bytes. Returns how many of its tokens are in them."""
    with known(slot, wanted) as tokens:
        return len(tokens), save_state(slot.context, tokens, slot.seq)


@contextmanager
def known(slot: Slot, wanted: Sequence[int]) -> Iterator[list[int]]:
    """An idle slot's sequence with as many tokens of a text as the tree has."""
    tokens: list[int] = []
    branch = slot.tree.begin(slot.seq, slot.root, tokens)
    try:
        slot.tree.adopt(branch, wanted)
        yield tokens
    finally:
        slot.tree.end(branch)


def restore(slot: Slot, path: str | os.PathLike[str]) -> tuple[int, int]:
    """Let the tree have what a file has, as the slot's last text. Returns the number of tokens and of bytes."""
    n_bytes = os.stat(path).st_size if os.path.exists(path) else 0
    return learn(slot, lambda: load_file(slot.context, path, slot.seq)), n_bytes


def from_bytes(slot: Slot, data: bytes) -> int:
    """The same of what `to_bytes` gave. Returns the number of tokens."""
    return learn(slot, lambda: load_state(slot.context, data, slot.seq))


def learn(slot: Slot, load: Callable[[], State]) -> int:
    slot.tree.evict(min(-(-slot.context.n_ctx // BLOCK), slot.tree.n_evictable + slot.tree.cache.pool.n_free))
    state = load()
    slot.tokens = state.tokens[: state.n_past]
    slot.tree.end(slot.tree.begin(slot.seq, slot.root, slot.tokens))
    return len(slot.tokens)


def erase(slot: Slot) -> int:
    """Forget the text, but for what it shares with others. Returns how many tokens are gone."""
    n = slot.tree.erase(slot.root, slot.tokens)
    slot.tokens = []
    return n
