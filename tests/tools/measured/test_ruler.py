"""What a change does to the logits, held against the formula."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.engine.context import Chunk, Context, Outputs
from llamakit.core.engine.load import Model
from llamakit.core.gguf.types import GGMLType
from llamakit.tools.measured.candidates import find_choices
from llamakit.tools.measured.ruler import Ruler, swap
from llamakit.tools.quantize.plan import Options
from tests.tools.measured.model import write_model

WINDOWS = np.random.default_rng(0).integers(3, 200, (3, 32)).astype(np.int32)
NAME = "blk.1.ffn_down.weight"


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    path = write_model(tmp_path_factory.mktemp("models") / "tiny.gguf")
    with Context(Model(path), n_ctx=64, n_ubatch=64, n_seq_max=2) as context:
        yield context


def choices_of(context):
    return next(c for c in find_choices(context.model.reader, Options(), {}) if c.name == NAME)


def logprobs(context) -> np.ndarray:
    rows = []
    for window in WINDOWS:
        context.truncate(0)
        rows.append(context.decode([Chunk(window, outputs=Outputs.ALL)])[8:-1].astype(np.float64))
    logits = np.concatenate(rows)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def test_damage_is_the_mean_divergence_of_all_scored_tokens(context):
    base, ruler = logprobs(context), Ruler(context, WINDOWS, 2)
    swap(context, choices_of(context), GGMLType.Q4_0)
    changed, found = logprobs(context), ruler.measure()
    swap(context, choices_of(context), GGMLType.F16)
    kld = (np.exp(base) * (base - changed)).sum(axis=1)
    targets = WINDOWS[:, 9:].reshape(-1)
    assert found.kld == pytest.approx(kld.mean(), rel=0.01, abs=1e-7)
    assert found.kld_error == pytest.approx(kld.std() / np.sqrt(len(kld) - 1), rel=0.05)
    for logp, perplexity in ((base, found.base_perplexity), (changed, found.perplexity)):
        assert perplexity == pytest.approx(np.exp(-logp[np.arange(len(targets)), targets].mean()), rel=1e-4)


def test_an_unchanged_model_has_no_damage(context):
    ruler = Ruler(context, WINDOWS, 2)
    assert ruler.measure().kld == 0


def test_what_was_swapped_comes_back(context):
    before = logprobs(context)
    swap(context, choices_of(context), GGMLType.Q8_0)
    assert (logprobs(context) != before).any()
    swap(context, choices_of(context), GGMLType.F16)
    np.testing.assert_array_equal(logprobs(context), before)
