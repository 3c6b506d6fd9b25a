"""What is in the cache, whoever computed it: blocks of texts as a tree, so that texts share what they begin with alike.

A node is a block of 64 tokens behind those of its parents; the last one of a finished text may have fewer. The tree is
one more user of each of its blocks (`BlockPool`). Sequences that run hang on it by a `Branch`, and add what they have
computed block by block; new ones begin with the longest way down the tree that their tokens know. Whole blocks are
shared; one that is known in part is copied, as it will be written.

Keys and values of a token depend on the tokens before it, and on the `root`: adapters, and whatever else must not mix.
Nothing here computes anything; whoever calls owns the cache.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from llamakit.core.kernels.kv_cells import BLOCK
from llamakit.core.kv.cache import KVCache
from llamakit.core.kv.sequences import n_blocks

Tokens = tuple[int, ...]
States = dict[int, npt.NDArray[np.float32]]  # what layers that remember kept, as of one position
MOST_EVICTED = 4096  # blocks remembered as such


class Node:
    """Tokens whose keys and values are in a block. A root has none. `states` are those behind its last token."""

    __slots__ = ("block", "children", "parent", "path", "states", "tokens")

    def __init__(self, parent: Node | None, tokens: Tokens, block: int) -> None:
        self.parent, self.tokens, self.block = parent, tokens, block
        self.children: list[Node] = []  # by their tokens, in order
        self.states: States | None = None
        self.path: int = hash((parent.path if parent else 0, tokens))

    def child(self, tokens: Tokens) -> Node | None:
        i = bisect_left(self.children, tokens, key=tokens_of)
        found = self.children[i : i + 1]
        return found[0] if found and found[0].tokens == tokens else None

    def nearest(self, tokens: Tokens) -> tuple[Node | None, int]:
        """The child that begins most like some tokens, and how many they have in common."""
        i = bisect_left(self.children, tokens, key=tokens_of)
        beside = [(n_common(child.tokens, tokens), child) for child in self.children[max(i - 1, 0) : i + 1]]
        n, child = max(beside, key=lambda pair: pair[0], default=(0, None))
        return (child, n) if n else (None, 0)

    def add(self, child: Node) -> None:
        self.children.insert(bisect_left(self.children, child.tokens, key=tokens_of), child)


def tokens_of(node: Node) -> Tokens:
    return node.tokens


@dataclass(eq=False)
class Branch:
    """How a sequence hangs on the tree. `tokens` are those in its cells: the caller's list, which grows."""

    seq: int
    node: Node  # of its last block that the tree has
    tokens: list[int]
    depth: int = 0  # blocks that the tree has
    limit: int | None = None  # positions from here on are not as they were computed: a shift has moved them


@dataclass
class PrefixTree:
    """The tree of one cache. `most_states` is how many copies of states it may keep."""

    cache: KVCache
    most_states: int = 0
    roots: dict[Hashable, Node] = field(default_factory=dict)
    branches: dict[int, Branch] = field(default_factory=dict)  # by sequence
    nodes: dict[int, Node] = field(default_factory=dict)  # by block, all but roots, the least recently used first
    evicted: dict[int, None] = field(default_factory=dict)  # paths
    n_states: int = 0

    # beginning
    def begin(self, seq: int, root: Hashable, tokens: list[int], limit: int | None = None) -> Branch:
        """Let a sequence hang on the tree, by its beginning only: `grow` and `adopt` do the rest."""
        node = self.roots.setdefault(root, Node(None, (), -1))
        node.path = hash(root)
        branch = self.branches[seq] = Branch(seq, node, tokens, limit=limit)
        return branch

    def adopt(self, branch: Branch, wanted: Sequence[int], most: int | None = None, *, is_whole: bool = False) -> int:
        """Let a branch go on with as many of the wanted tokens as are known, and of the first `most` of them; or only
        of whole blocks. Returns how many.

        Only whole blocks can be added to, so nothing is done while the last one is not.
        """
        n_before = len(branch.tokens)
        if n_before != BLOCK * branch.depth or branch.limit is not None:
            return 0
        way, tail, n_tail = self.find(branch.node, wanted, most)
        if is_whole:
            n_tail = 0
        if self.cache.states:
            way, tail, n_tail = with_states(way, tail, n_tail)
        for node in way:
            self.cache.sequences.adopt(branch.seq, node.block)
            branch.tokens += node.tokens
            branch.node, branch.depth = node, branch.depth + 1
        last = branch.node
        if n_tail and tail is not None and self.copy(branch, tail, n_tail):
            first = BLOCK * len(way)
            branch.tokens += wanted[first : first + n_tail]
            last = tail if isinstance(tail, Node) else last
        n = len(branch.tokens) - n_before
        if n:
            for k, state in (last.states or {}).items():
                self.cache.states[k][branch.seq] = state
            self.touch(last)
        return n

    def find(
        self, node: Node, wanted: Sequence[int], most: int | None = None
    ) -> tuple[list[Node], Node | Branch | None, int]:
        """The way down from a node that tokens go: whole blocks, and where the next one begins alike, and how far."""
        way: list[Node] = []
        end = len(wanted) if most is None else min(most, len(wanted))
        for first in range(0, end - BLOCK + 1, BLOCK):
            child = node.child(tuple(wanted[first : first + BLOCK]))
            if child is None:
                break
            way.append(child)
            node = child
        first = BLOCK * len(way)
        rest = tuple(wanted[first : min(first + BLOCK, end)])
        tail: Node | Branch | None
        tail, n = node.nearest(rest)
        if not self.cache.states:
            for branch in self.branches.values():  # what runs has a last block that is not in the tree yet
                if branch.node is node and branch.limit is None:
                    n_more = n_common(tuple(branch.tokens[BLOCK * branch.depth :]), rest)
                    if n_more > n:
                        tail, n = branch, n_more
        return way, tail, n

    def copy(self, branch: Branch, tail: Node | Branch, n: int) -> bool:
        """Give a branch a copy of a block of which it wants n positions; False where there is no room for it."""
        cache = self.cache
        block = tail.block if isinstance(tail, Node) else int(cache.tables[tail.seq, tail.depth])
        cache.pool.share(block)  # it is not evicted now
        if has_room := self.evict(1):
            cache.sequences.append(branch.seq, n)
            cache.copy_block(block, int(cache.tables[branch.seq, branch.depth]))
        cache.pool.release(block)
        return has_room

    # growing
    def grow(self, branch: Branch) -> None:
        """Add the blocks that the sequence has filled. A block that was computed twice is kept once."""
        pool, table = self.cache.pool, self.cache.tables[branch.seq]
        end = len(branch.tokens) if branch.limit is None else branch.limit
        while BLOCK * (branch.depth + 1) <= end:
            tokens = tuple(branch.tokens[BLOCK * branch.depth : BLOCK * (branch.depth + 1)])
            child = branch.node.child(tokens)
            block = int(table[branch.depth])
            if child is None:
                child = self.insert(branch.node, tokens, block)
            elif child.block != block:
                pool.share(child.block)
                pool.release(block)
                table[branch.depth] = child.block
            branch.node, branch.depth = child, branch.depth + 1

    def remember(self, branch: Branch) -> None:
        """Keep what layers that remember have now, where the sequence ends with a whole block, for others to begin."""
        if branch.node.parent is not None and len(branch.tokens) == BLOCK * branch.depth:
            self.keep_states(branch.node, branch.seq)

    def cut(self, branch: Branch, n: int) -> None:
        """Positions from n on are about to be moved: blocks that only the tree uses too are the sequence's again."""
        branch.limit = n if branch.limit is None else min(n, branch.limit)
        while branch.depth > branch.limit // BLOCK and branch.node.parent is not None:
            branch.node, branch.depth = branch.node.parent, branch.depth - 1
        cache = self.cache
        blocks = cache.tables[branch.seq, n // BLOCK : n_blocks(cache.n_past(branch.seq))]
        for block in reversed(blocks.tolist()):
            if block in self.nodes:
                node = self.nodes[block]
                self.prune(node)
                if not node.children and cache.pool.n_users[block] == 2:
                    self.drop(node)

    def prune(self, node: Node) -> None:
        """Forget what hangs on a node that no sequence uses."""
        below = [*node.children]
        for child in below:
            below += child.children
        for child in reversed(below):
            if not child.children and self.cache.pool.n_users[child.block] == 1:
                self.drop(child)

    def end(self, branch: Branch, is_sound: bool = True) -> None:
        """The sequence is done: what it has filled stays, and if it is sound, the beginning of its last block too."""
        if is_sound:
            self.grow(branch)
            n = len(branch.tokens) if branch.limit is None else min(branch.limit, len(branch.tokens))
            tail = tuple(branch.tokens[BLOCK * branch.depth : n])
            last = self.add_tail(branch, tail) if tail else branch.node
            if last.parent is not None and n == len(branch.tokens):
                self.keep_states(last, branch.seq)
            self.touch(last)
        self.touch(branch.node)
        del self.branches[branch.seq]
        self.cache.truncate(branch.seq, 0)
        self.tidy()

    def add_tail(self, branch: Branch, tokens: Tokens) -> Node:
        """The node of the beginning of a block; those that say less than another are dropped, where no states are."""
        parent, has_states = branch.node, bool(self.cache.states)
        nearest, n = parent.nearest(tokens)
        if nearest is not None and n == len(tokens) and (not has_states or len(nearest.tokens) == n):
            return nearest
        if nearest is not None and n == len(nearest.tokens) and not has_states:
            self.drop(nearest)
        return self.insert(parent, tokens, int(self.cache.tables[branch.seq, branch.depth]))

    def insert(self, parent: Node, tokens: Tokens, block: int) -> Node:
        node = Node(parent, tokens, block)
        parent.add(node)
        self.nodes[block] = node
        self.cache.pool.share(block)
        return node

    def keep_states(self, node: Node, seq: int) -> None:
        """A copy of a sequence's states, in place of the one that was used longest ago if there are too many."""
        if not self.cache.states or not self.most_states:
            return
        self.n_states += node.states is None
        node.states = {k: state[seq].copy() for k, state in self.cache.states.items()}
        for old in self.nodes.values():
            if self.n_states <= self.most_states:
                break
            if old.states is not None and old is not node:
                self.forget_states(old)

    def forget_states(self, node: Node) -> None:
        self.n_states -= node.states is not None
        node.states = None

    # forgetting
    @property
    def n_evictable(self) -> int:
        """Blocks that nobody but the tree uses."""
        n_users = self.cache.pool.n_users
        return sum(n_users[block] == 1 for block in self.nodes)

    def evict(self, n: int) -> bool:
        """Make n blocks free at the cost of texts that were used longest ago; False where too few are to be had."""
        pool = self.cache.pool
        if pool.n_free >= n:
            return True
        has_found = True
        while has_found and pool.n_free < n:
            has_found = False
            for block, node in [*self.nodes.items()]:
                if pool.n_users[block] == 1 and not node.children:
                    self.evicted[node.path] = None
                    self.drop(node)
                    has_found = True
                    if pool.n_free >= n:
                        break
        for path in [*self.evicted][: len(self.evicted) - MOST_EVICTED]:
            del self.evicted[path]
        self.tidy()
        return pool.n_free >= n

    def was_evicted(self, node: Node, tokens: Sequence[int]) -> bool:
        """Whether the block that would come next has been here."""
        return hash((node.path, tuple(tokens[:BLOCK]))) in self.evicted

    def erase(self, root: Hashable, tokens: Sequence[int]) -> int:
        """Forget the end of a text, as far back as no other text shares it; returns how many tokens are gone."""
        if root not in self.roots:
            return 0
        way, tail, n = self.find(self.roots[root], tokens)
        if isinstance(tail, Node) and n == len(tail.tokens):
            way.append(tail)
        n = 0
        for node in reversed(way):
            if node.children or self.cache.pool.n_users[node.block] > 1:
                break
            n += len(node.tokens)
            self.drop(node)
        self.tidy()
        return n

    def clear(self) -> None:
        """Forget all that no sequence uses."""
        self.evict(self.cache.pool.n_blocks)
        self.evicted.clear()

    def drop(self, node: Node) -> None:
        """Take a node without children out of the tree."""
        assert node.parent is not None and not node.children, "not a leaf"
        node.parent.children.remove(node)
        self.forget_states(node)
        del self.nodes[node.block]
        self.cache.pool.release(node.block)

    def touch(self, node: Node) -> None:
        """It was used now, and so were its parents, which stay longer than it does."""
        for used in upwards(node):
            self.nodes[used.block] = self.nodes.pop(used.block)

    def tidy(self) -> None:
        """Forget roots that nothing hangs on."""
        used = {id(branch.node) for branch in self.branches.values()}
        for key in [key for key, root in self.roots.items() if not root.children and id(root) not in used]:
            del self.roots[key]


def upwards(node: Node) -> Iterator[Node]:
    """A node and its parents, without the root."""
    while node.parent is not None:
        yield node
        node = node.parent


def with_states(
    way: list[Node], tail: Node | Branch | None, n_tail: int
) -> tuple[list[Node], Node | Branch | None, int]:
    """As much of a way as layers that remember can begin behind."""
    if isinstance(tail, Node) and tail.states is not None and n_tail == len(tail.tokens):
        return way, tail, n_tail
    while way and way[-1].states is None:
        way = way[:-1]
    return way, None, 0


def n_common(a: Tokens, b: Tokens) -> int:
    """How many tokens both begin with."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
