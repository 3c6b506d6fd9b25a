"""A tap shows rows to an observer and changes nothing else."""

from __future__ import annotations

import pytest

from llamakit.core.graph.fuse import fuse
from llamakit.core.graph.fused import Matmul
from llamakit.core.graph.ops import Linear, Node, in_order
from llamakit.core.graph.plan import Capacity, overwritten, plan_buffers
from llamakit.core.graph.tap import Tap, tap_inputs

from ...running import open_decoder
from ...tiny import Tiny, write_tiny
from .graphs import random_graph


def taps(root: Node) -> list[Tap]:
    return [n for n in in_order(root) if isinstance(n, Tap)]


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return open_decoder(write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", Tiny(n_layer=1))).logits(64)


def test_products_of_one_input_share_its_tap(graph):
    found = taps(tap_inputs(graph, lambda name: name.startswith("blk.")))
    assert [tuple(name.split(".")[2] for name in tap.names) for tap in found] == [
        ("attn_q", "attn_k", "attn_v"),
        ("attn_output",),
        ("ffn_gate", "ffn_up"),
        ("ffn_down",),
    ]


def test_products_are_still_stacked_but_a_norm_in_front_stays_visible(graph):
    tapped = fuse(tap_inputs(graph, lambda name: "attn_k" in name))
    (tap,) = taps(tapped)
    (product,) = [n for n in in_order(tapped) if isinstance(n, Matmul) and n.x is tap]
    assert len(product.weight.parts) == 3 and product.norm is None


def test_a_graph_of_which_nothing_is_wanted_stays_itself(graph):
    assert tap_inputs(graph, lambda name: False) is graph


@pytest.mark.parametrize("seed", range(12))
def test_rows_are_passed_on_where_they_lie(seed):
    """Every user of a watched value reads it through the tap, so the tap may take its buffer over."""
    root, _ = random_graph(seed)
    tapped = fuse(tap_inputs(root, lambda name: True))
    plan = plan_buffers(tapped, Capacity(7, 3))
    for tap in taps(tapped):
        assert overwritten(tap) is tap.x and plan.offsets[id(tap)] == plan.offsets[id(tap.x)]
        assert [n for n in in_order(tapped) if any(i is tap.x for i in n.inputs())] == [tap]
    wanted = {id(n.x) for n in in_order(root) if isinstance(n, Linear)}
    assert len(taps(tapped)) == len(wanted)
