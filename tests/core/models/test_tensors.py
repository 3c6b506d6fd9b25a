"""Tensors against the metadata: fault 37 says all that is wrong at once. And what a formula does with what is there."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.engine.load import Model
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.types import BLOCK_SIZES, GGMLType
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.core.graph.ops import Embed, Linear, Rope, Softcap, in_order
from llamakit.errors import ModelError

from ...running import logits_of, open_context, open_decoder, reference
from ...tiny import Tiny, write_tiny


def rewritten(tmp_path, tiny, change):
    """A tiny model's file whose tensors `change(name, array)` replaces, or leaves out where it gives None."""
    whole = GGUFReader(write_tiny(tmp_path / "whole.gguf", tiny))
    with GGUFWriter(tmp_path / "tiny.gguf") as writer:
        writer.copy_metadata(whole.metadata)
        for tensor in whole.tensors:
            array = change(tensor.name, tensor.data)
            if array is not None:
                writer.add_tensor(tensor.name, np.ascontiguousarray(array))
    return tmp_path / "tiny.gguf"


def test_fault_37_everything_that_is_wrong_is_said_at_once(tmp_path):
    def change(name, array):
        if name == "blk.1.ffn_down.weight":
            return None
        return array[:, :32] if name == "blk.0.attn_k.weight" else array

    path = rewritten(tmp_path, Tiny(vectors={"blk.0.ffn_sideways.weight": [1.0, 2.0]}), change)
    with pytest.raises(ModelError) as caught:
        Model(path)
    message = str(caught.value)
    assert str(path) in message
    assert "blk.1.ffn_down.weight is missing (needs shape [64, 96])" in message
    assert "blk.0.attn_k.weight has shape [32, 32], needs [32, 64]" in message
    assert "blk.0.ffn_sideways.weight is not a tensor of this architecture" in message


def test_fault_37_a_long_list_is_cut(tmp_path):
    path = rewritten(tmp_path, Tiny(n_layer=5), lambda name, array: None if name.startswith("blk.") else array)
    with pytest.raises(ModelError, match=r"blk\.0\.attn_norm\.weight is missing.* and 25 more") as caught:
        Model(path)
    assert len(str(caught.value)) < 3000


@pytest.mark.parametrize("missing", ["token_embd.weight", "output_norm.weight"])
def test_fault_37_a_model_without_its_ends(tmp_path, missing):
    path = rewritten(tmp_path, Tiny(), lambda name, array: None if name == missing else array)
    with pytest.raises(ModelError, match=f"{missing} is missing"):
        Model(path)


def test_fault_37_an_embedding_of_another_width(tmp_path):
    path = rewritten(tmp_path, Tiny(), lambda name, array: array[:, :48] if name == "token_embd.weight" else array)
    with pytest.raises(ModelError, match=r"token_embd\.weight has shape \[67, 48\], needs \[67, 64\]"):
        Model(path)


def test_fault_37_an_output_head_for_another_vocabulary(tmp_path):
    path = rewritten(tmp_path, Tiny(), lambda name, array: array[:60] if name == "output.weight" else array)
    with pytest.raises(ModelError, match=r"output\.weight has shape \[60, 64\], needs \[67, 64\]"):
        Model(path)


def test_a_type_without_kernels_is_named(tmp_path):
    whole = GGUFReader(write_tiny(tmp_path / "whole.gguf", Tiny()))
    with GGUFWriter(tmp_path / "tiny.gguf") as writer:
        writer.copy_metadata(whole.metadata)
        for tensor in whole.tensors:
            if tensor.name == "blk.0.ffn_up.weight":  # a type of activations, which no weights have
                n_columns, n_rows = tensor.shape
                data = np.zeros((n_rows, n_columns // 32 * BLOCK_SIZES[GGMLType.Q8_1].n_bytes), np.uint8)
                writer.add_tensor(tensor.name, data, GGMLType.Q8_1)
            else:
                writer.copy_tensor(tensor)
    with pytest.raises(ModelError, match=r"blk\.0\.ffn_up\.weight has type Q8_1, which has no kernels yet"):
        open_context(tmp_path / "tiny.gguf")


@pytest.mark.parametrize("arch", ["llama", "qwen2", "qwen3", "gemma3"])
def test_a_tied_model_ends_with_its_embedding(tmp_path, arch):
    tied, copied = Tiny(arch, is_tied=True, type="q8_0"), Tiny(arch, type="q8_0")
    path = write_tiny(tmp_path / "tied.gguf", tied)
    whole = GGUFReader(path)
    with GGUFWriter(tmp_path / "copied.gguf") as writer:
        writer.copy_metadata(whole.metadata)
        for tensor in whole.tensors:
            writer.copy_tensor(tensor)
        table = whole.tensor("token_embd.weight")
        writer.add_tensor("output.weight", table.data, table.type)
    tokens = np.arange(20)
    assert "output.weight" not in whole
    assert {name for name, _ in copied.shapes()} == {t.name for t in GGUFReader(tmp_path / "copied.gguf").tensors}
    with open_context(path) as one, open_context(tmp_path / "copied.gguf") as other:
        np.testing.assert_array_equal(logits_of(one, tokens, 20), logits_of(other, tokens, 20))


def squared_error(got, wanted):
    return ((got - wanted) ** 2).sum() / (wanted**2).sum()


def test_scales_and_biases_of_any_matrix_are_used(tmp_path):
    """(W x) * scale + bias for projections, (W x + bias) * scale in Llama's feed-forward."""
    rng = np.random.default_rng(3)
    widths = {"attn_q": 64, "attn_k": 32, "attn_output": 64, "ffn_gate": 96, "ffn_down": 64}
    vectors = {f"blk.1.{name}.bias": rng.normal(size=n).tolist() for name, n in widths.items()}
    scales = {"attn_q": 0.5, "attn_output": -2.0, "ffn_gate": 1.5, "ffn_up": 0.25, "ffn_down": 3.0}
    vectors |= {f"blk.1.{name}.scale": [value] for name, value in scales.items()}
    vectors |= {f"blk.1.{name}.input_scale": [123.0] for name in scales}
    path = write_tiny(tmp_path / "tiny.gguf", Tiny(vectors=vectors))
    decoder, tokens = open_decoder(path), np.arange(30)
    graph = decoder.logits(256)
    linears = {n.weight.name: n for n in in_order(graph) if isinstance(n, Linear)}
    assert not linears["blk.1.attn_q.weight"].is_bias_scaled
    assert linears["blk.1.ffn_down.weight"].is_bias_scaled
    assert linears["blk.0.ffn_down.weight"].bias is None
    wanted = reference(decoder).run(tokens)
    plain = reference(open_decoder(write_tiny(tmp_path / "plain.gguf", Tiny()))).run(tokens)
    assert squared_error(plain, wanted) > 1e-2
    with open_context(path) as context:
        for size in (1, 30):
            assert squared_error(logits_of(context, tokens, size), wanted) < 1e-9


@pytest.mark.parametrize("arch", ["qwen2", "gemma3"])
def test_some_architectures_pass_over_scales_of_their_feed_forward(tmp_path, arch):
    tokens = np.arange(9)
    scaled = Tiny(arch, vectors={"blk.0.ffn_down.scale": [2.0]})
    one, other = (
        reference(open_decoder(write_tiny(tmp_path / f"{i}.gguf", tiny))).run(tokens)
        for i, tiny in enumerate((scaled, Tiny(arch)))
    )
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("arch, is_neox", [("llama", False), ("qwen2", True), ("qwen3", True), ("gemma3", True)])
def test_what_makes_the_architectures_different(tmp_path, arch, is_neox):
    metadata = {"gemma3.final_logit_softcapping": 30.0} if arch == "gemma3" else {}
    decoder = open_decoder(write_tiny(tmp_path / "tiny.gguf", Tiny(arch, window=8, n_layer=6, metadata=metadata)))
    graph = decoder.logits(256)
    nodes = in_order(graph)
    assert {n.rotation.is_neox for n in nodes if isinstance(n, Rope)} == {is_neox}
    assert isinstance(graph, Softcap) == (arch == "gemma3")
    assert next(n.scale for n in nodes if isinstance(n, Embed)) == (8.0 if arch == "gemma3" else 1.0)
    assert [layer.n_head_kv for layer in decoder.cache_layers()] == [2] * 6
    windows = [n.window for n in nodes if type(n).__name__ == "Attention"]
    assert windows == ([8] * 5 + [0] if arch == "gemma3" else [8] * 6)


def test_factors_of_the_rotation_depend_on_the_context(tmp_path):
    short, long = [1.0] * 8, [4.0] * 8
    tiny = Tiny(
        vectors={"rope_factors_short.weight": short, "rope_factors_long.weight": long},
        metadata={"llama.rope.scaling.original_context_length": 100},
    )
    decoder = open_decoder(write_tiny(tmp_path / "tiny.gguf", tiny))
    for n_ctx, factors in ((100, short), (101, long)):
        graph = decoder.logits(n_ctx)
        assert {n.rotation.factors for n in in_order(graph) if isinstance(n, Rope)} == {tuple(factors)}


def test_a_big_endian_file_gives_the_same_logits(tmp_path):
    little = GGUFReader(write_tiny(tmp_path / "little.gguf", Tiny(type="q4_0", types={"token_embd": "f16"})))
    with GGUFWriter(tmp_path / "big.gguf", byte_order="big") as writer:
        writer.copy_metadata(little.metadata)
        for tensor in little.tensors:
            writer.copy_tensor(tensor)
    tokens = np.arange(12)
    with open_context(tmp_path / "little.gguf") as one, open_context(tmp_path / "big.gguf") as other:
        for size in (1, 12):
            np.testing.assert_array_equal(logits_of(one, tokens, size), logits_of(other, tokens, size))
