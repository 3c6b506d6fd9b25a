"""Logits of every architecture against llama.cpp's: of the formula in NumPy, and of the compiled program."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.graph.ops import Activation, Experts, Glu, in_order
from llamakit.core.models.registry import names
from llamakit.errors import ModelError

from ... import golden
from ...running import logits_of, open_context, open_decoder, reference

NOT_YET = {name for name in golden.shared() if name.rpartition("-")[0].replace("-", "_") not in names()}
MODELS = {name: m for name, m in golden.shared().items() if name not in NOT_YET} or golden.excerpts()


@pytest.fixture(scope="module", params=sorted(MODELS))
def model(request, tmp_path_factory):
    """A golden model and its file."""
    wanted = MODELS[request.param]
    path = golden.write_golden(wanted, tmp_path_factory.mktemp("models") / f"{wanted.name}.gguf")
    yield wanted, path
    path.unlink()


def test_the_excerpts_are_those_of_the_full_set():
    if not golden.SHARED.exists():
        pytest.skip("the full set of golden logits lies outside the repository")
    for name, excerpt in golden.excerpts().items():
        np.testing.assert_array_equal(excerpt.tokens, MODELS[name].tokens)
        np.testing.assert_array_equal(excerpt.logits, MODELS[name].logits[excerpt.rows])
        assert excerpt.spec["tensors"] == MODELS[name].spec["tensors"]


def test_the_formula_gives_the_golden_logits(model):
    wanted, path = model
    decoder = open_decoder(path)
    root = decoder.logits(256)
    error = wanted.error(reference(decoder, root).run(wanted.tokens))
    kinds = {getattr(n, "kind", getattr(n, "activation", "")) for n in in_order(root) if isinstance(n, USERS)}
    assert error <= (1e-6 if "gelu" in kinds else 1e-8)  # llama.cpp's table of GELU has 16 bits


USERS = (Activation, Experts, Glu)


def test_the_program_gives_the_golden_logits_whatever_the_chunks(model):
    wanted, path = model
    with open_context(path) as context:
        whole = logits_of(context, wanted.tokens, 96)
        assert wanted.error(whole) <= 1e-6
        for size in (1, 7, 64) if context.model.decoder.is_causal else (72,):
            np.testing.assert_array_equal(logits_of(context, wanted.tokens, size), whole)


def test_q8_0_weights_stay_close_to_the_golden_logits(model, tmp_path):
    wanted, _ = model
    with open_context(golden.write_golden(wanted, tmp_path / "q8_0.gguf", "q8_0")) as context:
        whole = logits_of(context, wanted.tokens, 96)
        assert wanted.error(whole) <= 1e-3
        size = 1 if context.model.decoder.is_causal else 72
        np.testing.assert_array_equal(logits_of(context, wanted.tokens, size), whole)


@pytest.mark.parametrize("name", sorted(NOT_YET))
def test_architectures_to_come_are_refused(name, tmp_path):
    with pytest.raises(ModelError, match="unknown architecture"):
        open_decoder(golden.write_golden(golden.shared()[name], tmp_path / "model.gguf"))
