"""What a grammar is at run time: a program of nodes, and the tables of stacks and states that a text has led to.

A *configuration* is a node of the program with a stack: where the grammar may be after the text so far. A *state* is
the set of all configurations after the same text; states, like stacks, are stored once, so that equal ones have equal
numbers and what follows from a state is computed once. State 0 is the empty set: no text of the grammar begins so.
Stack 0 is the empty stack.
"""

from __future__ import annotations

from llamakit.core.kernels.kernel import kernel
from llamakit.core.simd.op import helper
from llamakit.core.simd.records import Ptr, Record, i32, i64, u8

# kinds of nodes; x and y are the node's two numbers
BYTES = 0  # read a byte: edges x .. y
TOKENS = 1  # read a whole token: token edges x .. y
RETURN = (
    2  # leave the rule: go on at the node of the top frame, without that frame; the end of the text if there is none
)
SPLIT = 3  # go on at each of targets x .. y
CALL = 4  # go on at x with a new frame that returns to y
OPEN = 5  # go on at x with a new frame of counters
TAKE = 6  # mark bits of the frame, if row y of the masks allows it; go on at x
COUNT = 7  # count to at most rows[y], staying at rows[y + 1]; go on at x
CLOSE = 8  # drop the frame, if the bits of mask row rows[y] are set and the count is at least rows[y + 1]; go on at x

UNKNOWN = -1  # in `next`: not computed yet
DEAD = 0  # the empty state
IS_ACCEPTING, HAS_TOKENS, IS_FREE, IS_NOT_FREE = 1, 2, 4, 8  # flags of a state; free: see `grammar_mask.is_free`

# why a kernel stopped; Python makes room, and calls again
OK, STACKS_FULL, STATES_FULL, CONFIGS_FULL, WORK_FULL = 0, 1, 2, 3, 4


class Program(Record):
    """The nodes of a grammar, flat. Bytes that no edge tells apart are one class."""

    kinds: Ptr[u8]
    xs: Ptr[i32]
    ys: Ptr[i32]
    edge_low: Ptr[u8]
    edge_high: Ptr[u8]
    edge_to: Ptr[i32]
    tokens: Ptr[i32]  # (n, 3): id, whether every other one is meant, target
    targets: Ptr[i32]
    masks: Ptr[i64]  # rows of 3 * n_words: bits that must be clear, that must be set, to set
    rows: Ptr[i64]
    class_of: Ptr[u8]  # (256,)
    class_byte: Ptr[u8]  # (n_classes,): one byte of each
    n_classes: i64
    n_words: i64  # of 64 bits, in a frame


class Tables(Record):
    """All that grows: stacks, states, and room to work in. Hash tables hold numbers, -1 for none."""

    constant = False
    program: Ptr[Program]
    stack_node: Ptr[i32]  # where the top frame returns to
    stack_parent: Ptr[i32]
    stack_count: Ptr[i64]
    stack_bits: Ptr[i64]  # (n_stacks, n_words)
    stack_table: Ptr[i32]
    n_stacks: i64
    max_stacks: i64  # half of the table's size, a power of two
    state_start: Ptr[i32]  # (n_states + 1,)
    state_flags: Ptr[u8]
    state_table: Ptr[i32]
    next: Ptr[i32]  # (n_states, n_classes)
    n_states: i64
    max_states: i64
    configs: Ptr[i64]  # node * 2^32 + stack, ascending within a state
    max_configs: i64
    work: Ptr[i64]  # configurations still to follow
    n_work: i64
    found: Ptr[i64]  # those that wait for a byte, a token or the end; room for twice max_work
    n_found: i64
    visited: Ptr[i64]  # hash table of `epoch`: those that were followed
    visited_epoch: Ptr[i64]
    n_visited: i64
    max_work: i64  # half of its size, a power of two
    epoch: i64
    bits: Ptr[i64]  # (n_words,): of the frame being made
    status: i64


@helper
def mix(h, x):
    """Fold a number into a hash."""
    h = (h ^ x) * -7046029254386353131
    return h ^ ((h >> 29) & 0x7FFFFFFFF)


@helper
def is_stack(t, stack, node, parent, count):
    n_words = t.program.n_words
    same = t.stack_node[stack] == node and t.stack_parent[stack] == parent and t.stack_count[stack] == count
    for w in range(n_words):
        same = same and t.stack_bits[stack * n_words + w] == t.bits[w]
    return same


@helper
def hash_frame(node, parent, count, bits, n_words):
    h = mix(mix(mix(0, node), parent), count)
    for w in range(n_words):
        h = mix(h, bits[w])
    return h


@helper
def hash_state(configs, n):
    h = 0
    for i in range(n):
        h = mix(h, configs[i])
    return h


@helper
def push(t, node, parent, count):
    """The stack of a frame (with `t.bits`) on `parent`."""
    n_words = t.program.n_words
    last = 2 * t.max_stacks - 1
    at = hash_frame(node, parent, count, t.bits, n_words) & last
    while t.stack_table[at] >= 0:
        if is_stack(t, t.stack_table[at], node, parent, count):
            return int(t.stack_table[at])
        at = (at + 1) & last
    if t.n_stacks >= t.max_stacks:
        t.status = STACKS_FULL
        return 0
    stack = t.n_stacks
    t.n_stacks = stack + 1
    t.stack_table[at] = stack
    t.stack_node[stack] = node
    t.stack_parent[stack] = parent
    t.stack_count[stack] = count
    for w in range(n_words):
        t.stack_bits[stack * n_words + w] = t.bits[w]
    return stack


@helper
def push_plain(t, node, parent):
    for w in range(t.program.n_words):
        t.bits[w] = 0
    return push(t, node, parent, 0)


@helper
def sort(values, n):
    """Shell's sort, ascending."""
    gap = 1
    while gap < n // 9:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, n):
            value, j = values[i], i
            while j >= gap and values[j - gap] > value:
                values[j] = values[j - gap]
                j -= gap
            values[j] = value
        gap //= 3


@helper
def is_state(t, state):
    start = int(t.state_start[state])
    if t.state_start[state + 1] - start != t.n_found:
        return False
    for i in range(t.n_found):
        if t.configs[start + i] != t.found[i]:
            return False
    return True


@helper
def intern_state(t):
    """The state of the configurations in `found`."""
    if t.status != 0 or t.n_found == 0:
        return 0
    sort(t.found, t.n_found)
    last = 2 * t.max_states - 1
    at = hash_state(t.found, t.n_found) & last
    while t.state_table[at] >= 0:
        if is_state(t, t.state_table[at]):
            return int(t.state_table[at])
        at = (at + 1) & last
    if t.n_states >= t.max_states:
        t.status = STATES_FULL
        return 0
    state = t.n_states
    start = int(t.state_start[state])
    if start + t.n_found > t.max_configs:
        t.status = CONFIGS_FULL
        return 0
    flags = 0
    for i in range(t.n_found):
        t.configs[start + i] = t.found[i]
        kind = t.program.kinds[t.found[i] >> 32]
        flags = flags | (IS_ACCEPTING if kind == RETURN else HAS_TOKENS if kind == TOKENS else 0)
    t.state_start[state + 1] = start + t.n_found
    t.state_flags[state] = flags
    t.n_states = state + 1
    t.state_table[at] = state
    n_classes = t.program.n_classes
    for c in range(n_classes):
        t.next[state * n_classes + c] = UNKNOWN
    return state


class Rehash(Record):
    tables: Ptr[Tables]  # whose hash tables are empty


@kernel(Rehash)
def rehash(op, thread, n_threads):
    """Enter all stacks and states in the hash tables."""
    t = op.tables
    n_words, last = t.program.n_words, 2 * t.max_stacks - 1
    for stack in range(1, t.n_stacks):
        node, parent, count = int(t.stack_node[stack]), int(t.stack_parent[stack]), t.stack_count[stack]
        at = hash_frame(node, parent, count, t.stack_bits + stack * n_words, n_words) & last
        while t.stack_table[at] >= 0:
            at = (at + 1) & last
        t.stack_table[at] = stack
    last = 2 * t.max_states - 1
    for state in range(1, t.n_states):
        start = int(t.state_start[state])
        at = hash_state(t.configs + start, t.state_start[state + 1] - start) & last
        while t.state_table[at] >= 0:
            at = (at + 1) & last
        t.state_table[at] = state
    t.status = 0
