"""The merge loop that BPE and SPM share: join the best adjacent pair until none is left."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush

# Characters after which a compiled library, slow to start but faster per character, takes over from this loop.
LIBRARY_AFTER = 1 << 14

Rank = Callable[[str, str], "float | None"]


def merge_symbols(symbols: list[str], rank: Rank) -> list[str]:
    """Merge adjacent symbols, lowest rank first, ties to the left; `rank(left, right)` is None where they stay apart.

    O(n log n) for n symbols. Stale queue entries are told by their text: a symbol's text only ever grows.
    """
    symbols = list(symbols)
    n = len(symbols)
    before, after = list(range(-1, n - 1)), list(range(1, n + 1))  # neighbours among the symbols still alive
    queue: list[tuple[float, int, str, str]] = []
    for i in range(n - 1):
        left, right = symbols[i], symbols[i + 1]
        r = rank(left, right)
        if r is not None:
            queue.append((r, i, left, right))
    heapify(queue)
    while queue:
        _, i, left, right = heappop(queue)
        j = after[i]
        if j == n or symbols[i] != left or symbols[j] != right:
            continue
        merged = symbols[i] = left + right
        symbols[j] = ""
        j = after[i] = after[j]
        if j < n:
            before[j] = i
            r = rank(merged, symbols[j])
            if r is not None:
                heappush(queue, (r, i, merged, symbols[j]))
        h = before[i]
        if h >= 0:
            r = rank(symbols[h], merged)
            if r is not None:
                heappush(queue, (r, h, symbols[h], merged))
    return [symbol for symbol in symbols if symbol]
