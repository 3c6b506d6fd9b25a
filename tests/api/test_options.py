"""Options of `Llama`: wrong kinds are named before anything is opened, idle ones are told, attention may look ahead."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.api.llama import Llama
from llamakit.api.options import IDLE
from llamakit.errors import UsageError
from tests.api.model import PROMPT


@pytest.mark.parametrize(
    "options, words",
    [
        ({"n_ctx": "64"}, "n_ctx is '64'"),
        ({"n_threads": 1.5}, "n_threads is 1.5"),
        ({"draft_model": 5}, "draft_model is 5"),
        ({"chat_handler": 5}, "chat_handler is 5"),
        ({"tokenizer": 5}, "tokenizer is 5"),
        ({"attention_type": 7}, "attention_type is 7"),
        ({"kv_overrides": 5}, "kv_overrides is 5"),
        ({"kv_overrides": {"x": [1]}}, r"kv_overrides: Unknown value type for x: \[1\]"),
    ],
)
def test_options_of_the_wrong_kind_are_named(options, words):
    with pytest.raises(UsageError, match=words):
        Llama("nosuch.gguf", **options)


def test_numbers_of_numpy_are_numbers(path):
    with Llama(path, n_ctx=np.int64(32), verbose=False) as llm:
        assert llm.n_ctx() == 32


def test_options_that_change_nothing_are_told(path, capsys):
    Llama(path, n_ctx=32, n_gpu_layers=-1, use_mlock=True).close()
    assert "these options change nothing here: n_gpu_layers, use_mlock\n" in capsys.readouterr().err
    Llama(path, n_ctx=32, **IDLE).close()
    assert "nothing" not in capsys.readouterr().err
    Llama(path, n_ctx=32, n_gpu_layers=-1, verbose=False).close()
    assert not capsys.readouterr().err


def test_attention_may_look_ahead(path):
    first = {}
    for kind in (-1, 0, 1):
        with Llama(path, n_ctx=32, attention_type=kind, logits_all=True, verbose=False) as llm:
            llm.eval(PROMPT)
            first[kind] = llm.scores[:2].copy()
            llm.reset()
            llm.eval([*PROMPT[:-1], 80])
            assert np.array_equal(llm.scores[:2], first[kind]) is (kind != 1)
    assert np.array_equal(first[-1], first[0]) and not np.allclose(first[0][0], first[1][0])


def test_vectors_of_attention_that_looks_ahead_are_the_embedders(path):
    from llamakit.core.engine.embed import Embedder
    from llamakit.core.engine.load import load_model
    from llamakit.core.engine.pooling import Pooling

    with Llama(path, n_ctx=64, embedding=True, pooling_type=1, attention_type=1, verbose=False) as llm:
        vector = llm.embed("the cat", normalize=True)
        tokens = llm.tokenize(b"the cat")
    with load_model(path) as model:
        embedder = Embedder(model, pooling=Pooling.MEAN, n_ctx=64, is_causal=False)
        expected = embedder.embed([tokens])[0]
        causal = Embedder(model, pooling=Pooling.MEAN, n_ctx=64, is_causal=True).embed([tokens])[0]
    np.testing.assert_allclose(vector, expected, atol=1e-3)
    assert not np.allclose(vector, causal, atol=1e-3)
