"""What a context promises: the same bits however the work is cut, and nothing done where it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.engine.context import Chunk, Context, Outputs
from llamakit.core.engine.load import Model
from llamakit.core.engine.programs import OUTPUTS
from llamakit.core.kernels.kv_cells import CELL_TYPES
from llamakit.errors import ModelError, UsageError

from ...running import logits_of, open_context
from ...tiny import Tiny, write_tiny

TINY = Tiny(n_head_kv=2, type="q8_0", types={"attn_v": "q4_0"})
TOKENS = np.random.default_rng(1).integers(0, TINY.n_vocab, 520)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", TINY)


@pytest.fixture(scope="module")
def whole(path):
    """Logits of all tokens, computed at once."""
    with open_context(path, n_ctx=600, n_ubatch=512, n_threads=2) as context:
        return logits_of(context, TOKENS, len(TOKENS))


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 7, 64, 512])
def test_chunks_and_threads_do_not_change_a_bit(path, whole, size, n_threads):
    with open_context(path, n_ctx=600, n_ubatch=512, n_threads=n_threads) as context:
        np.testing.assert_array_equal(logits_of(context, TOKENS, size), whole)


@pytest.mark.parametrize("n_ubatch", [1, 5, 16, 65])
def test_ubatches_do_not_change_a_bit(path, whole, n_ubatch):
    with open_context(path, n_ubatch=n_ubatch) as context:
        np.testing.assert_array_equal(logits_of(context, TOKENS[:150], 150), whole[:150])


def test_threads_may_differ_between_one_token_and_many(path, whole):
    with open_context(path, n_threads=1, n_threads_batch=3) as context:
        np.testing.assert_array_equal(logits_of(context, TOKENS[:100], 99), whole[:100])


def test_sequences_decoded_together_have_the_bits_of_each_alone(path, whole):
    """Three sequences that grow side by side, one of them token by token."""
    with open_context(path, n_seq_max=3, n_ubatch=32) as context:
        got = {0: [], 1: [], 2: []}
        for first, n in ((0, 1), (1, 40), (41, 3)):
            steps = {0: TOKENS[first : first + n], 1: TOKENS[first // 2 :][:1], 2: TOKENS[first : first + n]}
            chunks = [Chunk(tokens, seq, Outputs.ALL) for seq, tokens in steps.items()]
            rows = np.split(context.decode(chunks), np.cumsum([len(c.tokens) for c in chunks])[:-1])
            for seq, part in enumerate(rows):
                got[seq].append(part)
        assert [context.n_past(seq) for seq in range(3)] == [44, 3, 44]
        np.testing.assert_array_equal(np.concatenate(got[0]), whole[:44])
        np.testing.assert_array_equal(np.concatenate(got[2]), whole[:44])
        alone = logits_of(context, np.array([TOKENS[0], TOKENS[0], TOKENS[20]]), 3, seq=1)
        np.testing.assert_array_equal(np.concatenate(got[1]), alone)


# outputs
@pytest.mark.parametrize("n", [1, 63, 64, 65, 130, 200])
def test_outputs_are_all_the_last_or_none(path, whole, n):
    with open_context(path, n_ubatch=130) as context:
        for wanted, rows in ((Outputs.ALL, whole[:n]), (Outputs.LAST, whole[n - 1 : n]), (Outputs.NONE, whole[:0])):
            context.truncate(0)
            logits = context.decode([Chunk(TOKENS[:n], outputs=wanted)])
            assert logits.dtype == np.float32 and logits.shape == (len(rows), TINY.n_vocab)
            np.testing.assert_array_equal(logits, rows)
            assert context.n_past() == n


def test_outputs_of_several_sequences_come_in_the_order_given(path, whole):
    with open_context(path, n_seq_max=3, n_ubatch=70) as context:
        chunks = [Chunk(TOKENS[:90], 2, Outputs.ALL), Chunk(TOKENS[:5], 0, Outputs.NONE), Chunk(TOKENS[:30], 1)]
        np.testing.assert_array_equal(context.decode(chunks), [*whole[:90], whole[29]])


@pytest.mark.parametrize("first, end", [(0, 200), (70, 199), (100, 100), (199, 200)])
def test_outputs_may_be_a_range(path, whole, first, end):
    with open_context(path, n_ubatch=130) as context:
        logits = context.decode([Chunk(TOKENS[:200], outputs=range(first, end))])
        np.testing.assert_array_equal(logits, whole[first:end])
        assert context.n_past() == 200


@pytest.mark.parametrize("wanted", [range(0, 11), range(-1, 3), range(0, 10, 2), range(5, 2)])
def test_a_range_of_outputs_lies_within_the_chunk(path, wanted):
    with open_context(path) as context, pytest.raises(UsageError, match="outputs"):
        context.decode([Chunk(TOKENS[:10], outputs=wanted)])


def test_slices_are_the_rows_of_decode_in_order(path, whole):
    with open_context(path, n_seq_max=2, n_ubatch=130) as context:
        chunks = [Chunk(TOKENS[:150], 1, Outputs.ALL), Chunk(TOKENS[:20], 0, range(3, 9))]
        slices = [(len(rows), rows.copy()) for rows in context.slices(chunks)]
        assert max(n for n, _ in slices) <= OUTPUTS < 130
        np.testing.assert_array_equal(np.concatenate([rows for _, rows in slices]), [*whole[:150], *whole[3:9]])


def test_logits_are_the_callers_to_keep(path, whole):
    with open_context(path) as context:
        first = context.prefill(TOKENS[:10])
        context.step(int(TOKENS[10]))
        np.testing.assert_array_equal(first, whole[9])


# what is refused
@pytest.mark.parametrize("token", [-1, TINY.n_vocab, 2**31, -(2**40)])
def test_an_id_that_is_no_token_is_refused_and_nothing_added(path, whole, token):
    with open_context(path) as context:
        context.prefill(TOKENS[:3])
        with pytest.raises(UsageError, match=f"token {token} is not in the vocabulary of {TINY.n_vocab} tokens"):
            context.prefill([5, token])
        assert context.n_past() == 3
        np.testing.assert_array_equal(context.step(int(TOKENS[3])), whole[3])


def test_a_full_cache_is_an_error_that_adds_nothing(path, whole):
    with open_context(path, n_ctx=100, n_ubatch=16) as context:
        context.prefill(TOKENS[:90])
        with pytest.raises(ModelError, match=r"holds 90 positions and cannot take 11 more: the context is 100"):
            context.prefill(TOKENS[90:101])
        assert context.n_past() == 90
        np.testing.assert_array_equal(context.prefill(TOKENS[90:100]), whole[99])
        with pytest.raises(ModelError):
            context.step(1)
        context.truncate(99)
        np.testing.assert_array_equal(context.step(int(TOKENS[99])), whole[99])


def test_when_sequences_do_not_all_fit_none_is_begun(path, whole):
    with open_context(path, n_ctx=128, n_seq_max=2) as context:
        context.prefill(TOKENS[:100], seq=0)
        with pytest.raises(ModelError, match="the KV cache is full"):
            context.decode([Chunk(TOKENS[100:120], 0), Chunk(TOKENS[:65], 1)])
        assert (context.n_past(0), context.n_past(1)) == (100, 0)
        np.testing.assert_array_equal(context.prefill(TOKENS[:64], seq=1), whole[63])


@pytest.mark.parametrize(
    "chunks, message",
    [
        ([Chunk([])], "sequence 0: no tokens to compute"),
        ([Chunk([1], 2)], "each of 0 to 1"),
        ([Chunk([1], -1)], "each of 0 to 1"),
        ([Chunk([1], 0), Chunk([2], 0)], "may appear once"),
    ],
)
def test_chunks_that_make_no_sense_are_refused(path, chunks, message):
    with open_context(path, n_seq_max=2) as context, pytest.raises(UsageError, match=message):
        context.decode(chunks)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"n_ctx": -1}, "n_ctx is -1"),
        ({"n_batch": 0}, "n_batch is 0"),
        ({"n_ubatch": -3}, "n_ubatch is -3"),
        ({"n_seq_max": 0}, "n_seq_max is 0"),
        ({"n_threads": 300}, "300 threads"),
        ({"type_k": "q4_0"}, "a KV cache cannot be 'q4_0'"),
    ],
)
def test_options_out_of_range_are_refused(path, options, message):
    with pytest.raises(UsageError, match=message):
        open_context(path, **options)


# the cache
@pytest.mark.parametrize("n_ctx", [1, 63, 64, 65, 100])
def test_every_position_of_any_context_can_be_used(path, whole, n_ctx):
    with open_context(path, n_ctx=n_ctx) as context:
        np.testing.assert_array_equal(logits_of(context, TOKENS[:n_ctx], n_ctx), whole[:n_ctx])
        with pytest.raises(ModelError):
            context.step(1)


def test_no_context_length_means_the_trained_one(path):
    with Context(Model(path)) as context:
        assert context.n_ctx == TINY.n_ctx


@pytest.mark.parametrize("n_kept", [0, 1, 63, 64, 65, 119])
def test_a_truncated_sequence_goes_on_as_if_it_had_never_been_longer(path, whole, n_kept):
    with open_context(path) as context:
        context.prefill(TOKENS[:n_kept].tolist() + [7] * (120 - n_kept))
        context.truncate(n_kept)
        assert context.n_past() == n_kept
        np.testing.assert_array_equal(context.prefill(TOKENS[n_kept:130]), whole[129])


@pytest.mark.parametrize("name", CELL_TYPES)
def test_every_type_of_cache_keeps_the_bits_of_chunks(path, whole, name):
    with open_context(path, type_k=name, type_v=name) as context:
        at_once = logits_of(context, TOKENS[:150], 150)
        np.testing.assert_array_equal(logits_of(context, TOKENS[:150], 13), at_once)
        error = ((at_once - whole[:150]) ** 2).sum() / (whole[:150] ** 2).sum()
        assert error == 0 if name == "f32" else 0 < error < 1e-3


def test_keys_and_values_may_have_different_types(path, whole):
    with open_context(path, type_k="q8_0", type_v="bf16") as context:
        at_once = logits_of(context, TOKENS[:70], 70)
        assert 0 < ((at_once - whole[:70]) ** 2).sum() / (whole[:70] ** 2).sum() < 1e-3


@pytest.mark.parametrize("n_shared", [64, 100])
def test_a_fork_goes_on_from_the_prefix_and_leaves_its_source_alone(path, whole, n_shared):
    with open_context(path, n_seq_max=2) as context:
        context.prefill(TOKENS[:120])
        context.cache.fork(0, 1, n_shared)
        forked = context.decode([Chunk([3, 4, 5], 1, Outputs.ALL), Chunk(TOKENS[120:125], 0, Outputs.ALL)])
        np.testing.assert_array_equal(forked[3:], whole[120:125])
        context.truncate(0, 0)
        alone = logits_of(context, np.array([*TOKENS[:n_shared], 3, 4, 5]), 200)
        np.testing.assert_array_equal(forked[:3], alone[n_shared:])


# architectures
@pytest.mark.parametrize(
    "tiny",
    [
        Tiny(n_expert=4, n_expert_used=2, type="q8_0"),
        Tiny("qwen2", type="q8_0"),
        Tiny("qwen3", type="q8_0"),
        Tiny("gemma3", n_layer=7, window=20, type="q8_0"),
    ],
    ids=["mixture", "qwen2", "qwen3", "gemma3"],
)
def test_every_architecture_keeps_its_bits(tmp_path, tiny):
    path, tokens = write_tiny(tmp_path / "tiny.gguf", tiny), TOKENS[:150]
    with open_context(path, n_ubatch=512, n_threads=2, n_seq_max=2) as context:
        whole = logits_of(context, tokens, 512)
        for size in (1, 7, 64):
            np.testing.assert_array_equal(logits_of(context, tokens, size), whole)
        context.truncate(0)
        rows = context.decode([Chunk(tokens[40:80], 1, Outputs.NONE), Chunk(tokens[:100], 0, Outputs.ALL)])
        np.testing.assert_array_equal(rows, whole[:100])
        for first, n in ((100, 1), (101, 3), (104, 20)):  # few rows beside those of the other sequence
            rows = context.decode(
                [Chunk(tokens[80:82], 1, Outputs.NONE), Chunk(tokens[first : first + n], 0, Outputs.ALL)]
            )
            np.testing.assert_array_equal(rows, whole[first : first + n])
    for n_threads in (1, 3):
        with open_context(path, n_threads=n_threads) as context:
            np.testing.assert_array_equal(logits_of(context, tokens, 150), whole)
