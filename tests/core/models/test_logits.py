"""Logits against llama.cpp's, of the formula in NumPy and of the compiled program."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.models.registry import names

from ... import golden
from ...running import logits_of, open_context, open_decoder, reference

USES_GELU = {"gemma3"}  # llama.cpp's table of GELU has 16 bits
MODELS = golden.shared(names()) or golden.excerpts()


@pytest.fixture(scope="module", params=sorted(MODELS))
def model(request, tmp_path_factory):
    """A golden model and its file."""
    wanted = MODELS[request.param]
    return wanted, golden.write_golden(wanted, tmp_path_factory.mktemp("models") / f"{wanted.name}.gguf")


def test_every_architecture_has_a_golden_model():
    assert {m.arch.replace("-", "_") for m in MODELS.values()} == set(names())


def test_the_excerpts_are_those_of_the_full_set():
    if not golden.SHARED.exists():
        pytest.skip("the full set of golden logits lies outside the repository")
    for name, excerpt in golden.excerpts().items():
        np.testing.assert_array_equal(excerpt.tokens, MODELS[name].tokens)
        np.testing.assert_array_equal(excerpt.logits, MODELS[name].logits[excerpt.rows])
        assert excerpt.spec["tensors"] == MODELS[name].spec["tensors"]


def test_the_formula_gives_the_golden_logits(model):
    wanted, path = model
    error = wanted.error(reference(open_decoder(path)).run(wanted.tokens))
    assert error <= (1e-6 if wanted.arch in USES_GELU else 1e-9)


def test_the_program_gives_the_golden_logits_whatever_the_chunks(model):
    wanted, path = model
    with open_context(path) as context:
        whole = logits_of(context, wanted.tokens, 96)
        assert wanted.error(whole) <= 1e-6
        for size in (1, 7, 64):
            np.testing.assert_array_equal(logits_of(context, wanted.tokens, size), whole)


def test_q8_0_weights_stay_close_to_the_golden_logits(model, tmp_path):
    wanted, _ = model
    with open_context(golden.write_golden(wanted, tmp_path / "q8_0.gguf", "q8_0")) as context:
        whole = logits_of(context, wanted.tokens, 96)
        assert wanted.error(whole) <= 1e-3
        np.testing.assert_array_equal(logits_of(context, wanted.tokens, 1), whole)
