"""Scoring a text: which tokens of a window count, and the figures of known models."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from llamakit.core.engine.context import Context
from llamakit.core.engine.load import load_model
from llamakit.core.sampling.chain import Sampler
from llamakit.core.sampling.logprobs import logprobs
from llamakit.core.sampling.params import SamplingParams
from llamakit.errors import UsageError
from llamakit.tools.catalog import DEMO, is_complete, models_folder
from llamakit.tools.perplexity import ROWS, Score, chunks, nll

from ..core.vocab.vocabs import spm_metadata
from ..running import open_context, reference
from ..tiny import Tiny, write_tiny

WIKI = Path(__file__).parents[3] / "shared/assets/wikitext-2-raw/wiki.test.raw"
GEMMA = os.environ.get("LLAMAKIT_TEST_GEMMA3", "")  # the path of gemma-3-270m Q4_K_M
N_CTX = 33


@pytest.fixture(params=[True, False], ids=["bos", "no bos"])
def path(tmp_path, request):
    keys = spm_metadata(add_bos_token=request.param, add_space_prefix=False)
    n_vocab = len(keys["tokenizer.ggml.tokens"])
    return write_tiny(tmp_path / "tiny.gguf", Tiny(n_vocab=n_vocab, metadata=keys))


def test_the_second_half_of_every_window_is_scored_token_by_token(path):
    text = "".join(chr(97 + i % 23) for i in range(100))
    with open_context(path) as context:
        vocab = context.model.vocab
        found = list(chunks(context, vocab, text, N_CTX))
        tokens = vocab.encode(text)
        assert [(c.index, c.n_chunks) for c in found] == [(i, 3) for i in range(3)]
        for chunk in found:
            window = tokens[chunk.index * N_CTX :][:N_CTX]
            if vocab.add_bos:
                window[0] = vocab.bos_id
            context.truncate(0)
            rows = [context.step(token) for token in window]
            wanted = [-logprobs(rows[i], [window[i + 1]])[0] for i in range(N_CTX // 2, N_CTX - 1)]
            np.testing.assert_allclose(chunk.nll, wanted, rtol=1e-6)
        assert [c.index for c in chunks(context, vocab, text, N_CTX, n_chunks=2)] == [0, 1]


def test_a_text_shorter_than_two_windows_is_refused(path):
    with open_context(path) as context, pytest.raises(UsageError, match=r"needs at least 66"):
        next(chunks(context, context.model.vocab, "a" * 64, N_CTX))


def test_nll_is_that_of_the_softmax_whatever_the_slices():
    rng = np.random.default_rng(0)
    logits = (100 * rng.normal(size=(2 * ROWS + 3, 50))).astype(np.float32)
    targets = rng.integers(0, 50, len(logits))
    x = logits.astype(np.float64)
    wanted = np.logaddexp.reduce(x, axis=1) - x[np.arange(len(x)), targets]
    np.testing.assert_allclose(nll(logits, targets), wanted, rtol=1e-12, atol=1e-12)


def test_a_score_is_the_exponential_of_the_mean_with_its_standard_error(path):
    with open_context(path) as context:
        score, values = Score(), []
        for chunk in chunks(context, context.model.vocab, "some text of no meaning " * 5, N_CTX):
            score.add(chunk)
            values += chunk.nll.tolist()
    assert score.n == len(values)
    assert score.perplexity == pytest.approx(math.exp(np.mean(values)))
    assert score.error == pytest.approx(score.perplexity * np.std(values) / math.sqrt(len(values) - 1))


# real models
@pytest.fixture(scope="module")
def demo():
    path = models_folder() / DEMO.file_name
    if not is_complete(path, DEMO):
        pytest.skip(f"the demo model is not in {models_folder()}; `llamakit pull demo` fetches it")
    with load_model(path) as model, Context(model, n_ctx=512) as context:
        yield context


@pytest.fixture(scope="module")
def wiki():
    if not WIKI.exists():
        pytest.skip(f"needs wiki.test.raw in {WIKI.parent}")
    return WIKI.read_text(encoding="utf-8")[:120_000]


def test_smollm2_has_the_perplexity_it_has_in_llama_cpp(demo, wiki):
    score = Score()
    score.add(next(chunks(demo, demo.model.vocab, wiki, 512)))
    assert score.perplexity == pytest.approx(13.0665, rel=0.01)


@pytest.mark.slow
def test_smollm2_loses_little_to_its_integer_activations(demo, wiki):
    """Two windows by the program and by the formula, which keeps activations in float32."""
    program, exact = Score(), Score()
    tokens = demo.model.vocab.encode(wiki)
    for chunk in chunks(demo, demo.model.vocab, wiki, 512, n_chunks=2):
        program.add(chunk)
        window = np.array(tokens[512 * chunk.index :][:512])
        logits = reference(demo.model.decoder, demo.model.decoder.logits(512)).run(window)
        exact.add(replace(chunk, nll=nll(logits[256:511], window[257:])))
    assert program.perplexity == pytest.approx(exact.perplexity, rel=0.005)


def score_of(context, text):
    score = Score()
    for chunk in chunks(context, context.model.vocab, text, 512, n_chunks=16):
        score.add(chunk)
    return score.perplexity


@pytest.mark.slow
def test_smollm2_has_the_perplexity_of_sixteen_windows(demo, wiki):
    assert score_of(demo, wiki) == pytest.approx(29.3913, rel=0.01)


@pytest.mark.slow
def test_gemma3_has_the_perplexity_of_sixteen_windows(wiki):
    if not GEMMA:
        pytest.skip("LLAMAKIT_TEST_GEMMA3 does not name a gemma-3-270m Q4_K_M file")
    with load_model(GEMMA) as model, Context(model, n_ctx=512) as context:
        assert score_of(context, wiki) == pytest.approx(20.5118, rel=0.01)


def test_smollm2_says_what_it_says_in_llama_cpp(demo):
    vocab = demo.model.vocab
    sampler = Sampler(SamplingParams(temperature=0), vocab.n_tokens)
    demo.truncate(0)
    logits, tokens = demo.prefill(vocab.encode("The capital of France is")), []
    for _ in range(21):
        tokens.append(sampler.sample(logits))
        logits = demo.step(tokens[-1])
    wanted = b" Paris.\n\nThe United States has a population of approximately 311 million people.\n\nThe United States"
    assert wanted.startswith(vocab.detokenize(tokens)) and len(tokens) == 21
