"""The token loop: what it yields, when it ends, and that closing it stops the work."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.engine.generate import Finish, Piece, SelfExtend, Session, generate, prefill, reuse
from llamakit.core.engine.load import load_model
from llamakit.core.sampling.chain import Sampler
from llamakit.core.sampling.params import SamplingParams
from llamakit.core.vocab import TextStream
from llamakit.errors import LlamakitError, ModelError, UsageError

from ...fake_engine import BOS, EOS, ByteVocab, FakeContext, GreedySampler
from ...running import open_context
from ...tiny import Tiny, write_tiny
from ..vocab.vocabs import spm_metadata


def scripted(script, special=False, **options):
    """A session with a context that says the script."""
    vocab = ByteVocab()
    return Session(FakeContext(script), vocab, GreedySampler(), TextStream(vocab, special=special), **options)


def test_pieces_are_tokens_and_the_text_that_each_completes():
    text = "né".encode()
    assert list(generate(scripted(text), [BOS])) == [
        Piece(text[0], "n"),
        Piece(text[1], ""),
        Piece(text[2], "é"),
    ]


def test_the_end_token_is_a_piece_only_where_it_has_a_text():
    assert [piece.token for piece in generate(scripted(b"a"), [BOS])] == [ord("a")]
    assert list(generate(scripted(b"a", special=True), [BOS]))[-1] == Piece(EOS, "</s>")


@pytest.mark.parametrize(
    "script, n_predict, finish",
    [(b"ab", -1, Finish.END_OF_TEXT), (b"ab", 2, Finish.LENGTH), (b"x" * 99, -1, Finish.CONTEXT_FULL)],
)
def test_a_session_tells_why_it_ended(script, n_predict, finish):
    session = scripted(script)
    pieces = list(generate(session, [BOS], n_predict))
    assert session.finish is finish
    assert session.timings.sample.n_tokens == len(pieces) + (finish is Finish.END_OF_TEXT)


def test_a_shift_that_could_discard_nothing_ends_the_text():
    session = scripted(b"x" * 99, n_keep=63)
    assert len(list(generate(session, [BOS]))) == 63
    assert session.finish is Finish.CONTEXT_FULL


def test_closing_the_iterator_computes_no_more():
    session = scripted(b"abc")
    pieces = generate(session, [BOS])
    next(pieces)
    pieces.close()
    assert [call for call, *_ in session.context.calls] == ["prefill"]
    assert session.finish is None


# a real engine
@pytest.fixture(scope="module")
def path(tmp_path_factory):
    keys = spm_metadata()
    tiny = Tiny(n_vocab=len(keys["tokenizer.ggml.tokens"]), metadata=keys)
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", tiny)


def session_of(path, context, **params):
    """Greedy or seeded, on a model whose texts never end."""
    vocab = load_model(path).vocab
    sampler = Sampler(SamplingParams(ignore_eos=True, **params), vocab.n_tokens, vocab.eog_ids)
    return Session(context, vocab, sampler, TextStream(vocab, special=True))


def test_a_generation_is_its_tokens_computed_step_by_step(path):
    with open_context(path) as context:
        tokens = [piece.token for piece in generate(session_of(path, context, temperature=0), [1, 70, 71], 40)]
        context.truncate(0)
        logits = context.prefill([1, 70, 71])
        logits[2] = -np.inf
        for token in tokens:
            assert token == int(logits.argmax())
            logits = context.step(token)
            logits[2] = -np.inf


def test_a_seed_fixes_the_text(path):
    texts = set()
    for n_threads in (1, 2, 2):
        with open_context(path, n_threads=n_threads) as context:
            session = session_of(path, context, seed=7)
            texts.add("".join(piece.text for piece in generate(session, [1, 70], 40)) + session.text.flush())
    assert len(texts) == 1


def test_a_generation_may_be_far_longer_than_the_context(path):
    with open_context(path, n_ctx=48) as context:
        session = session_of(path, context, seed=1)
        session.n_keep = 2
        assert len(list(generate(session, [1, 70, 71], 300))) == 300
        assert session.finish is Finish.LENGTH
        assert context.n_past() < 48


def test_fault_35_weights_that_are_no_numbers_are_one_clear_error(path, tmp_path):
    """The generation fails; the context can be used again."""
    with load_model(path) as model:
        norm = model.reader.tensor("output_norm.weight").data.tobytes()
    bad = tmp_path / "nan.gguf"
    bad.write_bytes(path.read_bytes().replace(norm, np.full(len(norm) // 4, np.nan, "<f4").tobytes()))
    for temperature in (0.0, 0.8):
        with open_context(bad) as context:
            with pytest.raises(LlamakitError, match="non-finite logits"):
                list(generate(session_of(bad, context, temperature=temperature), [1, 70, 71], 5))
            assert context.n_past() == 3
            context.truncate(0)
            assert np.isnan(context.prefill([1, 2])).all()


# what a session has in the cache
def test_a_session_goes_on_where_it_was(path):
    with open_context(path) as context:
        whole = [piece.token for piece in generate(session_of(path, context, temperature=0), [1, 70, 71], 30)]
        context.truncate(0)
        session = session_of(path, context, temperature=0)
        first = [piece.token for piece in generate(session, [1, 70, 71], 12)]
        assert (session.tokens, session.pending) == ([1, 70, 71, *first[:-1]], first[-1:])
        assert first + [piece.token for piece in generate(session, [], 18)] == whole


@pytest.mark.parametrize("moment", ["prefill", "step"])
def test_a_cancelled_generation_can_go_on(path, monkeypatch, moment):
    with open_context(path, n_ubatch=4) as context:
        prompt = [1, *range(20, 33)]
        whole = [piece.token for piece in generate(session_of(path, context, temperature=0), prompt, 10)]
        context.truncate(0)
        session, run, calls = session_of(path, context, temperature=0), context._run, []

        def interrupted(batch, programs):
            yield from run(batch, programs)
            calls.append(batch)
            if len(calls) == {"prefill": 2, "step": 7}[moment]:
                raise KeyboardInterrupt

        monkeypatch.setattr(context, "_run", interrupted)
        got = []
        with pytest.raises(KeyboardInterrupt):
            for piece in generate(session, prompt, 10):
                got.append(piece.token)
        got += [piece.token for piece in generate(session, [], 10 - len(got))]
        assert got == whole


@pytest.mark.parametrize(
    "tokens, n_kept",
    [([1, 70, 71, 72], 3), ([1, 70, 71], 2), ([1, 70, 9, 9], 2), ([5], 0), ([1, 70, 71, 72, 73, 74, 75, 76, 77], 3)],
)
def test_what_a_session_has_in_common_with_tokens_is_kept(path, tokens, n_kept):
    with open_context(path) as context:
        wanted = context.prefill(tokens)
        context.truncate(0)
        session = session_of(path, context)
        prefill(session, [1, 70, 71])
        session.pending = [9]
        assert reuse(session, tokens) == tokens[n_kept:]
        assert (context.n_past(), session.tokens, session.pending) == (n_kept, tokens[:n_kept], [])
        np.testing.assert_array_equal(prefill(session, tokens[n_kept:]), wanted)


def test_a_prompt_shifts_a_full_context_too(path):
    with open_context(path, n_ctx=48) as context:
        session = session_of(path, context, temperature=0)
        session.n_keep = 2
        prompt = [1, 70, *np.random.default_rng(0).integers(5, 60, 150).tolist()]
        prefill(session, prompt)
        assert len(session.tokens) == context.n_past() < 48
        assert session.tokens[:2] == [1, 70]
        assert session.tokens[2:] == prompt[-len(session.tokens) + 2 :]


def test_a_prompt_that_does_not_fit_is_an_error(path):
    with open_context(path, n_ctx=48) as context:
        session = session_of(path, context)
        with pytest.raises(ModelError, match="cannot take 60 more"):
            prefill(session, [5] * 60)
        assert session.tokens == []


def test_self_extend_writes_beyond_the_positions_of_training(path):
    with open_context(path, n_ctx=200) as context:
        session = session_of(path, context, temperature=0)
        session.extend = SelfExtend(4, 32)
        assert len(list(generate(session, [1, *range(5, 60)], 100))) == 100
        sequences = context.cache.sequences
        assert sequences.n_grouped[0] == 155 // 32 * 32
        assert sequences.n_merged[0] == 155 // 32 * 24
        begin = session.tokens[:50]
        assert reuse(session, begin) == begin  # grouped tokens stay together
        assert sequences.n_merged[0] == 0
        assert len(list(generate(session, begin, 500))) < 200
        assert session.finish is Finish.CONTEXT_FULL


@pytest.mark.parametrize("n, width", [(0, 8), (3, 8), (4, 0), (-1, 8)])
def test_self_extend_needs_whole_windows(n, width):
    with pytest.raises(UsageError, match="multiple"):
        SelfExtend(n, width)
