"""Control vectors: the main direction of differences, found with the model's own layers."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.cli.app import run
from llamakit.core.engine.load import load_model
from llamakit.core.engine.steering import load_control_vector
from llamakit.tools.cvector import differences, direction
from tests.core.vocab.vocabs import bpe_metadata

from ..running import N_CTX, open_decoder, reference
from ..tiny import Tiny, write_tiny


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    keys = bpe_metadata(["a b", "b a"], specials=())
    tiny = Tiny(n_layer=3, n_vocab=len(keys["tokenizer.ggml.tokens"]), metadata=keys)
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", tiny)


@pytest.mark.parametrize("method", ["pca", "mean"])
def test_the_direction_is_that_of_numpy(method):
    rng = np.random.default_rng(1)
    rows = (rng.normal(size=(40, 12)) * np.linspace(3, 0.1, 12) + 1).astype(np.float32)
    mean = rows.mean(axis=0)
    want = np.linalg.svd(rows)[2][0] if method == "pca" else mean / np.linalg.norm(mean)
    np.testing.assert_allclose(direction(rows, method), want * np.sign(want @ mean), atol=1e-5)


def test_differences_are_those_of_the_formula(path):
    """The shorter prompt is filled up; tokens that both have in front say nothing."""
    decoder = open_decoder(path)
    vocab_ids = {}
    with load_model(path) as model:
        for text in ("abab", "abb", " "):
            vocab_ids[text] = model.vocab.encode(text, add_special=text != " ", parse_special=True)
    n = max(map(len, vocab_ids.values()))
    states = []
    for text in ("abab", "abb"):
        tokens = vocab_ids[text] + vocab_ids[" "][-1:] * (n - len(vocab_ids[text]))
        root = decoder.logits(N_CTX)
        values = reference(decoder, root).values(tokens)
        states.append([values[id(node)] for node in decoder.layer_outputs])
    found = differences(path, [("abab", "abb")])
    assert len(found) == 2
    for rows, positive, negative in zip(found, *states, strict=False):
        want = positive - negative
        np.testing.assert_allclose(rows, want[np.abs(want).max(axis=1) > 1e-6], atol=1e-5)


def test_the_command_writes_a_vector_that_steers(path, tmp_path, capfd):
    (tmp_path / "yes.txt").write_text("aaba\nab\\nab\n")
    (tmp_path / "no.txt").write_text("bbab\nba\n")
    output = tmp_path / "vector.gguf"
    files = ["--positive-file", str(tmp_path / "yes.txt"), "--negative-file", str(tmp_path / "no.txt")]
    assert run(["cvector", "-m", str(path), *files, "-o", str(output)]) == 0
    assert capfd.readouterr().out.startswith(f"{output}: 2 layers, from 2 pairs of prompts")
    vector = load_control_vector(output)
    assert sorted(vector.directions) == [1, 2]
    for found in vector.directions.values():
        assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)


def test_prompts_that_make_no_pairs_are_refused(path, tmp_path, capfd):
    (tmp_path / "yes.txt").write_text("ab\nba\n")
    (tmp_path / "no.txt").write_text("ab\n")
    files = ["--positive-file", str(tmp_path / "yes.txt"), "--negative-file", str(tmp_path / "no.txt")]
    assert run(["cvector", "-m", str(path), *files]) == 1
    assert "no pairs" in capfd.readouterr().err
