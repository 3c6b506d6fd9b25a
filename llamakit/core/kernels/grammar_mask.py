"""Which tokens may come next: the vocabulary as a trie of bytes, walked with the states of a grammar."""

from __future__ import annotations

from llamakit.core.kernels.grammar import step
from llamakit.core.kernels.grammar_tables import HAS_TOKENS, IS_ACCEPTING, IS_FREE, IS_NOT_FREE, TOKENS, Tables
from llamakit.core.kernels.kernel import kernel
from llamakit.core.simd.op import helper
from llamakit.core.simd.records import Ptr, Record, i32, i64, u8


class Trie(Record):
    """Nodes in preorder, the root left out: the byte that leads to a node, how deep it is, where its subtree ends."""

    bytes: Ptr[u8]
    depths: Ptr[i32]  # 1 below the root
    ends: Ptr[i32]
    tokens: Ptr[i32]  # that ends at the node, or -1
    n_nodes: i64


class BuildTrie(Record):
    """Texts one after the other, sorted, none empty or twice."""

    constant = False
    text: Ptr[u8]
    offsets: Ptr[i64]  # (n + 1,)
    ids: Ptr[i32]  # (n,)
    n: i64
    bytes: Ptr[u8]  # room for a node for each byte of the text
    depths: Ptr[i32]
    ends: Ptr[i32]
    tokens: Ptr[i32]
    path: Ptr[i32]  # room for a number for each byte of the longest text
    n_nodes: i64


@kernel(BuildTrie)
def build_trie(op, thread, n_threads):
    n_nodes, depth = 0, 0  # nodes so far; how many of them are on the path to the text before
    for i in range(op.n):
        first, last = op.offsets[i], op.offsets[i + 1]
        shared = 0
        while shared < depth and shared < last - first and op.bytes[op.path[shared]] == op.text[first + shared]:
            shared += 1
        for d in range(shared, depth):
            op.ends[op.path[d]] = n_nodes
        for d in range(shared, last - first):
            op.bytes[n_nodes] = op.text[first + d]
            op.depths[n_nodes] = d + 1
            op.tokens[n_nodes] = -1
            op.path[d] = n_nodes
            n_nodes += 1
        depth = last - first
        op.tokens[n_nodes - 1] = op.ids[i]
    for d in range(depth):
        op.ends[op.path[d]] = n_nodes
    op.n_nodes = n_nodes


FREE_BYTES = 16  # of free text; longer tokens are looked at one by one
MOST_PLACES = 512  # looked at to find out whether a state is free
PLACE_TABLE = 2048
NO_PHASE = 255


class FindFree(Record):
    text: Ptr[u8]
    offsets: Ptr[i64]
    n: i64
    phases: Ptr[u8]  # see Mask
    found: Ptr[u8]


@kernel(FindFree)
def find_free(op, thread, n_threads):
    """found = 1 for the texts of up to FREE_BYTES bytes that are free text, or its beginning"""
    for i in range(op.n):
        first, last = op.offsets[i], op.offsets[i + 1]
        phase = 0 if last - first <= FREE_BYTES else NO_PHASE
        while first < last and phase != NO_PHASE:
            phase = int(op.phases[phase * 256 + op.text[first]])
            first += 1
        op.found[i] = 1 if phase != NO_PHASE else 0


class Mask(Record):
    """Bit t % 32 of word t // 32: may token t come next?"""

    constant = False
    tables: Ptr[Tables]
    trie: Ptr[Trie]
    state: i64
    words: Ptr[i32]  # (n_words,)
    n_words: i64
    ordinary: Ptr[i32]  # the mask of all tokens that do not end a text: what "any other token" means
    endings: Ptr[i32]  # ids that end a text
    n_endings: i64
    twins: Ptr[i32]  # (n_twins, 2): a token of the trie, and another with the same bytes
    n_twins: i64
    path: Ptr[i32]  # room for the state at each depth
    free: Ptr[i32]  # the mask of all tokens that are free text
    others: Ptr[Trie]  # all others
    phases: Ptr[u8]  # (8, 256): of free text, where a byte leads to within a character; NO_PHASE
    places: Ptr[i64]  # (MOST_PLACES,): state * 8 + phase
    place_table: Ptr[i64]  # (PLACE_TABLE,)


@helper
def allow(words, token):
    words[token >> 5] = words[token >> 5] | (1 << (token & 31))


@helper
def walk(t, trie, state, words, path):
    """Set the bits of all tokens whose bytes can be read from `state`."""
    p = t.program
    n_classes, n_nodes = p.n_classes, trie.n_nodes
    path[0] = state
    i = 0
    while i < n_nodes:
        depth = trie.depths[i]
        before = int(path[depth - 1])
        after = int(t.next[before * n_classes + p.class_of[trie.bytes[i]]])
        if after < 0:
            after = step(t, before, trie.bytes[i])
            if t.status != 0:
                return
        if after == 0:
            i = int(trie.ends[i])
        else:
            path[depth] = after
            token = int(trie.tokens[i])
            if token >= 0:
                allow(words, token)
            i += 1


@helper
def add_place(op, n, place):
    """Enter a place behind the first n; returns how many there are, or -1 when that is too many."""
    at = (place * 2654435761 >> 8) & (PLACE_TABLE - 1)
    while op.place_table[at] != 0:
        if op.place_table[at] == place:
            return n
        at = (at + 1) & (PLACE_TABLE - 1)
    if n >= MOST_PLACES:
        return -1
    op.place_table[at] = place
    op.places[n] = place
    return n + 1


@helper
def search_free(op, t, state):
    """1 when no free text of up to FREE_BYTES bytes leaves the grammar; 2 when none at all does; else 0."""
    p = t.program
    n_classes = p.n_classes
    for i in range(PLACE_TABLE):
        op.place_table[i] = 0
    n = add_place(op, 0, state * 8)
    done, level_end, depth = 0, 1, 0
    while done < n and depth < FREE_BYTES:
        place = op.places[done]
        here, phase = place >> 3, place & 7
        done += 1
        if not (phase == 0 and t.state_flags[here] & IS_FREE != 0):
            for c in range(n_classes):
                after_phase = op.phases[phase * 256 + p.class_byte[c]]
                if after_phase == NO_PHASE:
                    continue
                after = int(t.next[here * n_classes + c])
                if after < 0:
                    after = step(t, here, p.class_byte[c])
                if after == 0:
                    return 0
                n = add_place(op, n, after * 8 + after_phase)
                if n < 0:
                    return 0
        if done == level_end:
            depth, level_end = depth + 1, n
    if done < n:
        return 1
    for i in range(n):
        if op.places[i] & 7 == 0:
            here = op.places[i] >> 3
            t.state_flags[here] = t.state_flags[here] | IS_FREE
    return 2


@helper
def is_free(op, t):
    """Whether all free text may follow: characters that JSON strings take as they are. Most tokens are such text."""
    flags = t.state_flags[op.state]
    if flags & (IS_FREE | IS_NOT_FREE) == 0:
        found = search_free(op, t, op.state)
        if t.status != 0:
            return False
        flags = flags | (IS_FREE if found > 0 else IS_NOT_FREE)
        t.state_flags[op.state] = flags
    return flags & IS_FREE != 0


@helper
def allow_whole_tokens(op, t):
    """Set the bits of what whole-token edges accept."""
    p, words = t.program, op.words
    for i in range(t.state_start[op.state], t.state_start[op.state + 1]):
        node = t.configs[i] >> 32
        if p.kinds[node] == TOKENS:
            for e in range(p.xs[node], p.ys[node]):
                edge = p.tokens + 3 * e
                if edge[1] == 0:
                    allow(words, int(edge[0]))
                else:
                    token = int(edge[0])
                    was = words[token >> 5] & (1 << (token & 31))
                    for w in range(op.n_words):
                        words[w] = words[w] | op.ordinary[w]
                    words[token >> 5] = (words[token >> 5] & ~(1 << (token & 31))) | was


@kernel(Mask)
def fill(op, thread, n_threads):
    t = op.tables
    t.status = 0
    if op.state != 0 and is_free(op, t):
        for w in range(op.n_words):
            op.words[w] = op.free[w]
        walk(t, op.others, op.state, op.words, op.path)
    else:
        for w in range(op.n_words):
            op.words[w] = 0
        if op.state != 0:
            walk(t, op.trie, op.state, op.words, op.path)
    for i in range(op.n_twins):
        token = int(op.twins[2 * i])
        if op.words[token >> 5] & (1 << (token & 31)) != 0:
            allow(op.words, int(op.twins[2 * i + 1]))
    flags = t.state_flags[op.state]
    if flags & HAS_TOKENS != 0:
        allow_whole_tokens(op, t)
    if flags & IS_ACCEPTING != 0:
        for i in range(op.n_endings):
            allow(op.words, int(op.endings[i]))
