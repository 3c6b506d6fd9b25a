"""Reading text by a grammar, byte for byte: what is known is looked up, what is new is computed once."""

from __future__ import annotations

from llamakit.core.kernels.grammar_tables import (
    BYTES,
    CALL,
    CLOSE,
    COUNT,
    HAS_TOKENS,
    OPEN,
    RETURN,
    SPLIT,
    TAKE,
    TOKENS,
    WORK_FULL,
    Tables,
    intern_state,
    mix,
    push,
    push_plain,
)
from llamakit.core.kernels.kernel import kernel
from llamakit.core.simd.op import helper
from llamakit.core.simd.records import Ptr, Record, i32, i64, u8


@helper
def begin_work(t):
    t.n_work, t.n_found, t.n_visited = 0, 0, 0
    t.epoch += 1


@helper
def visit(t, node, stack):
    """Follow this configuration, unless that was done."""
    key = (int(node) << 32) | stack
    last = 2 * t.max_work - 1
    at = mix(0, key) & last
    while t.visited_epoch[at] == t.epoch:
        if t.visited[at] == key:
            return
        at = (at + 1) & last
    if t.n_visited >= t.max_work:
        t.status = WORK_FULL
        return
    t.visited[at], t.visited_epoch[at] = key, t.epoch
    t.n_visited += 1
    t.work[t.n_work] = key
    t.n_work += 1


@helper
def add_found(t, key):
    """One more configuration that waits, beside those that `follow` finds."""
    if t.n_found >= 2 * t.max_work:
        t.status = WORK_FULL
        return
    t.found[t.n_found] = key
    t.n_found += 1


@helper
def with_frame(t, stack, count):
    """The stack with another count, and `t.bits`, in its top frame."""
    return push(t, t.stack_node[stack], t.stack_parent[stack], count)


@helper
def take(t, stack, row):
    """The stack with bits marked in its top frame; -1 where the masks forbid it."""
    n_words = t.program.n_words
    masks = t.program.masks + row * 3 * n_words
    for w in range(n_words):
        bits = t.stack_bits[stack * n_words + w]
        if bits & masks[w] != 0 or bits & masks[n_words + w] != masks[n_words + w]:
            return -1
        t.bits[w] = bits | masks[2 * n_words + w]
    return with_frame(t, stack, t.stack_count[stack])


@helper
def count(t, stack, row):
    """The stack with one more in its top frame; -1 where that is too many."""
    n = t.stack_count[stack]
    if n >= t.program.rows[row]:
        return -1
    n_words = t.program.n_words
    for w in range(n_words):
        t.bits[w] = t.stack_bits[stack * n_words + w]
    return with_frame(t, stack, min(n + 1, t.program.rows[row + 1]))


@helper
def is_done(t, stack, row):
    """Whether the top frame has all it needs."""
    n_words = t.program.n_words
    masks = t.program.masks + (t.program.rows[row] * 3 + 1) * n_words
    for w in range(n_words):
        if t.stack_bits[stack * n_words + w] & masks[w] != masks[w]:
            return False
    return t.stack_count[stack] >= t.program.rows[row + 1]


@helper
def follow(t):
    """From the configurations in `work`, all that is reached without reading; leaves in `found` what reads."""
    p = t.program
    while t.n_work > 0 and t.status == 0:
        t.n_work -= 1
        key = t.work[t.n_work]
        node, stack = key >> 32, key & 0xFFFFFFFF
        kind, x, y = p.kinds[node], int(p.xs[node]), int(p.ys[node])
        if kind == SPLIT:
            for i in range(x, y):
                visit(t, p.targets[i], stack)
        elif kind == CALL:
            visit(t, x, push_plain(t, y, stack))
        elif kind == RETURN and stack != 0:
            visit(t, t.stack_node[stack], t.stack_parent[stack])
        elif kind == OPEN:
            visit(t, x, push_plain(t, -1, stack))
        elif kind == TAKE:
            taken = take(t, stack, y)
            if taken >= 0:
                visit(t, x, taken)
        elif kind == COUNT:
            counted = count(t, stack, y)
            if counted >= 0:
                visit(t, x, counted)
        elif kind == CLOSE:
            if is_done(t, stack, y):
                visit(t, x, t.stack_parent[stack])
        else:  # BYTES, TOKENS, and RETURN at the end of the text
            t.found[t.n_found] = key
            t.n_found += 1


@helper
def compute_step(t, state, c):
    p = t.program
    byte = p.class_byte[c]
    begin_work(t)
    for i in range(t.state_start[state], t.state_start[state + 1]):
        key = t.configs[i]
        node, stack = key >> 32, key & 0xFFFFFFFF
        if p.kinds[node] == BYTES:
            for e in range(p.xs[node], p.ys[node]):
                if p.edge_low[e] <= byte and byte <= p.edge_high[e]:
                    visit(t, p.edge_to[e], stack)
    follow(t)
    found = intern_state(t)
    if t.status == 0:
        t.next[state * p.n_classes + c] = found
    return found


@helper
def step(t, state, byte):
    """The state after one more byte; 0 when there is none, or with a status."""
    c = int(t.program.class_of[byte])
    known = int(t.next[state * t.program.n_classes + c])
    return known if known >= 0 else compute_step(t, state, c)


@helper
def read(t, state, text, n):
    for i in range(n):
        if state == 0:
            return 0
        state = step(t, state, text[i])
    return state


class Start(Record):
    """A state from the start of the program, or (node < 0) from given configurations."""

    constant = False
    tables: Ptr[Tables]
    node: i64
    configs: Ptr[i64]
    n_configs: i64
    state: i64


@kernel(Start)
def start(op, thread, n_threads):
    """state = all that `node` with an empty stack leads to, or the configurations as they are"""
    t = op.tables
    t.status = 0
    begin_work(t)
    if op.node >= 0:
        visit(t, op.node, 0)
        follow(t)
    for i in range(op.n_configs):
        add_found(t, op.configs[i])
    op.state = intern_state(t)


class Push(Record):
    """One frame on a stack: for moving stacks to new tables."""

    constant = False
    tables: Ptr[Tables]
    node: i64
    parent: i64
    count: i64
    bits: Ptr[i64]
    stack: i64


@kernel(Push)
def push_frame(op, thread, n_threads):
    t = op.tables
    t.status = 0
    for w in range(t.program.n_words):
        t.bits[w] = op.bits[w]
    op.stack = push(t, op.node, op.parent, op.count)


class Read(Record):
    constant = False
    tables: Ptr[Tables]
    text: Ptr[u8]
    n: i64
    token: i64  # that the text is the bytes of, or -1
    state: i64  # before and after


@helper
def visit_token_targets(t, state, token):
    """Begin work at what whole-token edges of `state` lead to."""
    p = t.program
    for i in range(t.state_start[state], t.state_start[state + 1]):
        key = t.configs[i]
        node, stack = key >> 32, key & 0xFFFFFFFF
        if p.kinds[node] == TOKENS:
            for e in range(p.xs[node], p.ys[node]):
                edge = p.tokens + 3 * e
                if (edge[0] == token) != (edge[1] != 0):
                    visit(t, edge[2], stack)


@kernel(Read)
def read_text(op, thread, n_threads):
    """state = what `text`, or `token` as one symbol, leads to; 0 when neither can follow"""
    t, before = op.tables, op.state
    t.status = 0
    after = read(t, before, op.text, op.n) if op.n > 0 or op.token < 0 else 0
    if op.token >= 0 and t.state_flags[before] & HAS_TOKENS != 0:
        begin_work(t)
        visit_token_targets(t, before, op.token)
        follow(t)
        for i in range(t.state_start[after], t.state_start[after + 1]):
            add_found(t, t.configs[i])
        after = union_of_found(t)
    if t.status == 0:
        op.state = after


@helper
def union_of_found(t):
    """The state of `found`, where configurations may be there twice."""
    n = 0
    begin, n_found = t.epoch + 1, t.n_found
    t.epoch, t.n_visited, t.n_work = begin, 0, 0
    for i in range(n_found):
        before = t.n_work
        visit(t, t.found[i] >> 32, t.found[i] & 0xFFFFFFFF)
        if t.n_work > before:
            t.found[n] = t.found[i]
            n += 1
    t.n_found, t.n_work = n, 0
    return intern_state(t)


class Forced(Record):
    """The only bytes that may follow, as far as there is no choice."""

    constant = False
    tables: Ptr[Tables]
    state: i64
    text: Ptr[u8]
    max_bytes: i64
    n: i64
    class_size: Ptr[i32]  # (n_classes,): bytes in each


@kernel(Forced)
def forced(op, thread, n_threads):
    t, p = op.tables, op.tables.program
    t.status = 0
    state, n = op.state, 0
    while n < op.max_bytes and t.state_flags[state] == 0:
        only, after = -1, 0
        for c in range(p.n_classes):
            known = int(t.next[state * p.n_classes + c])
            found = known if known >= 0 else compute_step(t, state, c)
            if t.status != 0:
                return
            if found != 0:
                only = c if only == -1 and op.class_size[c] == 1 else -2
                after = found
        if only < 0:
            break
        op.text[n] = p.class_byte[only]
        n += 1
        state = after
    op.n = n
