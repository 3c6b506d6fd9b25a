"""Texts that share blocks of a cache by what they begin with."""

from __future__ import annotations

import random

import numpy as np
import pytest

from llamakit.core.kernels.kv_cells import BLOCK
from llamakit.core.kv.cache import KVCache, LayerShape
from llamakit.core.kv.prefix_tree import MOST_EVICTED, PrefixTree


def make_tree(n_ctx=512, n_seq_max=4, states=None):
    cache = KVCache([LayerShape(1, 4, 4)], n_ctx, "f32", "f32", n_seq_max, states=states or {})
    return PrefixTree(cache, most_states=3 if states else 0)


def compute(tree, branch, tokens):
    """As a job would: the cells of each token say which text they belong to."""
    for token in tokens:
        tree.cache.place([(branch.seq, 1)])
        branch.tokens.append(token)
        write(tree, branch.seq, len(branch.tokens) - 1, branch.tokens)
        for state in tree.cache.states.values():
            state[branch.seq] = len(branch.tokens)
        tree.grow(branch)


def write(tree, seq, position, text):
    block = tree.cache.tables[seq, position // BLOCK]
    tree.cache.values[0][0, block].view(np.float32).reshape(BLOCK, -1)[position % BLOCK, 0] = mark(text[: position + 1])


def mark(text):
    return np.float32(hash(tuple(text)) % (1 << 23))


def check_cells(tree, seq, text):
    for position in range(len(text)):
        block = tree.cache.tables[seq, position // BLOCK]
        cell = tree.cache.values[0][0, block].view(np.float32).reshape(BLOCK, -1)[position % BLOCK, 0]
        assert cell == mark(text[: position + 1]), position


def run(tree, tokens, seq=0, root="", n_most=None):
    """A job with this text, from beginning to end; returns how much of it was there."""
    branch = tree.begin(seq, root, [])
    n = tree.adopt(branch, tokens[:n_most])
    check_cells(tree, seq, tokens[:n])
    room = -(-len(tokens) // BLOCK) - -(-n // BLOCK)
    assert tree.evict(room)
    compute(tree, branch, tokens[n:])
    check_cells(tree, seq, tokens)
    tree.end(branch)
    return n


def check_sound(tree):
    """Counts of users are what tables and the tree say."""
    users = [0] * tree.cache.pool.n_blocks
    for block, node in tree.nodes.items():
        assert node.block == block
        assert node.parent is None or node in node.parent.children
        users[block] += 1
    for seq in range(tree.cache.n_seq_max):
        for block in tree.cache.tables[seq, : -(-tree.cache.n_past(seq) // BLOCK)]:
            users[block] += 1
    assert users == tree.cache.pool.n_users
    for node in [*tree.roots.values(), *tree.nodes.values()]:
        assert [child.tokens for child in node.children] == sorted(child.tokens for child in node.children)


A = list(range(200))


@pytest.mark.parametrize(
    "first, second, n",
    [
        (A[:100], A[:100], 100),
        (A[:100], A[:64], 64),
        (A[:100], A[:70], 70),
        (A[:64], A[:100], 64),
        (A[:10], A[:100], 10),
        (A[:100], [*A[:80], 7, 7, 7], 80),
        (A[:100], [7, *A[:80]], 0),
        (A[:100], [*A[:63], 7], 63),
    ],
)
def test_a_text_begins_with_all_that_is_known_of_it(first, second, n):
    tree = make_tree()
    assert run(tree, first) == 0
    assert run(tree, second, seq=1) == n
    check_sound(tree)


def test_no_more_is_taken_than_is_asked_for():
    tree = make_tree()
    run(tree, A[:130])
    assert run(tree, A[:130], seq=1, n_most=129) == 129
    assert run(tree, A[:130], seq=1, n_most=64) == 64


def test_what_runs_is_shared_up_to_its_last_token():
    tree = make_tree()
    branch = tree.begin(0, "", [])
    compute(tree, branch, A[:90])
    assert run(tree, A[:130], seq=1) == 90
    compute(tree, branch, A[90:100])
    check_cells(tree, 0, A[:100])
    tree.end(branch)
    check_sound(tree)


def test_roots_share_nothing():
    tree = make_tree()
    run(tree, A[:100], root="one")
    assert run(tree, A[:100], root="two") == 0
    assert run(tree, A[:100], root="one") == 100
    tree.clear()
    assert tree.roots == {}


def test_a_block_that_was_computed_twice_is_kept_once():
    tree = make_tree()
    branches = [tree.begin(seq, "", []) for seq in range(2)]
    for branch in branches:
        compute(tree, branch, A[:70])
    assert tree.cache.tables[0, 0] == tree.cache.tables[1, 0]
    check_sound(tree)
    for branch in branches:
        tree.end(branch)
    assert len(tree.nodes) == 2
    check_sound(tree)


def test_ends_of_texts_that_say_less_than_others_are_dropped():
    tree = make_tree()
    for n in (70, 80, 75, 80):
        run(tree, A[:n])
    assert sorted(len(node.tokens) for node in tree.nodes.values()) == [16, 64]


def test_what_was_used_longest_ago_goes_first_and_is_remembered_as_gone():
    tree = make_tree(n_ctx=256, n_seq_max=1)  # four blocks
    b, c = ([token + i for token in A] for i in (300, 600))
    run(tree, A[:100])
    run(tree, b[:100])
    run(tree, A[:100])
    run(tree, c[:100])
    root = tree.roots[""]
    assert tree.was_evicted(root, b)
    assert not tree.was_evicted(root, A)
    assert run(tree, A[:100]) == 100
    assert run(tree, b[:100]) == 0
    assert len(tree.evicted) <= MOST_EVICTED


def test_what_is_in_use_is_never_evicted():
    tree = make_tree(n_ctx=256, n_seq_max=1)
    branch = tree.begin(0, "", [])
    compute(tree, branch, A[:200])
    assert not tree.evict(1)
    check_cells(tree, 0, A[:200])
    tree.end(branch)
    assert tree.n_evictable == 4
    assert tree.evict(4)
    assert tree.nodes == {}


def test_a_sequence_gets_its_blocks_back_before_it_moves_them():
    tree = make_tree(n_ctx=256, n_seq_max=1)
    run(tree, [*A[:64], *range(500, 564)])  # hangs on a block that will be this one's
    branch = tree.begin(0, "", [])
    tree.adopt(branch, A[:64])
    tree.evict(4)
    compute(tree, branch, A[64:200])
    tree.cut(branch, 70)
    pool = tree.cache.pool
    assert [pool.n_users[block] for block in tree.cache.tables[0, :4]] == [2, 1, 1, 1]
    check_sound(tree)
    tree.end(branch)
    assert run(tree, A[:200]) == 70


def test_erasing_leaves_what_others_share():
    tree = make_tree()
    run(tree, A[:150])
    run(tree, [*A[:64], 7, 7])
    assert tree.erase("", A[:150]) == 86
    assert tree.erase("", A[:150]) == 0
    assert tree.erase("nowhere", A) == 0
    assert run(tree, [*A[:64], 7, 7]) == 66
    check_sound(tree)


def test_layers_that_remember_begin_where_a_copy_was_kept():
    tree = make_tree(states={0: 2})
    branch = tree.begin(0, "", [])
    compute(tree, branch, A[:64])
    tree.remember(branch)
    compute(tree, branch, A[64:150])
    tree.end(branch)
    for tokens, n in ((A[:100], 64), (A[:63], 0), (A[:160], 150), (A[:128], 64), ([*A[:150], 9], 150)):
        branch = tree.begin(1, "", [])
        assert tree.adopt(branch, tokens) == n
        assert (tree.cache.states[0][1] == n).all() or n == 0
        tree.end(branch, is_sound=False)
    for i in range(6):
        run(tree, [i, *A[:70]])
    assert tree.n_states == sum(node.states is not None for node in tree.nodes.values()) == 3
    check_sound(tree)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_cells_are_those_of_their_text(seed):
    rng, tree = random.Random(seed), make_tree(n_ctx=640, n_seq_max=5)
    running = {}
    for _ in range(150):
        seq = rng.randrange(5)
        if seq not in running:
            text = [*range(rng.choice([0, 40, 64, 130])), *(rng.randrange(3) for _ in range(rng.randrange(90)))] or [1]
            branch = tree.begin(seq, rng.choice("ab"), [])
            n = tree.adopt(branch, text)
            check_cells(tree, seq, text[:n])
            running[seq] = branch, text[n:]
            continue
        branch, rest = running[seq]
        n = min(len(rest), rng.randrange(1, 70))
        if rest and tree.evict(2):
            compute(tree, branch, rest[:n])
            del rest[:n]
        else:
            check_cells(tree, seq, branch.tokens)
            if branch.tokens and rng.random() < 0.2:
                tree.cut(branch, rng.randrange(len(branch.tokens)))
            tree.end(branch, is_sound=rng.random() < 0.9)
            del running[seq]
        check_sound(tree)
    for branch, _ in running.values():
        check_cells(tree, branch.seq, branch.tokens)
        tree.end(branch)
    tree.clear()
    assert tree.cache.pool.n_free == tree.cache.pool.n_blocks
