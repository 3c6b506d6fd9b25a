"""Block tables: who holds which blocks, whatever happens to the sequences."""

from __future__ import annotations

import random

import pytest

from llamakit.core.kv.blocks import BlockPool
from llamakit.core.kv.sequences import Sequences, n_blocks
from llamakit.errors import ModelError


def make(n_ctx=1024, n_seq_max=3, n_pool=20):
    copies = []
    sequences = Sequences(n_ctx, n_seq_max, BlockPool(n_pool), lambda source, target: copies.append((source, target)))
    return sequences, copies


def held(sequences, seq):
    return sequences.tables[seq, : n_blocks(sequences.n_past[seq])].tolist()


@pytest.mark.parametrize("n, blocks", [(0, 0), (1, 1), (63, 1), (64, 1), (65, 2), (129, 3)])
def test_positions_take_as_many_blocks_as_they_fill(n, blocks):
    sequences, _ = make()
    sequences.append(0, n)
    assert sequences.n_past[0] == n
    assert sequences.pool.n_free == 20 - blocks


def test_one_by_one_is_the_same_as_all_at_once():
    one, _ = make()
    for _ in range(150):
        one.append(0, 1)
    whole, _ = make()
    whole.append(0, 150)
    assert held(one, 0) == held(whole, 0)


def test_a_cell_is_its_block_and_its_place_there():
    sequences, _ = make()
    sequences.append(1, 70)
    sequences.append(0, 70)
    blocks = held(sequences, 0)
    assert sequences.cells(0, 62, 66).tolist() == [
        blocks[0] * 64 + 62,
        blocks[0] * 64 + 63,
        blocks[1] * 64,
        blocks[1] * 64 + 1,
    ]


def test_truncating_gives_back_what_is_no_longer_needed():
    sequences, _ = make()
    sequences.append(0, 200)
    sequences.truncate(0, 64)
    assert (sequences.n_past[0], sequences.pool.n_free) == (64, 19)
    sequences.truncate(0, 100)
    assert sequences.n_past[0] == 64
    sequences.truncate(0, 0)
    assert sequences.pool.n_free == 20


def test_a_fork_shares_blocks_until_one_of_the_two_writes():
    sequences, copies = make()
    sequences.append(0, 100)
    sequences.fork(0, 1)
    assert held(sequences, 1) == held(sequences, 0)
    assert sequences.pool.n_free == 18
    full, last = held(sequences, 0)
    sequences.append(1, 1)
    assert copies == [(last, held(sequences, 1)[1])]
    assert held(sequences, 0) == [full, last]
    assert held(sequences, 1)[0] == full
    sequences.append(0, 1)
    assert len(copies) == 1, "the block is the first sequence's alone by now"


def test_a_fork_of_a_prefix_writes_into_a_copy():
    sequences, copies = make()
    sequences.append(0, 128)
    sequences.fork(0, 2, 70)
    assert held(sequences, 2) == held(sequences, 0)
    sequences.append(2, 5)
    assert len(copies) == 1
    assert held(sequences, 2)[1] != held(sequences, 0)[1]


def test_a_fork_at_a_block_border_copies_nothing():
    sequences, copies = make()
    sequences.append(0, 128)
    sequences.fork(0, 1)
    sequences.append(1, 1)
    assert copies == []


def test_a_fork_onto_itself_changes_nothing():
    sequences, _ = make()
    sequences.append(0, 100)
    sequences.fork(0, 0)
    assert (sequences.n_past[0], sequences.pool.n_free) == (100, 18)


def test_a_sequence_longer_than_the_context_is_refused_with_the_numbers():
    sequences, _ = make(n_ctx=100)
    sequences.append(0, 90)
    with pytest.raises(ModelError, match="holds 90 positions and cannot take 11 more: the context is 100"):
        sequences.append(0, 11)
    assert sequences.n_past[0] == 90


def test_a_full_cache_is_refused_with_the_numbers_and_left_as_it_was():
    sequences, _ = make(n_pool=3)
    sequences.append(0, 128)
    with pytest.raises(ModelError, match="65 more positions need 2 blocks of 64, and 1 of 3 are free"):
        sequences.append(1, 65)
    assert (sequences.n_past[1], sequences.pool.n_free) == (0, 1)


def test_a_copy_before_writing_counts_as_a_block():
    sequences, _ = make(n_pool=1)
    sequences.append(0, 10)
    sequences.fork(0, 1)
    with pytest.raises(ModelError, match="need 1 blocks"):
        sequences.append(1, 1)


def test_any_history_leaves_every_block_counted_once_for_each_holder():
    rng = random.Random(1)
    sequences, _ = make(n_seq_max=4)
    for _ in range(3000):
        seq = rng.randrange(4)
        match rng.randrange(4):
            case 0 | 1:
                try:
                    sequences.append(seq, rng.randrange(90))
                except ModelError:
                    sequences.truncate(rng.randrange(4), 0)
            case 2:
                sequences.truncate(seq, rng.randrange(300))
            case 3:
                sequences.fork(seq, rng.randrange(4), rng.randrange(400))
        holders = [b for s in range(4) for b in held(sequences, s)]
        pool = sequences.pool
        assert [holders.count(b) for b in range(20)] == pool.n_users
        assert sorted(pool.free) == [b for b in range(20) if b not in holders]
