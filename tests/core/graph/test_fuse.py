"""A rewrite may change how, never what."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from llamakit.core.gguf.types import GGMLType
from llamakit.core.graph.fuse import fuse
from llamakit.core.graph.fused import AddNorm, Matmul, RopeAttention, Stack
from llamakit.core.graph.ops import Add, Glu, Linear, RmsNorm, Rope, Weight, in_order
from llamakit.core.graph.ops.attention import Attention
from llamakit.core.graph.ops.rotation import Rotation

from ...running import open_decoder, reference
from ...tiny import Tiny, write_tiny
from .graphs import HEAD_DIM, TURN, RandomWeights, random_graph

TOKENS = [3, 1, 4, 1, 5, 9, 2, 6]


def kinds(root) -> list[str]:
    return [type(n).__name__ for n in in_order(root) if not isinstance(n, (Weight, Stack))]


@pytest.fixture
def w():
    return RandomWeights()


def check(w, root, wanted: list[str]):
    """Fused, a graph has these ops (behind the tokens' embedding) and the same result."""
    fused = fuse(root)
    assert kinds(fused) == ["Tokens", "Embed", *wanted]
    np.testing.assert_allclose(w.run(fused, TOKENS), w.run(root, TOKENS), atol=2e-5)
    return fused


@pytest.mark.parametrize("n_head, n_head_kv", [(4, 4), (4, 2), (3, 1)])
@pytest.mark.parametrize("options", [{}, {"window": 3}, {"softcap": 2.0}])
def test_attention_becomes_one_matrix_and_one_op(w, n_head, n_head_kv, options):
    fused = check(w, w.attention(w.embed(), 0, n_head, n_head_kv, **options), ["Matmul", "RopeAttention"])
    assert (fused.n_head, fused.n_head_kv, fused.rotation) == (n_head, n_head_kv, TURN)


def test_attention_without_norms_or_turns(w):
    x = w.embed()
    q, k, v = (w.scaled(x, n * HEAD_DIM) for n in (4, 2, 2))
    fused = check(w, Attention(q, k, v, HEAD_DIM, 0, 0.5), ["Matmul", "RopeAttention"])
    assert fused.rotation is fused.q_norm is fused.k_norm is None
    turned = Attention(Rope(q, HEAD_DIM, TURN), Rope(k, HEAD_DIM, TURN), v, HEAD_DIM, 0, 0.5)
    assert check(w, turned, ["Matmul", "RopeAttention"]).rotation == TURN


def test_attention_over_different_inputs_or_turns_keeps_them_apart(w):
    x = w.embed()
    plain = w.attention(x)
    others = [
        replace(plain, v=w.linear(w.norm(x), 2 * HEAD_DIM)),
        replace(plain, q=replace(plain.q, rotation=Rotation(HEAD_DIM, 500.0))),
    ]
    for other, can_shift in zip(others, (True, False), strict=True):
        fused = fuse(other)
        assert isinstance(fused, RopeAttention)
        assert (fused.offsets, fused.can_shift) == ((0, 0, 0), can_shift)
        np.testing.assert_allclose(w.run(fused, TOKENS), w.run(other, TOKENS), atol=2e-5)


@pytest.mark.parametrize("activation", ["silu", "gelu"])
@pytest.mark.parametrize("n, wanted", [(48, ["Matmul"]), (40, ["Matmul", "Matmul", "Glu"])])
def test_gate_and_up_become_one_matrix_where_they_fill_groups(w, activation, n, wanted):
    fused = check(w, w.glu(w.embed(), n, activation), wanted)
    if n == 48:
        assert (fused.activation, fused.width) == (activation, 48)


def test_gate_and_up_of_two_types_or_inputs_stay_two(w):
    x = w.embed()
    gate, up = w.linear(x, 48), w.linear(x, 48, GGMLType.F16)
    check(w, Glu(gate, up), ["Matmul", "Matmul", "Glu"])
    check(w, Glu(gate, w.linear(w.norm(x), 48)), ["Matmul", "Matmul", "Glu"])


@pytest.mark.parametrize("is_bias_scaled", [False, True])
def test_scales_and_biases_go_along(w, is_bias_scaled):
    x = w.embed()
    check(w, Glu(w.scaled(x, 48, is_bias_scaled), w.scaled(x, 48, is_bias_scaled)), ["Matmul"])
    check(w, Glu(replace(w.scaled(x, 48), bias=None), replace(w.scaled(x, 48), scale=None)), ["Matmul"])
    check(w, w.scaled(x, 20, is_bias_scaled), ["Matmul"])


def test_a_norm_goes_in_front_of_its_products(w):
    normed = w.norm(w.embed())
    fused = check(w, w.glu(normed), ["Matmul"])
    assert fused.norm is normed.weight
    both = check(w, Add(w.linear(normed, 32), w.linear(normed, 32)), ["Matmul", "Matmul"])
    assert both.norm is normed.weight
    assert both.residual.norm is normed.weight


def test_a_norm_by_head_stays_where_it_is(w):
    x = w.embed(32)
    by_head = RmsNorm(x, w.weight(8), 1e-5)
    check(w, w.linear(by_head, 16), ["RmsNorm", "Matmul"])


def test_a_residual_is_added_behind_the_product(w):
    x = w.embed(32)
    fused = check(w, Add(x, w.linear(w.glu(w.norm(x)), 32)), ["Matmul", "Matmul"])
    assert isinstance(fused, Matmul)
    assert isinstance(fused.residual, type(x))


def test_a_residual_is_added_behind_the_norm(w):
    x = w.embed(32)
    fused = check(w, Add(x, w.norm(w.linear(x, 32))), ["Matmul", "AddNorm"])
    assert isinstance(fused, AddNorm)


def test_a_product_that_others_use_too_keeps_its_value(w):
    x = w.embed(32)
    y = w.linear(x, 32)
    root = Add(Add(x, y), w.norm(y))
    np.testing.assert_allclose(w.run(fuse(root), TOKENS), w.run(root, TOKENS), atol=2e-5)


@pytest.mark.parametrize("arch, wanted", [
    ("llama", ["Matmul", "RopeAttention", "Matmul", "Matmul", "Matmul"]),
    ("qwen3", ["Matmul", "RopeAttention", "Matmul", "Matmul", "Matmul"]),
    ("gemma3", ["Matmul", "RopeAttention", "Matmul", "AddNorm", "Matmul", "Matmul", "AddNorm"]),
])  # fmt: skip
def test_a_layer_becomes_few_ops(tmp_path, arch, wanted):
    decoder = open_decoder(write_tiny(tmp_path / "tiny.gguf", Tiny(arch)))
    fused = fuse(decoder.logits(64))
    assert kinds(fused) == ["Tokens", "Embed", *wanted, *wanted, "SelectRows", "Matmul"]
    assert sum(isinstance(n, (Linear, Attention, Glu)) for n in in_order(fused)) == 0
    tokens = np.arange(12)
    np.testing.assert_allclose(reference(decoder, fused).run(tokens), reference(decoder).run(tokens), atol=1e-5)


@pytest.mark.parametrize("first_seed", range(0, 200, 20))
def test_random_graphs_keep_their_results(first_seed):
    for seed in range(first_seed, first_seed + 20):
        root, w = random_graph(seed)
        plain, fused = w.run(root, TOKENS), w.run(fuse(root), TOKENS)
        np.testing.assert_allclose(fused, plain, atol=2e-4 * np.abs(plain).max(), err_msg=f"seed {seed}")


def test_a_graph_is_rewritten_to_another_and_stays_itself(w):
    root = w.attention(w.norm(w.embed()))
    before = kinds(root)
    assert isinstance(fuse(root), RopeAttention)
    assert kinds(root) == before
