"""The interpreter that all else is held against: each formula by an example, and the cache it keeps."""

from __future__ import annotations

from importlib import import_module
from pkgutil import walk_packages

import numpy as np
import pytest

from llamakit.core import graph
from llamakit.core.graph.fuse import fuse
from llamakit.core.graph.ops import (
    Activation,
    Add,
    Experts,
    Glu,
    Linear,
    Node,
    RmsNorm,
    Rope,
    Softcap,
    Tokens,
    Weight,
    in_order,
)
from llamakit.core.graph.ops.rotation import Rotation, Yarn
from llamakit.core.graph.reference.interpreter import FORMULAS, Reference, formula_of
from llamakit.errors import ModelError

from ...running import open_decoder, reference
from ...tiny import Tiny, write_tiny
from .graphs import RandomWeights


def leaves(cls: type[Node]) -> set[type[Node]]:
    return {leaf for below in cls.__subclasses__() for leaf in leaves(below)} or {cls}


def test_every_op_has_a_formula():
    for module in walk_packages(graph.__path__, f"{graph.__name__}."):
        import_module(module.name)
    assert set(FORMULAS) == leaves(Node)


@pytest.mark.parametrize("is_fused", [False, True])
@pytest.mark.parametrize("arch", ["llama", "qwen2", "qwen3", "gemma3"])
def test_token_by_token_gives_what_one_batch_gives(tmp_path, arch, is_fused):
    decoder = open_decoder(write_tiny(tmp_path / "tiny.gguf", Tiny(arch, window=5)))
    graph = decoder.logits(64)
    graph = fuse(graph) if is_fused else graph
    tokens = np.arange(20)
    whole = reference(decoder, graph).run(tokens)
    run = reference(decoder, graph)
    parts = np.concatenate([run.run(tokens[:9]), *(run.run(tokens[i : i + 1]) for i in range(9, 20))])
    np.testing.assert_allclose(parts, whole, atol=1e-5)


def test_any_value_can_be_looked_at():
    w = RandomWeights()
    x = w.embed(16)
    y = w.linear(w.norm(x), 32)
    values = Reference(y, w.floats).values([3, 1])
    assert {id(n) for n in in_order(y)} == set(values)
    np.testing.assert_array_equal(values[id(x)], w.floats(x.table.name)[[3, 1]])


# single formulas, with numbers said by hand
def evaluate(node: Node, values: dict[str, list], *inputs: list) -> np.ndarray:
    run = Reference(node, lambda name: np.array(values[name], np.float32))
    run.tokens = np.zeros(len(inputs[0]) if inputs else 1, np.int64)
    arrays = [np.array(i, np.float32) for i in inputs]
    weights = [run.weights(n.name) for n in node.inputs() if isinstance(n, Weight)]
    return formula_of(node)(run, node, *arrays, *weights)


def weight(name: str, *shape: int) -> Weight:
    return Weight(name, shape, None)


X = Tokens()  # wherever an input of width 1 is asked for


def test_rms_norm():
    got = evaluate(RmsNorm(X, weight("w", 2), 0.5), {"w": [1, 10]}, [[3, 4, 0, 0]])
    heads = np.array([[3, 4], [0, 0]]) / np.sqrt([[13.0], [0.5]]) * [1, 10]
    np.testing.assert_allclose(got, heads.reshape(1, 4), rtol=1e-6)


@pytest.mark.parametrize("is_bias_scaled, wanted", [(False, [[3.5, 4.0]]), (True, [[2.0, 1.0]])])
def test_linear(is_bias_scaled, wanted):
    node = Linear(X, weight("w", 2, 1), weight("s", 1), weight("b", 2), is_bias_scaled)
    np.testing.assert_allclose(evaluate(node, {"w": [[1], [2]], "s": [0.5], "b": [3, 3]}, [[1]]), wanted + np.array(
        [[0, 0]] if not is_bias_scaled else [[0, 1.5]]))  # fmt: skip


def test_a_product_of_the_wrong_width_names_the_weight():
    with pytest.raises(ModelError, match=r"blk\.0\.ffn_down\.weight takes 60 columns, is given 1"):
        Linear(X, weight("blk.0.ffn_down.weight", 32, 60))


@pytest.mark.parametrize("activation, wanted", [("silu", 0.7310586 * 3), ("gelu", 0.841192 * 3)])
def test_glu(activation, wanted):
    got = evaluate(Glu(X, X, activation), {}, [[1.0]], [[3.0]])
    np.testing.assert_allclose(got, [[wanted]], rtol=1e-6)


def test_activations_do_not_overflow():
    for activation in ("silu", "gelu"):
        got = evaluate(Glu(X, X, activation), {}, [[-1e4, 1e4]], [[1.0, 1.0]])
        np.testing.assert_allclose(got, [[0, 1e4]], atol=1e-6)


@pytest.mark.parametrize("name", ["relu6", "leaky_relu", "hard_swish", "mish"])
def test_piecewise_activations_at_places_known_by_hand(name):
    wanted = {
        "relu6": [0, 2, 6],
        "leaky_relu": [-0.04, 2, 9],
        "hard_swish": [0, 5 / 3, 9],
        "mish": [-0.0725917, 1.9439590, 9],
    }
    np.testing.assert_allclose(evaluate(Activation(X, name), {}, [[-4.0, 2.0, 9.0]]), [wanted[name]], rtol=1e-6)


def test_squared_relu():
    np.testing.assert_array_equal(evaluate(Activation(X, "relu2"), {}, [[-2.0, 0.0, 3.0]]), [[0, 0, 9]])


def test_softcap_and_add():
    np.testing.assert_allclose(evaluate(Softcap(X, 2.0), {}, [[0.0, 2.0, 1e3]]), [[0, 2 * np.tanh(1), 2]], rtol=1e-6)
    np.testing.assert_array_equal(evaluate(Add(X, X), {}, [[1.0, 2.0]], [[3.0, 5.0]]), [[4, 7]])


@pytest.mark.parametrize("is_normed", [True, False])
def test_experts_share_by_softmax_over_all(is_normed):
    """Experts 2 and 0 of three: each doubles, triples, ... what goes in."""
    values = {"g": [[[100.0]]] * 3, "u": [[[1.0]]] * 3, "d": [[[2.0]], [[3.0]], [[5.0]]]}
    node = Experts(X, X, *(weight(n, 3, 1, 1) for n in "gud"), n_used=2, is_normed=is_normed)
    logits = np.log([0.3, 0.1, 0.6])
    got = evaluate(node, values, [[1.0]], [logits])
    shares = np.array([0.3, 0.6]) / (0.9 if is_normed else 1)
    np.testing.assert_allclose(got, [[100 * (2 * shares[0] + 5 * shares[1])]], rtol=1e-5)


@pytest.mark.parametrize("power, floor, whole", [(1, 0.0, 0.9), (2, 0.0, 0.45**0.5), (1, 1.5, 1.5)])
def test_shares_of_experts_are_divided_by_their_norm_or_a_floor(power, floor, whole):
    values = {"g": [[[100.0]]] * 3, "u": [[[1.0]]] * 3, "d": [[[1.0]]] * 3}
    matrices = (weight(n, 3, 1, 1) for n in "gud")
    node = Experts(X, X, *matrices, n_used=2, is_normed=True, norm_power=power, norm_floor=floor)
    got = evaluate(node, values, [[1.0]], [np.log([0.3, 0.1, 0.6])])
    np.testing.assert_allclose(got, [[100 * 0.9 / whole]], rtol=1e-5)


# rotation
@pytest.mark.parametrize("is_neox, pairs", [(False, [(0, 1), (2, 3)]), (True, [(0, 2), (1, 3)])])
def test_rope_turns_pairs_and_leaves_the_rest(is_neox, pairs):
    rotation = Rotation(4, 100.0, is_neox=is_neox)
    x = np.arange(1.0, 13.0).reshape(1, 12)  # two heads of six, of which four dimensions turn
    run = Reference(X, lambda name: np.zeros(0, np.float32))
    run.position = 3
    rope = Rope(X, 6, rotation)
    got = formula_of(rope)(run, rope, x.astype(np.float32)).reshape(2, 6)
    for head, before in zip(got, x.reshape(2, 6), strict=True):
        for (a, b), angle in zip(pairs, [3.0, 0.3], strict=True):
            turned = (before[a] + 1j * before[b]) * np.exp(1j * angle)
            np.testing.assert_allclose([head[a], head[b]], [turned.real, turned.imag], rtol=1e-5)
        np.testing.assert_array_equal(head[4:], before[4:])


def test_angles_scale_with_position_and_factors():
    plain = Rotation(8, 10000.0)
    np.testing.assert_array_equal(plain.angles(10)[4:], plain.angles(6, first=4))
    np.testing.assert_allclose(Rotation(8, 10000.0, scale=0.5).angles(9)[::2], plain.angles(5), atol=1e-6)
    divided = Rotation(8, 10000.0, factors=(1.0, 2.0, 4.0, 8.0)).angles(9)
    for i, factor in enumerate((1, 2, 4, 8)):
        np.testing.assert_allclose(divided[::factor, i], plain.angles(9)[: len(divided[::factor]), i], atol=1e-6)


def test_yarn_keeps_fast_pairs_and_stretches_slow_ones():
    rotation = Rotation(64, 10000.0, scale=0.25, yarn=Yarn(mix=1.0, n_ctx_orig=4096))
    plain, stretched = Rotation(64, 10000.0), Rotation(64, 10000.0, scale=0.25)
    magnitude = 1 + 0.1 * np.log(4)
    got = rotation.angles(50) / magnitude
    np.testing.assert_allclose(got[:, 0], plain.angles(50)[:, 0], atol=1e-6)
    np.testing.assert_allclose(got[:, -1], stretched.angles(50)[:, -1], atol=1e-6)
    finer = Yarn(mix=1.0, n_ctx_orig=4096, is_rounded=False)
    i = np.arange(32)
    first = 32 * np.log(4096 / 64 / np.pi) / np.log(10000.0)  # the pair that turns 32 times within 4096 positions
    last = 32 * np.log(4096 / 2 / np.pi) / np.log(10000.0)
    np.testing.assert_allclose(
        Rotation(64, 10000.0, scale=0.25, yarn=finer).ramp(i), np.clip((last - i) / (last - first), 0, 1)
    )
    off = Rotation(64, 10000.0, scale=0.25, yarn=Yarn(mix=0.0, n_ctx_orig=4096))
    np.testing.assert_array_equal(off.angles(50), stretched.angles(50))


def test_angles_are_exact_far_from_the_start():
    far = Rotation(2, 10000.0).angles(1, first=131071)[0, 0]
    np.testing.assert_allclose(far, [np.cos(131071.0), np.sin(131071.0)], atol=1e-7)
