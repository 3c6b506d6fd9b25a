from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.engine.context import Chunk, Context, Outputs
from llamakit.core.engine.load import load_model
from llamakit.core.engine.trace import Trace
from llamakit.core.graph.names import name_nodes
from llamakit.core.graph.ops import in_order
from llamakit.core.graph.ops.attention import Attention
from llamakit.core.graph.reference.attention import attention_shares
from llamakit.core.graph.reference.interpreter import Reference
from llamakit.core.graph.tap import Tap, put_behind
from llamakit.errors import UsageError

from ...tiny import Tiny, write_tiny

TOKENS = [3, 14, 15, 9, 26, 5, 35, 8]
SETTINGS = {"n_ctx": 64, "n_threads": 2, "type_k": "f32", "type_v": "f32"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(write_tiny(tmp_path_factory.mktemp("m") / "tiny.gguf", Tiny(window=4)))


@pytest.fixture
def context(model):
    with Context(model, **SETTINGS) as context:
        yield context


def weights_of(model):
    return lambda name: np.asarray(model.reader.tensor(name).data, np.float32)


def reference_of(model, changed=None):
    """The formula's interpreter, and its nodes by name; `changed` puts something behind nodes."""
    root = model.decoder.logits(64)
    nodes = name_nodes(root, model.decoder.layer_outputs)
    if changed is not None:
        root = put_behind(root, lambda node, moved: changed(nodes, node, moved))
    return Reference(root, weights_of(model)), nodes


def test_what_is_recorded_is_what_the_reference_computes_and_the_logits_keep_their_bits(model, context):
    plain = context.prefill(TOKENS).copy()
    context.truncate(0)
    with Trace(context, "*", "blk.*") as trace:
        logits = context.prefill(TOKENS)
    assert np.array_equal(logits, plain)
    reference, nodes = reference_of(model)
    values = reference.values(TOKENS)
    compared = [name for name in trace.names if name in nodes]
    assert len(compared) > 30
    for name in compared:
        expected = values[id(nodes[name])]
        np.testing.assert_allclose(trace[name], expected[-len(trace[name]) :], rtol=2e-4, atol=2e-5, err_msg=name)


def test_attention_weights_are_the_references_and_nothing_looks_ahead(model, context):
    with Trace(context, "blk.1.attn_weights") as trace:
        for part in (TOKENS[:3], TOKENS[3:4], TOKENS[4:]):
            context.prefill(part)
    reference, nodes = reference_of(model)
    values = reference.values(TOKENS)
    node = nodes["blk.1.attn_heads"]
    assert isinstance(node, Attention)
    expected = attention_shares(node, values[id(node.q)], values[id(node.k)], None)
    shares = trace["blk.1.attn_weights"]
    np.testing.assert_allclose(shares, expected, atol=1e-5)
    assert not np.triu(shares, 1).any() and not np.tril(shares, -4).any()
    np.testing.assert_allclose(shares.sum(-1), 1, atol=1e-5)


def test_attention_weights_need_a_text_from_its_beginning(context):
    context.prefill(TOKENS[:3])
    with Trace(context, "blk.0.attn_weights") as trace:
        context.prefill(TOKENS[3:])
    with pytest.raises(UsageError, match="first token"):
        trace["blk.0.attn_weights"]


def test_a_head_that_is_silenced_changes_the_logits_as_it_does_in_the_reference(model, context):
    head = slice(16, 32)

    def silence(moment):
        moment.rows[:, head] = 0

    with Trace(context, hooks={"blk.0.attn_heads": silence}):
        logits = context.prefill(TOKENS)
    reference, nodes = reference_of(model)
    values = reference.values(TOKENS)
    silenced = values[id(nodes["blk.0.attn_heads"])].copy()
    silenced[:, head] = 0
    expected = with_value(reference, nodes["blk.0.attn_heads"], silenced)
    assert np.abs(expected - values[id(reference.root)][-1]).max() > 1e-2
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4)


def with_value(reference, node, value):
    """The last logits, had the node another value."""
    from llamakit.core.graph.reference.interpreter import formula_of

    reference.cache.clear()
    reference.position = 0
    results = {}
    for each in in_order(reference.root):
        inputs = [results[id(n)] for n in each.inputs()]
        results[id(each)] = value if each is node else formula_of(each)(reference, each, *inputs)
    return results[id(reference.root)][-1]


def test_a_hook_may_give_what_takes_the_values_place_and_is_recorded(context):
    with Trace(context, "blk.1.out", hooks={"l_out-1": lambda moment: np.ones_like(moment.rows)}) as trace:
        first = context.prefill(TOKENS).copy()
        second = context.step(7)
    assert (trace["blk.1.out"] == 1).all() and len(trace["blk.1.out"]) == len(TOKENS) + 1
    np.testing.assert_array_equal(first, second)


def test_rows_tell_their_positions_and_sequences(model):
    with Context(model, n_seq_max=2, **SETTINGS) as context, Trace(context, "token_embd", "output_norm") as trace:
        context.prefill(TOKENS[:2], 1)
        context.decode([Chunk(TOKENS[:3], 0, Outputs.ALL), Chunk(TOKENS[:1], 1)])
        assert trace.positions("token_embd").tolist() == [0, 1, 0, 1, 2, 2]
        assert trace.sequences("token_embd").tolist() == [1, 1, 0, 0, 0, 1]
        assert trace.positions("output_norm").tolist() == [1, 0, 1, 2, 2]
        trace.clear()
        assert trace["token_embd"].shape == (0, 64)


def test_nothing_is_left_of_a_trace(context):
    steps = [step.kernel for step in context._programs.find(1, 1).whole.steps]
    with Trace(context, "blk.*"):
        assert any(isinstance(node, Tap) for node in in_order(context.graph))
    assert not any(isinstance(node, Tap) for node in in_order(context.graph))
    assert [step.kernel for step in context._programs.find(1, 1).whole.steps] == steps


def test_what_a_hook_raises_is_raised_where_the_model_runs_and_it_goes_on_afterwards(context):
    def fail(moment):
        raise ZeroDivisionError("mine")

    with Trace(context, hooks={"blk.0.out": fail}):
        with pytest.raises(ZeroDivisionError, match="mine"):
            context.prefill(TOKENS)
    context.truncate(0)
    assert np.isfinite(context.prefill(TOKENS)).all()


def test_names_that_are_not_there_are_told_with_those_that_are(context):
    with pytest.raises(UsageError, match=r"'blk\.0\.atn_out'; near it are: blk\.\*\.attn_output, blk.*0 to 1"):
        Trace(context, "blk.0.atn_out")
    with Trace(context, "token_embd") as trace, pytest.raises(KeyError):
        trace["blk.0.out"]
    assert len(trace["token_embd"]) == len(trace.positions("token_embd")) == len(trace.sequences("token_embd")) == 0
    with pytest.raises(UsageError, match=r"near it are: (blk\.\*\.\w+, |\w+, ){4}[\w.*]+ \(layers"):
        Trace(context, "nope")


def test_one_trace_at_a_time(context):
    with Trace(context, "token_embd"), pytest.raises(UsageError, match="watched already"):
        Trace(context, "token_embd").__enter__()
