"""A plan never gives two live values one place."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.graph.fuse import fuse
from llamakit.core.graph.fused import AddNorm, Matmul
from llamakit.core.graph.memory import LINE, aligned
from llamakit.core.graph.ops import Activation, Add, Clamp, Node, Scale, SelectRows, Softcap, Weight
from llamakit.core.graph.plan import Capacity, Plan, overwritten, pitch, plan_buffers

from ...running import open_decoder
from ...tiny import Tiny, write_tiny
from .graphs import N_VOCAB, RandomWeights, random_graph

CAPACITIES = [Capacity(1, 1), Capacity(7, 7), Capacity(12, 1), Capacity(12, 4)]


def place(plan: Plan, node: Node, capacity: Capacity) -> slice:
    """The cache lines of a node's rows."""
    n_rows = capacity.n_outputs if plan.is_output[id(node)] else capacity.n_tokens
    start = plan.offsets[id(node)]
    return slice(start // LINE, -(-(start + 4 * pitch(node) * n_rows) // LINE))


def operand_in_place(node: Node) -> Node | None:
    """The input that an op may read from where it writes: element by element, each before it is overwritten."""
    match node:
        case Matmul(residual=Node() as residual) if residual is not node.x:
            return residual
        case AddNorm(residual=residual):
            return residual
        case Softcap(x) | Activation(x) | Clamp(x) | Scale(x):
            return x
    return None


def check(root: Node, capacity: Capacity) -> Plan:
    """Walk the plan as a program would: what is read must still be there, and must not be written at the same time."""
    plan = plan_buffers(root, capacity)
    holder = np.zeros(-(-plan.n_bytes // LINE), np.int64)  # of each cache line: the id of the node that wrote it last
    for node in plan.order:
        out = place(plan, node, capacity)
        for value in (i for i in node.inputs() if id(i) in plan.offsets):
            lines = place(plan, value, capacity)
            assert (holder[lines] == id(value)).all(), (
                f"{type(value).__name__} is gone when {type(node).__name__} reads it"
            )
            is_apart = lines.stop <= out.start or out.stop <= lines.start
            assert is_apart or value is operand_in_place(node), f"{type(node).__name__} writes into what it reads"
        if id(node) in plan.copies:
            assert plan.offsets[id(node)] != plan.offsets[id(overwritten(node))]
        assert out.stop <= len(holder)
        holder[out] = id(node)
    assert (holder[place(plan, root, capacity)] == id(root)).all()
    picked = [n.x for n in plan.order if isinstance(n, SelectRows)]
    for x in picked:  # outputs may be taken in several slices
        assert (holder[place(plan, x, capacity)] == id(x)).all()
    return plan


@pytest.mark.parametrize("capacity", CAPACITIES, ids=str)
@pytest.mark.parametrize(
    "tiny",
    [Tiny(), Tiny("gemma3", metadata={"gemma3.final_logit_softcapping": 30.0}), Tiny(n_expert=4, n_expert_used=2),
     Tiny("qwen3", n_head=5, n_head_kv=5, head_dim=24)],
    ids=lambda tiny: f"{tiny.arch} {tiny.n_expert} {tiny.head_dim}",
)  # fmt: skip
def test_models_keep_what_they_still_need(tmp_path, tiny, capacity):
    check(fuse(open_decoder(write_tiny(tmp_path / "tiny.gguf", tiny)).logits(64)), capacity)


@pytest.mark.parametrize("first_seed", range(0, 300, 30))
def test_random_graphs_keep_what_they_still_need(first_seed):
    for seed in range(first_seed, first_seed + 30):
        root, _ = random_graph(seed)
        for capacity in CAPACITIES:
            check(fuse(root), capacity)


def test_a_residual_that_is_read_later_is_added_to_a_copy():
    w = RandomWeights()
    x = w.embed(32)
    y = Add(x, w.linear(w.glu(x), 32))
    root = fuse(w.head(Add(x, w.linear(w.glu(y), 32))))
    plan = check(root, Capacity(4, 4))
    assert len(plan.copies) == 1
    chain = fuse(w.head(Add(y, w.linear(w.glu(y), 32))))
    assert check(chain, Capacity(4, 4)).copies == set()


def test_a_product_is_not_added_in_place_to_its_own_input():
    w = RandomWeights()
    x = w.embed(32)
    check(fuse(w.head(Add(x, w.linear(w.norm(x), 32)))), Capacity(4, 4))


def test_a_value_that_is_read_later_is_not_capped_in_place():
    w = RandomWeights()
    x = w.linear(w.embed(32), 32)
    check(fuse(w.head(Add(x, w.norm(Softcap(x, 2.0))))), Capacity(4, 4))


def test_places_are_used_again():
    w = RandomWeights()
    x = w.embed(32)
    for _ in range(20):
        x = Add(x, w.linear(w.glu(w.norm(x)), 32))
    plan = check(fuse(w.head(x)), Capacity(16, 1))
    assert plan.n_bytes <= 16 * 4 * (32 + 48) + 4 * (32 + 32)


def test_rows_behind_the_pick_are_as_few_as_the_outputs():
    w = RandomWeights()
    root = fuse(w.head(w.embed(32)))
    few, many = (plan_buffers(root, Capacity(512, n)).n_bytes for n in (1, 512))
    assert many - few >= 511 * 4 * N_VOCAB


def test_everything_lies_on_cache_lines():
    for seed in range(20):
        plan = plan_buffers(fuse(random_graph(seed)[0]), Capacity(5, 3))
        assert all(offset % LINE == 0 for offset in plan.offsets.values())
    for n in (1, 63, 64, 1000):
        memory = aligned(n)
        assert memory.ctypes.data % LINE == 0
        assert memory.nbytes == n
        assert not memory.any()


def test_rows_are_whole_vectors_with_room_for_the_tails_of_parts():
    w = RandomWeights()
    x = w.embed(40)
    assert pitch(x) == 48
    assert pitch(fuse(w.attention(x, n_head=4, n_head_kv=2)).q) == 64
    assert pitch(fuse(w.attention(x, n_head=3, n_head_kv=1)).q) == 48 + 16  # 24 + 8 + 8, each in groups of 16
    assert not isinstance(x, Weight)
