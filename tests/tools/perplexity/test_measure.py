"""Scoring a text: each token by the logits before it, and the figures of known models."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest

from llamakit.core.engine.context import Context
from llamakit.core.engine.load import load_model
from llamakit.core.sampling.chain import Sampler
from llamakit.core.sampling.logprobs import logprobs
from llamakit.core.sampling.params import SamplingParams
from llamakit.errors import ModelError
from llamakit.tools.catalog import DEMO, is_complete, models_folder
from llamakit.tools.perplexity.measure import measure
from llamakit.tools.perplexity.statistics import Score
from llamakit.tools.perplexity.windows import cut, cut_strided

from ...running import open_context, reference
from .models import TEXT, damage, write_model

WIKI = Path(__file__).parents[4] / "shared/assets/wikitext-2-raw/wiki.test.raw"
GEMMA = os.environ.get("LLAMAKIT_TEST_GEMMA3", "")  # the path of gemma-3-270m Q4_K_M
N_CTX = 33


@pytest.fixture(scope="module", params=[True, False], ids=["bos", "no bos"])
def path(tmp_path_factory, request):
    return write_model(tmp_path_factory.mktemp("models") / "tiny.gguf", request.param)


def windows_of(context, text=TEXT, n_ctx=N_CTX, n_chunks=None):
    vocab = context.model.vocab
    return cut(vocab.encode(text), n_ctx, n_chunks, vocab.bos_id if vocab.add_bos else None)


def test_the_second_half_of_every_window_is_scored_token_by_token(path):
    with open_context(path) as context:
        windows = windows_of(context, n_chunks=3)
        found = list(measure(context, windows))
        assert len(found) == 3
        for nll, tokens in zip(found, windows.tokens.tolist(), strict=True):
            inputs = [context.model.vocab.bos_id, *tokens[1:]] if context.model.vocab.add_bos else tokens
            context.truncate(0)
            rows = [context.step(token) for token in inputs]
            wanted = [-logprobs(rows[i], [tokens[i + 1]])[0] for i in range(N_CTX // 2, N_CTX - 1)]
            np.testing.assert_allclose(nll, wanted, rtol=1e-6)


@pytest.mark.parametrize("n_seq, n_ubatch", [(1, 7), (3, 96), (3, 20), (5, 64)])
def test_windows_computed_together_have_the_figures_of_each_alone(path, n_seq, n_ubatch):
    with open_context(path) as context:
        alone = list(measure(context, windows_of(context, n_chunks=5)))
    with open_context(path, n_ctx=n_seq * N_CTX, n_seq_max=n_seq, n_ubatch=n_ubatch) as context:
        together = list(measure(context, windows_of(context, n_chunks=5), n_seq))
    np.testing.assert_array_equal(together, alone)


def test_strided_windows_score_with_more_before_each_token(path):
    with open_context(path) as context:
        tokens = context.model.vocab.encode(TEXT)
        windows = cut_strided(tokens, 40, 10, 4)
        found = np.concatenate(list(measure(context, windows)))
        context.truncate(0)
        rows = [context.step(token) for token in tokens[10:50]]
        wanted = [-logprobs(rows[i], [tokens[10 + i + 1]])[0] for i in range(29, 39)]
        np.testing.assert_allclose(found[10:20], wanted, rtol=1e-6)


def test_fault_95_a_model_of_nans_is_refused(tmp_path):
    path = write_model(tmp_path / "tiny.gguf")
    damage(path)
    with open_context(path) as context, pytest.raises(ModelError, match="not a number"):
        list(measure(context, windows_of(context)))


def test_figures_are_llama_cpps(tmp_path):
    """Those of llama-perplexity for the same model and text: -c 64 --ppl-output-type 1 -ctk f32 -ctv f32 -fa off."""
    golden = np.loadtxt(Path(__file__).parents[2] / "data/perplexity_tiny.txt")
    with open_context(write_model(tmp_path / "tiny.gguf")) as context:
        score, found = Score(), []
        for nll in measure(context, windows_of(context, n_ctx=64)):
            score.add(nll)
            found.append([score.perplexity, score.mean, score.mean_error])
    np.testing.assert_allclose(found, golden[:, 1:], rtol=2e-6, atol=1e-6)


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


def ppl_of(context, text, n_chunks):
    score = Score()
    for nll in measure(context, windows_of(context, text, 512, n_chunks)):
        score.add(nll)
    return score.perplexity


def test_smollm2_has_the_perplexity_it_has_in_llama_cpp(demo, wiki):
    assert ppl_of(demo, wiki, 1) == pytest.approx(13.0665, rel=0.01)


@pytest.mark.slow
def test_smollm2_loses_little_to_its_integer_activations(demo, wiki):
    """Two windows by the program and by the formula, which keeps activations in float32."""
    windows, exact = windows_of(demo, wiki, 512, 2), []
    for tokens in windows.tokens:
        logits = reference(demo.model.decoder, demo.model.decoder.logits(512)).run(tokens)
        exact += [-logprobs(logits[i], [tokens[i + 1]])[0] for i in range(256, 511)]
    assert ppl_of(demo, wiki, 2) == pytest.approx(math.exp(np.mean(exact)), rel=0.005)


@pytest.mark.slow
def test_smollm2_has_the_perplexity_of_sixteen_windows(demo, wiki):
    assert ppl_of(demo, wiki, 16) == pytest.approx(29.3913, rel=0.01)


@pytest.mark.slow
def test_gemma3_has_the_perplexity_of_sixteen_windows(wiki):
    if not GEMMA:
        pytest.skip("LLAMAKIT_TEST_GEMMA3 does not name a gemma-3-270m Q4_K_M file")
    with load_model(GEMMA) as model, Context(model, n_ctx=512) as context:
        assert ppl_of(context, wiki, 16) == pytest.approx(20.5118, rel=0.01)


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
