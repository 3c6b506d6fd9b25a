"""States of every encoder's tokens: against llama.cpp's, and, of trained shapes, against transformers'."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from llamakit.core.engine.embed import Embedder
from llamakit.core.engine.load import Model
from llamakit.core.engine.pooling import Pooling
from llamakit.core.models.registry import names
from llamakit.errors import UsageError

from ...checkpoints import write_encoder
from ...encoders import ENCODERS, STATES, STEP, TEXTS, write_tiny_encoder
from ...running import open_context, open_decoder, reference

CHECKPOINTS = Path(__file__).parents[4] / "shared/golden/hf"
GELU_TABLE = 1e-6  # llama.cpp has GELU in its tanh form, with 16 bits; these encoders were trained with the exact one


def error(got: np.ndarray, wanted: np.ndarray) -> float:
    """Normalized squared error."""
    return float(((got - wanted) ** 2).sum() / (wanted**2).sum())


@pytest.mark.parametrize("arch", ENCODERS)
def test_the_states_are_those_of_llama_cpp(arch, tmp_path):
    path = write_tiny_encoder(tmp_path / "model.gguf", arch)
    wanted = np.load(STATES)[arch]
    has_gelu = arch not in ("nomic-bert", "eurobert", "neo-bert", "llama-embed")
    with Embedder(Model(path), pooling=Pooling.NONE) as embedder:
        together = embedder.embed(TEXTS, norm=-1)
        alone = np.concatenate([embedder.embed([text], norm=-1) for text in TEXTS])
    assert error(together[::STEP], wanted) <= (GELU_TABLE if has_gelu else 1e-10)
    np.testing.assert_array_equal(alone, together)
    decoder = open_decoder(path)
    formula = np.concatenate([reference(decoder, decoder.hidden(256)).run(text) for text in TEXTS])
    assert error(together, formula) <= 1e-10


def test_every_encoder_is_tried():
    assert {arch.replace("-", "_") for arch in ENCODERS} <= set(names())


@pytest.mark.parametrize(
    "name, arch, keys",
    [
        ("bert", "bert", {}),
        (
            "modernbert",
            "modern-bert",
            {
                "attention.sliding_window": 32,
                "attention.sliding_window_pattern": 3,
                "rope.freq_base": 160000.0,
                "rope.freq_base_swa": 10000.0,
            },
        ),
    ],
)
def test_the_states_are_those_of_transformers(name, arch, keys, tmp_path):
    if not CHECKPOINTS.exists():
        pytest.skip("the checkpoints lie outside the repository")
    expected = np.load(CHECKPOINTS / name / "expected.npz")
    path = write_encoder(CHECKPOINTS / name, tmp_path / "model.gguf", arch, keys)
    with Embedder(Model(path), pooling=Pooling.NONE) as embedder:
        states = embedder.embed([expected["tokens"]], norm=-1)
    np.testing.assert_allclose(states, expected["logits"], atol=1e-5)


def test_an_encoder_continues_no_text(tmp_path):
    path = write_tiny_encoder(tmp_path / "model.gguf", "bert")
    with pytest.raises(UsageError, match=r"bert is an encoder.*llamakit embed"):
        open_context(path)


def test_a_context_beyond_learned_positions_is_refused(tmp_path):
    model = Model(write_tiny_encoder(tmp_path / "model.gguf", "bert"))
    with pytest.raises(UsageError, match="knows 256 positions"):
        Embedder(model, n_ctx=257)
