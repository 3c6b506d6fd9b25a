"""Adapters: W x + s B A x is what a model with merged weights computes, whatever the work is cut into."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from llamakit.core.engine.adapters import EMBEDDING, Adapter, load_adapter
from llamakit.core.engine.context import Context
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.graph.reference.interpreter import Reference
from llamakit.core.quants import dequantize
from llamakit.errors import ModelError

from ...adapters import write_adapter
from ...running import N_CTX, logits_of, open_context
from ...tiny import Tiny, write_tiny

MATRICES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
EVERYTHING = (EMBEDDING, "output.weight", *(f"blk.{i}.{name}.weight" for i in range(2) for name in MATRICES))
SOME = ("blk.0.attn_v.weight", "blk.1.attn_k.weight", "blk.1.ffn_up.weight")
TOKENS = np.random.default_rng(1).integers(0, Tiny().n_vocab, 40)


@pytest.fixture(scope="module", params=["f32", "q8_0"])
def path(request, tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", Tiny(type=request.param, n_head_kv=2))


@pytest.fixture(scope="module")
def adapters(path, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapters")
    return [
        load_adapter(write_adapter(folder / "all.gguf", path, EVERYTHING, rank=4, alpha=8.0)),
        load_adapter(write_adapter(folder / "some.gguf", path, SOME, rank=3, alpha=0.0, seed=1)),
    ]


def merged_logits(context: Context, adapters: list[tuple[Adapter, float]]) -> np.ndarray:
    """The formula of the model with weights to which the products are added."""
    weights = {t.name: np.array(dequantize(t.data, t.type), np.float32) for t in context.model.reader.tensors}
    for adapter, scale in adapters:
        for name, pair in adapter.pairs.items():
            weights[name] += scale * adapter.factor(name) * pair.product(is_embedding=name == EMBEDDING)
    return Reference(context.model.decoder.logits(N_CTX), weights.__getitem__).run(TOKENS)


def test_adapters_compute_what_merged_weights_do(path, adapters):
    used = [(adapters[0], 0.75), (adapters[1], -0.5)]
    with open_context(path) as context:
        plain = logits_of(context, TOKENS, 40)
        context.set_adapters(used)
        got, want = logits_of(context, TOKENS, 40), merged_logits(context, used)
        formula = Reference(context.graph, context._programs.memory.weights.floats).run(TOKENS)
    np.testing.assert_allclose(formula, want, atol=2e-5)
    is_exact = dtype_of(path) == "F32"  # else products quantize what they are given
    np.testing.assert_allclose(got, want, atol=2e-5 if is_exact else 0.15)
    assert np.abs(plain - want).max() > 1


def dtype_of(path: Path) -> str:
    with GGUFReader(path) as reader:
        return reader.tensor("blk.0.attn_q.weight").type.name


@pytest.mark.parametrize("size", [1, 7, 33])
def test_chunks_do_not_change_a_bit_with_adapters(path, adapters, size):
    with open_context(path, n_threads=2) as context:
        context.set_adapters([(adapter, 1.0) for adapter in adapters])
        whole = logits_of(context, TOKENS, 40)
        np.testing.assert_array_equal(logits_of(context, TOKENS, size), whole)


def test_scales_change_at_once_and_without_new_programs(path, adapters):
    both = adapters
    with open_context(path) as context:
        plain = logits_of(context, TOKENS, 40)
        context.set_adapters([(both[0], 1.0), (both[1], 1.0)])
        whole, programs = logits_of(context, TOKENS, 40), context._programs
        context.set_adapters([(both[0], 0.0), (both[1], 0.0)])
        np.testing.assert_array_equal(logits_of(context, TOKENS, 40), plain)
        context.set_adapters([(both[0], 1.0), (both[1], 1.0)])
        np.testing.assert_array_equal(logits_of(context, TOKENS, 40), whole)
        assert context._programs is programs


def test_adapters_come_and_go(path, adapters):
    """The weights of those that went are gone, too."""
    with open_context(path) as context:
        plain, weights = logits_of(context, TOKENS, 40), context._programs.memory.weights
        n_packed = len(weights._packed)
        for adapter in (*adapters, adapters[0]):
            context.set_adapters([(adapter, 1.0)])
            assert np.abs(logits_of(context, TOKENS, 40) - plain).max() > 0.1
            assert context.adapters == [(adapter, 1.0)]
        context.set_adapters([])
        np.testing.assert_array_equal(logits_of(context, TOKENS, 40), plain)
        assert len(weights._packed) == n_packed
        assert not weights._added


def test_an_adapter_twice_adds_up(path, adapters):
    with open_context(path, n_threads=1) as context:
        context.set_adapters([(adapters[1], 0.5), (adapters[1], 0.5)])
        twice = logits_of(context, TOKENS[:8], 8)
        context.set_adapters([(adapters[1], 1.0)])
        np.testing.assert_allclose(twice, logits_of(context, TOKENS[:8], 8), atol=0.1)


def test_a_fused_matrix_is_changed_in_parts(tmp_path):
    """Rows of a fused q, k and v that no 16 divide."""
    path = write_tiny(tmp_path / "tiny.gguf", Tiny(arch="gemma3", n_head=3, n_head_kv=1, head_dim=8, n_ff=40))
    adapter = load_adapter(write_adapter(tmp_path / "a.gguf", path, EVERYTHING[2:], rank=5, alpha=5.0))
    with open_context(path) as context:
        context.set_adapters([(adapter, 1.0)])
        whole = logits_of(context, TOKENS, 40)
        np.testing.assert_allclose(whole, merged_logits(context, [(adapter, 1.0)]), atol=2e-5)
        np.testing.assert_array_equal(logits_of(context, TOKENS, 1), whole)


WRONG = {
    "another architecture": ({"general.architecture": "qwen2"}, "is for qwen2 models"),
    "another kind of file": ({"general.type": "model"}, "no LoRA adapter: general.type is 'model'"),
    "another kind of adapter": ({"adapter.type": "ia3"}, "adapter.type is 'ia3'"),
    "alpha is no number": ({"adapter.lora.alpha": "much"}, "not a number"),
}


@pytest.mark.parametrize(("keys", "message"), WRONG.values(), ids=WRONG)
def test_files_that_are_no_fitting_adapters_are_refused(path, tmp_path, keys, message):
    file = write_adapter(tmp_path / "a.gguf", path, SOME, rank=2, alpha=1.0, keys=keys)
    with open_context(path) as context, pytest.raises(ModelError, match=message):
        context.set_adapters([(load_adapter(file), 1.0)])


def test_adapters_of_another_base_model_change_nothing(path, tmp_path):
    other = write_tiny(tmp_path / "other.gguf", Tiny(n_embd=32, head_dim=8, n_layer=3))
    wider = load_adapter(write_adapter(tmp_path / "wide.gguf", other, SOME, rank=2, alpha=1.0))
    deeper = load_adapter(write_adapter(tmp_path / "deep.gguf", other, ("blk.2.attn_q.weight",), rank=2, alpha=1.0))
    with open_context(path) as context:
        plain = logits_of(context, TOKENS[:9], 9)
        with pytest.raises(ModelError, match=r"blk.0.attn_v.weight is \[16, 32\] in the adapter and \[32, 64\] in"):
            context.set_adapters([(wider, 1.0)])
        with pytest.raises(ModelError, match=r"has no tensor blk.2.attn_q.weight; is it another base model\?"):
            context.set_adapters([(deeper, 1.0)])
        assert context.adapters == []
        np.testing.assert_array_equal(logits_of(context, TOKENS[:9], 9), plain)


def test_experts_are_left_to_export(tmp_path):
    path = write_tiny(tmp_path / "moe.gguf", Tiny(n_expert=4, n_expert_used=2))
    adapter = load_adapter(write_adapter(tmp_path / "a.gguf", path, ("blk.0.ffn_up_exps.weight",), rank=2, alpha=1.0))
    with open_context(path) as context, pytest.raises(ModelError, match="merge it with llamakit export-lora"):
        context.set_adapters([(adapter, 1.0)])


def test_half_a_pair_is_refused(path, tmp_path):
    file = write_adapter(tmp_path / "a.gguf", path, SOME, rank=2, alpha=1.0, left_out=(f"{SOME[0]}.lora_b",))
    with pytest.raises(ModelError, match=r"attn_v.weight.lora_b is missing"):
        load_adapter(file)
