"""The flat program that the kernels run, and how nodes become one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from llamakit.core.kernels import grammar_tables as kinds

Ints = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.int64]
Edge = tuple[int, int, int]  # least byte, largest byte, next node

CHOICES_MERGED = 64  # a choice that leads through more of them is left as it is
# where the free text of JSON strings has its bounds, see `grammar_mask.is_free`
BOUNDS = (
    0x20, 0x22, 0x23, 0x5C, 0x5D, 0x7F, 0x80, 0x90, 0xA0, 0xC0, 0xC2, 0xE0, 0xE1, 0xED, 0xEE, 0xF0, 0xF1, 0xF4, 0xF5,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Program:
    """The arrays of `grammar_tables.Program`, the node that begins, and token texts whose ids a vocabulary gives."""

    start: int
    kinds: Bytes
    xs: Ints
    ys: Ints
    edge_low: Bytes
    edge_high: Bytes
    edge_to: Ints
    tokens: Ints
    targets: Ints
    masks: Words
    rows: Words
    class_of: Bytes
    class_byte: Bytes
    class_size: Ints
    n_words: int
    token_texts: dict[int, str]  # by row of `tokens`


def merge_choices(node_kinds: list[int], data: list[Any]) -> None:
    """Where a choice leads, through other choices, to several nodes that read bytes, these become one node."""
    same = single_ways(node_kinds, data)
    for node in range(len(node_kinds)):
        if node_kinds[node] != kinds.SPLIT:
            continue
        reached = reach(node, node_kinds, data, same)
        if reached is None:
            continue
        reading = [n for n in reached if node_kinds[n] == kinds.BYTES]
        if len(reading) > 1:
            edges = dict.fromkeys(edge for n in reading for edge in data[n])
            reached = [n for n in reached if node_kinds[n] != kinds.BYTES]
            reached.append(len(node_kinds))
            same.append(len(node_kinds))
            node_kinds.append(kinds.BYTES)
            data.append([*edges])
        data[node] = reached


def single_ways(node_kinds: list[int], data: list[Any]) -> list[int]:
    """Of each node, where it leads when that is the only way: for most nodes, itself."""
    same = list(range(len(node_kinds)))
    for node in range(len(node_kinds)):
        path: list[int] = []
        while node_kinds[node] == kinds.SPLIT and len(data[node]) == 1 and node not in path[:1]:
            path.append(node)
            node = same[node] if same[node] != node else data[node][0]
        for passed in path:
            same[passed] = node
    return same


def reach(node: int, node_kinds: list[int], data: list[Any], same: list[int]) -> list[int] | None:
    """What a choice leads to that is no choice; None if there are many choices in between."""
    found: list[int] = []
    seen, queue, n_choices = {node}, [node], 0
    while queue:
        n_choices += 1
        if n_choices > CHOICES_MERGED:
            return None
        for target in data[queue.pop()]:
            target = same[target]
            if target not in seen:
                seen.add(target)
                (queue if node_kinds[target] == kinds.SPLIT else found).append(target)
    return found


def flatten(
    start: int, node_kinds: list[int], data: list[Any], masks: bytes | bytearray, rows: list[int], n_words: int
) -> Program:
    """Nodes as lists to nodes as arrays.

    data: edges of BYTES, targets of SPLIT, (token, is_negated, to) of TOKENS; of all others the numbers x and y
    """
    lists: dict[int, list[Any]] = {kinds.BYTES: [], kinds.SPLIT: [], kinds.TOKENS: []}
    xs, ys = [], []
    for kind, item in zip(node_kinds, data, strict=True):
        target = lists.get(kind)
        if target is None:
            xs.append(item[0])
            ys.append(item[1])
        else:
            xs.append(len(target))
            target += item
            ys.append(len(target))
    edges = np.fromiter(chain.from_iterable(lists[kinds.BYTES]), np.int32).reshape(-1, 3)
    texts = {i: token for i, (token, _, _) in enumerate(lists[kinds.TOKENS]) if isinstance(token, str)}
    tokens = [(-1 if isinstance(t, str) else t, int(is_negated), to) for t, is_negated, to in lists[kinds.TOKENS]]
    class_of, class_byte = byte_classes(edges)
    return Program(
        start=start,
        kinds=np.array(node_kinds, np.uint8),
        xs=np.array(xs, np.int32),
        ys=np.array(ys, np.int32),
        edge_low=edges[:, 0].astype(np.uint8),
        edge_high=edges[:, 1].astype(np.uint8),
        edge_to=np.ascontiguousarray(edges[:, 2]),
        tokens=np.array(tokens, np.int32).reshape(-1, 3),
        targets=np.array(lists[kinds.SPLIT], np.int32),
        masks=np.frombuffer(bytes(masks) or bytes(24 * n_words), "<i8").astype(np.int64),
        rows=np.array(rows or [0, 0], np.int64),
        class_of=class_of,
        class_byte=class_byte,
        class_size=np.bincount(class_of, minlength=len(class_byte)).astype(np.int32),
        n_words=n_words,
        token_texts=texts,
    )


def byte_classes(edges: Ints) -> tuple[Bytes, Bytes]:
    """The class of each byte, and the first byte of each class: bytes that no edge tells apart are one."""
    starts = np.zeros(257, bool)
    starts[0] = True
    starts[edges[:, 0]] = True
    starts[edges[:, 1] + 1] = True
    starts[[*BOUNDS]] = True
    starts = starts[:256]
    return (np.cumsum(starts) - 1).astype(np.uint8), np.flatnonzero(starts).astype(np.uint8)
