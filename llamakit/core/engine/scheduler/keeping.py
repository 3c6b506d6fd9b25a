"""What an idle slot's last text has left in the cache: written to a file, read from one, forgotten."""

from __future__ import annotations

import os
from pathlib import Path

from llamakit.core.engine.scheduler.slot import Slot
from llamakit.core.engine.state import load_file, save_file
from llamakit.core.kernels.kv_cells import BLOCK


def save(slot: Slot, path: str | os.PathLike[str]) -> tuple[int, int]:
    """Write as much of the text as is there. Returns the number of tokens and of bytes."""
    tokens: list[int] = []
    branch = slot.tree.begin(slot.seq, slot.root, tokens)
    try:
        slot.tree.adopt(branch, slot.tokens)
        save_file(slot.context, path, tokens, slot.seq, extra={"root": repr(slot.root)})
    finally:
        slot.tree.end(branch)
    return len(tokens), Path(path).stat().st_size


def restore(slot: Slot, path: str | os.PathLike[str]) -> tuple[int, int]:
    """Let the tree have what a file has, as the slot's last text. Returns the number of tokens and of bytes."""
    n_bytes = os.stat(path).st_size if os.path.exists(path) else 0
    slot.tree.evict(min(-(-slot.context.n_ctx // BLOCK), slot.tree.n_evictable + slot.tree.cache.pool.n_free))
    state = load_file(slot.context, path, slot.seq)
    slot.tokens = state.tokens[: state.n_past]
    slot.tree.end(slot.tree.begin(slot.seq, slot.root, slot.tokens))
    return len(slot.tokens), n_bytes


def erase(slot: Slot) -> int:
    """Forget the text, but for what it shares with others. Returns how many tokens are gone."""
    n = slot.tree.erase(slot.root, slot.tokens)
    slot.tokens = []
    return n
