"""DRY against a plain statement of its rules, and the tokens of its breakers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from llamakit.core.sampling import SamplingParams
from llamakit.core.sampling.chain import Sampler
from llamakit.core.sampling.stages import truncate
from llamakit.core.sampling.stages.dry import breakers_of, dry, tails_of
from llamakit.errors import UsageError
from tests.stages import Chain, make_logits


class Words:
    """A vocabulary of given texts: a text is encoded as the longest tokens from its beginning on."""

    def __init__(self, *texts):
        self.texts = [text.encode() for text in texts]
        self.n_tokens, self.eog_ids, self.frame = len(texts), frozenset(), self
        self.add_space_prefix = False

    def piece(self, token, *, special=False):
        return self.texts[token]

    def encode(self, text, *, add_special=True, parse_special=False):
        text, ids = text.encode() if isinstance(text, str) else text, []
        while text:
            found = [token for token, piece in enumerate(self.texts) if piece and text.startswith(piece)]
            ids.append(max(found, key=lambda token: len(self.texts[token])))
            text = text[len(self.texts[ids[-1]]) :]
        return ids


def naive_penalties(history, n_vocab, tails, *, multiplier=0.8, base=1.75, allowed=2, last_n=-1):
    """What DRY takes from each logit."""
    x = (history[-last_n:] if last_n > 0 else history)[::-1]  # the newest first
    taken = np.zeros(n_vocab)
    if len(x) <= allowed:
        return taken
    limit = len(x)
    for i, head in enumerate(x):
        fits = [t for t in tails.get(head, ()) if len(t) <= i and t == [x[i - 1 - j] for j in range(len(t))]]
        if fits:
            limit = i - max(map(len, fits))
            break
    if limit < allowed:
        return taken
    longest = {}
    for k in range(1, len(x)):
        n = 0
        while k + n < len(x) and x[n] == x[k + n]:
            n += 1
        n = min(n, limit)
        if n >= allowed:
            longest[x[k - 1]] = max(n, longest.get(x[k - 1], 0))
    most = int(88.7228391 / math.log(base)) if base > 1.000001 else 0
    for token, n in longest.items():
        if [] not in tails.get(token, ()):
            exponent = min(n - allowed, most) if most else n - allowed
            taken[token] = multiplier * base**exponent
    return taken


@pytest.mark.parametrize("allowed", [0, 1, 2, 5])
@pytest.mark.parametrize("last_n", [-1, 1, 3, 20])
@pytest.mark.parametrize("n_vocab, n_tokens", [(2, 60), (3, 10), (5, 200), (40, 300), (40, 0), (40, 2)])
@pytest.mark.parametrize("k", [0, 3])
def test_repetitions_are_penalized_by_their_length(allowed, last_n, n_vocab, n_tokens, k):
    history = np.random.default_rng(n_tokens + allowed).integers(0, n_vocab, n_tokens).tolist()
    logits = make_logits("normal", n_vocab)
    chain = Chain(logits, history).run(truncate.top_k, top_k=k)
    options = {"dry_multiplier": 0.8, "dry_allowed_length": allowed, "dry_penalty_last_n": last_n}
    chain.run(dry, dry_sequence_breakers=(), **options)
    taken = naive_penalties(history, n_vocab, {}, allowed=allowed, last_n=last_n)
    want = logits[chain.ids] - taken[chain.ids].astype(np.float32)
    np.testing.assert_allclose(chain.values, want, rtol=1e-5)


@pytest.mark.parametrize("base", [1.0, 1.000001, 1.1, 1.75, 30.0])
def test_the_penalty_grows_with_the_base_but_stays_a_number(base):
    history = [1, 2, 3] * 200
    logits = np.zeros(8, np.float32)
    chain = Chain(logits, history)
    options = {"dry_multiplier": 1.0, "dry_base": base, "dry_penalty_last_n": -1, "dry_sequence_breakers": ()}
    chain.run(dry, **options)
    taken = naive_penalties(history, 8, {}, multiplier=1.0, base=float(np.float32(base)))
    np.testing.assert_allclose(-chain.values, taken.astype(np.float32), rtol=1e-4)
    assert -chain.values[1] >= 1 and not chain.values[[0, 2, 3]].any()


BREAKING = Words("a", "b", "c", "x\n", "\n", "end", "en", "d of", " story", "e", "n", "d", " of", "\ny", "the e")


@pytest.mark.parametrize("breakers", [("\n",), ("end of",), ("\n", "end of story"), ("end", "nd of"), ("the end", "e")])
@pytest.mark.parametrize("seed", range(8))
def test_no_repetition_spans_a_breaker(breakers, seed):
    rng = np.random.default_rng(seed)
    pattern = rng.integers(0, BREAKING.n_tokens, 6).tolist()
    history = [*pattern, int(rng.integers(0, BREAKING.n_tokens)), *pattern, *pattern[:4]]
    logits = make_logits("normal", BREAKING.n_tokens)
    options = {"dry_multiplier": 0.8, "dry_allowed_length": 1, "dry_sequence_breakers": breakers}
    chain = Chain(logits, history, vocab=BREAKING).run(dry, **options)
    taken = naive_penalties(history, BREAKING.n_tokens, tails_of(BREAKING, breakers), allowed=1, last_n=64)
    np.testing.assert_allclose(chain.values, logits - taken.astype(np.float32), rtol=1e-5)


def test_a_breaker_is_a_token_with_it_or_one_that_begins_it_and_the_rest():
    end, tail = BREAKING.texts.index(b"end"), BREAKING.encode(" of")
    tails = {token: found for token, found in tails_of(BREAKING, ["end of"]).items() if found}
    assert tails[end] == [tail]
    assert tails[BREAKING.texts.index(b"en")] == [BREAKING.encode("d of")]
    assert tails[BREAKING.texts.index(b"the e")] == [BREAKING.encode("nd of")]
    assert set(tails) == {end, *(BREAKING.texts.index(text) for text in (b"en", b"e", b"the e"))}
    newline = {token: found for token, found in tails_of(BREAKING, ["\n"]).items() if found}
    assert newline == {BREAKING.texts.index(text): [[]] for text in (b"x\n", b"\n", b"\ny")}


def test_long_breakers_are_cut_and_empty_ones_left_out():
    vocab = Words("a", "b")
    tails = tails_of(vocab, ["", "a" * 100])
    assert max(len(tail) for found in tails.values() for tail in found) == 20
    assert tails_of(vocab, [""]) == {}
    assert breakers_of(vocab, (), 2).first_tails.tolist() == [0, 0, 0]


def test_a_long_history_of_one_token_costs_linear_time():
    sampler = Sampler(
        SamplingParams(dry_multiplier=1.0, dry_penalty_last_n=-1, dry_sequence_breakers=(), temperature=0), 100
    )
    sampler.accept_prompt([7] * 300_000)  # the square of this would take minutes
    logits = np.zeros(100, np.float32)
    logits[7] = 10
    assert sampler.sample(logits) != 7


def test_breakers_need_a_vocabulary():
    with pytest.raises(UsageError, match="DRY needs the vocabulary"):
        Sampler(SamplingParams(dry_multiplier=1.0), 100)
