"""Models whose layers remember: sequences beside each other, rewinding, forks, saved states, conversations."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.engine.context import Chunk, Outputs
from llamakit.core.engine.generate import Finish, Session, generate, reuse
from llamakit.core.vocab import TextStream
from llamakit.errors import UsageError

from ... import golden
from ...fake_engine import ByteVocab, GreedySampler
from ...running import logits_of, open_context

NAMES = ["jamba-dense", "kimi-linear-moe", "lfm2-dense", "minimax-01-moe", "nemotron_h-dense", "qwen3next-moe"]
N_SEQ = 3


@pytest.fixture(scope="module", params=NAMES)
def remembering(request, tmp_path_factory):
    """A context, tokens, and the logits of all of them computed at once."""
    wanted = golden.excerpts()[request.param]
    path = golden.write_golden(wanted, tmp_path_factory.mktemp("models") / f"{wanted.name}.gguf")
    with open_context(path, n_seq_max=N_SEQ, n_ubatch=32, n_threads=2) as context:
        yield context, wanted.tokens, logits_of(context, wanted.tokens, len(wanted.tokens))
    path.unlink()


@pytest.fixture(autouse=True)
def forgotten(remembering):
    """Every test begins without sequences."""
    remembering[0].cache.clear()


def test_sequences_decoded_together_have_the_bits_of_each_alone(remembering):
    context, tokens, whole = remembering
    got = {0: [], 2: []}
    for first, n in ((0, 1), (1, 40), (41, 3)):
        steps = {2: tokens[first : first + n], 1: tokens[first + 5 : first + 7], 0: tokens[first : first + n]}
        chunks = [Chunk(part, seq, Outputs.ALL) for seq, part in steps.items()]
        rows = np.split(context.decode(chunks), np.cumsum([len(c.tokens) for c in chunks])[:-1])
        for (seq, _), part in zip(steps.items(), rows, strict=True):
            if seq in got:
                got[seq].append(part)
    for parts in got.values():
        np.testing.assert_array_equal(np.concatenate(parts), whole[:44])


def test_what_they_saw_cannot_be_taken_back_but_forgotten(remembering):
    context, tokens, whole = remembering
    context.prefill(tokens[:50])
    assert context.truncate(60) == 50
    assert context.truncate(50) == 50
    np.testing.assert_array_equal(context.prefill(tokens[50:60]), whole[59])
    assert context.truncate(40) == 0
    assert context.n_past() == 0
    np.testing.assert_array_equal(context.prefill(tokens[:60]), whole[59])
    assert not context.can_shift
    for act in (lambda: context.shift(4, 10), lambda: context.group(8, 2)):
        with pytest.raises(UsageError, match="cannot be removed or moved"):
            act()
    np.testing.assert_array_equal(context.prefill(tokens[60:]), whole[-1])


def test_a_fork_goes_on_with_the_bits_of_its_source(remembering):
    context, tokens, whole = remembering
    context.prefill(tokens[:50])
    context.cache.fork(0, 2)
    context.prefill(tokens[:9])
    np.testing.assert_array_equal(context.prefill(tokens[50:], 2), whole[-1])
    with pytest.raises(UsageError, match="remember"):
        context.cache.fork(2, 1, 20)


def test_a_saved_state_goes_on_with_the_bits_of_an_unbroken_sequence(remembering):
    context, tokens, whole = remembering
    context.prefill(tokens[:50])
    state = context.save_state(tokens[:50].tolist())
    context.truncate(0)
    context.prefill(tokens[5:20], 1)
    assert context.load_state(state, 2) == tokens[:50].tolist()
    np.testing.assert_array_equal(context.prefill(tokens[50:], 2), whole[-1])
    before = context.save_state((), 1)
    context.load_state(before, 0)
    np.testing.assert_array_equal(context.prefill(tokens[20:30], 0), context.prefill(tokens[20:30], 1))


def test_a_full_context_ends_a_text_that_would_be_shifted_elsewhere(remembering):
    context, tokens, whole = remembering
    session = Session(context, ByteVocab(), GreedySampler(), TextStream(ByteVocab(), special=True), n_keep=4)
    assert len(list(generate(session, tokens.tolist()))) <= context.n_ctx - len(tokens)
    assert session.finish in (Finish.CONTEXT_FULL, Finish.END_OF_TEXT)
    np.testing.assert_array_equal(context.prefill(reuse(session, tokens.tolist())), whole[-1])
