"""Control vectors: a direction behind a layer is what a bias there would be."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.engine.adapters import load_adapter
from llamakit.core.engine.steering import load_control_vector, sum_of
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.errors import ModelError

from ...adapters import write_adapter
from ...running import N_CTX, logits_of, open_context, open_decoder, reference
from ...tiny import Tiny, write_tiny

N_EMBD = Tiny().n_embd
TOKENS = np.random.default_rng(1).integers(0, Tiny().n_vocab, 40)
RNG = np.random.default_rng(2)
DIRECTIONS = {1: RNG.normal(size=N_EMBD).astype(np.float32), 2: RNG.normal(size=N_EMBD).astype(np.float32)}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", Tiny(n_layer=3))


def write_vector(path, directions):
    with GGUFWriter(path) as writer:
        writer.add("general.architecture", "controlvector")
        for name, data in directions.items():
            writer.add_tensor(name, data)
    return path


def steered_by_hand(path, directions):
    """The formula, in which layers add the directions themselves."""
    decoder = open_decoder(path)
    layer = decoder.layer
    made = {}

    def steered(x, w, i):
        x = layer(x, w, i)
        if i in directions:
            made[f"direction.{i}"] = directions[i]
            x = x + decoder_weight(f"direction.{i}")
        return x

    decoder.layer = steered
    run = reference(decoder, decoder.logits(N_CTX))
    floats = run.weights
    run.weights = lambda name: made[name] if name in made else floats(name)
    return run.run(TOKENS)


def decoder_weight(name):
    from llamakit.core.gguf.types import GGMLType
    from llamakit.core.graph.ops import Weight

    return Weight(name, (N_EMBD,), GGMLType.F32)


def test_a_direction_is_added_behind_its_layer(path):
    with open_context(path) as context:
        plain = logits_of(context, TOKENS, 40)
        context.set_directions(DIRECTIONS)
        got = logits_of(context, TOKENS, 40)
        np.testing.assert_allclose(got, steered_by_hand(path, DIRECTIONS), atol=2e-5)
        np.testing.assert_array_equal(logits_of(context, TOKENS, 1), got)
        assert np.abs(got - plain).max() > 1
        context.set_directions({})
        np.testing.assert_array_equal(logits_of(context, TOKENS, 40), plain)


def test_other_numbers_need_no_new_programs(path):
    with open_context(path) as context:
        context.set_directions(DIRECTIONS)
        first, programs = logits_of(context, TOKENS, 40), context._programs
        context.set_directions({i: -direction for i, direction in DIRECTIONS.items()})
        assert np.abs(logits_of(context, TOKENS, 40) - first).max() > 0.5
        context.set_directions(DIRECTIONS)
        np.testing.assert_array_equal(logits_of(context, TOKENS, 40), first)
        assert context._programs is programs


def test_directions_and_adapters_go_together_in_any_order(path, tmp_path):
    adapter = load_adapter(write_adapter(tmp_path / "a.gguf", path, ("blk.1.attn_q.weight",), rank=4, alpha=16.0))
    results = []
    for order in (0, 1):
        with open_context(path) as context:
            for step in (order, 1 - order):
                context.set_directions(DIRECTIONS) if step else context.set_adapters([(adapter, 1.0)])
            results.append(logits_of(context, TOKENS, 40))
            context.set_adapters([])
            np.testing.assert_allclose(logits_of(context, TOKENS, 40), steered_by_hand(path, DIRECTIONS), atol=2e-5)
    np.testing.assert_array_equal(results[0], results[1])


def test_files_are_added_up_within_the_layers_wanted(tmp_path):
    one = write_vector(tmp_path / "one.gguf", {f"direction.{i}": d for i, d in DIRECTIONS.items()})
    vector = load_control_vector(one)
    total = sum_of([(vector, 2.0), (vector, -0.5)], N_EMBD, first=2, last=9)
    assert list(total) == [2]
    np.testing.assert_allclose(total[2], 1.5 * DIRECTIONS[2], rtol=1e-6)
    with pytest.raises(ModelError, match="directions of 64 numbers; the model has 32"):
        sum_of([(vector, 1.0)], 32)


WRONG = {
    "layer 0": ({"direction.0": DIRECTIONS[1]}, "with a layer above 0"),
    "another tensor": ({"blk.0.x": DIRECTIONS[1]}, "tensor blk.0.x is no direction"),
    "a matrix": ({"direction.1": np.zeros((2, 2), np.float32)}, "no vector of F32"),
    "lengths": ({"direction.1": DIRECTIONS[1], "direction.2": DIRECTIONS[1][:8]}, "differ in length"),
    "nothing": ({}, "no direction.LAYER in it"),
}


@pytest.mark.parametrize(("tensors", "message"), WRONG.values(), ids=WRONG)
def test_files_that_are_no_control_vectors_are_refused(tmp_path, tensors, message):
    with pytest.raises(ModelError, match=message):
        load_control_vector(write_vector(tmp_path / "wrong.gguf", tensors))


def test_a_layer_that_is_not_there_is_refused(path):
    with open_context(path) as context, pytest.raises(ModelError, match="behind layer 3 of this model"):
        context.set_directions({3: DIRECTIONS[1]})
