from __future__ import annotations

import pytest

from llamakit.core.engine.load import load_model
from llamakit.core.graph.names import matching, name_nodes
from llamakit.core.graph.ops import Linear
from llamakit.core.graph.ops.attention import Attention

from ...tiny import Tiny, write_tiny

ENDS = [
    "attn_norm", "attn_q", "attn_k", "attn_v", "q", "k", "v", "attn_heads", "attn_output",
    "ffn_inp", "ffn_norm", "ffn_gate", "ffn_up", "ffn_down",
]  # fmt: skip


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    decoder = load_model(write_tiny(tmp_path_factory.mktemp("m") / "tiny.gguf", Tiny())).decoder
    return name_nodes(decoder.logits(64), decoder.layer_outputs)


def test_values_have_the_names_of_their_tensors_and_places(names):
    wanted = {"token_embd", "output_norm", "output"} | {f"blk.0.{end}" for end in (*ENDS, "out")}
    assert wanted <= names.keys()
    assert not [name for name in names if "#" in name]
    assert isinstance(names["blk.0.attn_heads"], Attention)
    assert isinstance(names["blk.1.attn_output"], Linear) and names["blk.1.attn_output"].x is names["blk.1.attn_heads"]
    assert names["blk.1.attn_norm"].x is names["blk.0.out"]


@pytest.mark.parametrize(
    "pattern, found",
    [
        ("blk.*.attn_out", ["blk.0.attn_output", "blk.1.attn_output"]),
        ("attn_out-1", ["blk.1.attn_output"]),
        ("l_out-*", ["blk.0.out", "blk.1.out"]),
        ("blk.[0].q", ["blk.0.q"]),
        ("result_norm", ["output_norm"]),
        ("output", ["output"]),
        ("nothing", []),
    ],
)
def test_patterns_find_names_in_gguf_spelling_and_in_llama_cpps(names, pattern, found):
    assert matching(pattern, list(names)) == found
