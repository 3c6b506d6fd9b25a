"""Attention to the keys that an indexer chooses: converted checkpoints against logits of transformers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from llamakit.convert.plan import OUTPUT_TYPES, Source, make_plan, metadata
from llamakit.convert.run import Options, carry_out
from llamakit.core.graph.ops import in_order
from llamakit.core.graph.ops.attention import Attention
from llamakit.core.graph.ops.indexer import ChosenKeys
from llamakit.core.graph.reference.indexer import unpacked

from .. import golden
from ..running import logits_of, open_context, open_decoder, reference
from .sparse import NAMES, TOKENS, TOP_K, write_checkpoint

LOGITS = np.load(Path(__file__).parents[1] / "data" / "sparse.npz")  # of transformers 5.23: the last token's first 32


@pytest.fixture(scope="module", params=NAMES)
def model(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    source = Source.open(write_checkpoint(request.param, folder / "checkpoint"))
    path = folder / "model.gguf"
    for _ in carry_out(make_plan(source, metadata(source), OUTPUT_TYPES["f32"]), path, Options()):
        pass
    return request.param, path


def error(logits: np.ndarray, wanted: np.ndarray) -> float:
    return float(((logits - wanted) ** 2).sum() / (wanted**2).sum())


def test_the_formula_gives_the_logits_of_transformers(model):
    name, path = model
    assert error(reference(open_decoder(path)).run(TOKENS)[-1, :32], LOGITS[name]) < 1e-8


def test_the_program_does_whatever_the_chunks(model):
    name, path = model
    with open_context(path) as context:
        whole = logits_of(context, TOKENS, 96)
        assert error(whole[-1, :32], LOGITS[name]) < 1e-8
        for size in (1, 7, 64):
            np.testing.assert_array_equal(logits_of(context, TOKENS, size), whole)


def test_quantized_keys_are_scored_too(model):
    _, path = model
    with open_context(path, type_k="q8_0", type_v="q8_0") as context:
        whole = logits_of(context, TOKENS, 96)
        assert error(whole[:TOP_K], reference(open_decoder(path)).run(TOKENS[:TOP_K])) < 3e-2
        np.testing.assert_array_equal(logits_of(context, TOKENS, 5), whole)


def test_the_best_keys_are_chosen_of_equals_the_earlier(model):
    _, path = model
    decoder = open_decoder(path)
    root = decoder.logits(256)
    node = next(n for n in in_order(root) if isinstance(n, ChosenKeys))
    values = reference(decoder, root).values(TOKENS)
    q, k, weights = (values[id(n)] for n in (node.q, node.k, node.weights))
    chosen = unpacked(values[id(node)], len(TOKENS))
    for t in (3, TOP_K, 50):
        heads = q[t].reshape(node.n_head, -1)
        scores = [
            sum(w * max(0.0, float(h @ k[p])) for h, w in zip(heads, weights[t], strict=True)) for p in range(t + 1)
        ]
        ends = range(node.pool - 1, t + 1, node.pool)
        best = sorted(ends, key=lambda p: (-scores[p], p))[: TOP_K // node.pool]
        seen = {p for end in best for p in range(end - node.pool + 1, end + 1)}
        seen |= set(range((t + 1) // node.pool * node.pool, t + 1))  # behind the last pool
        assert set(np.flatnonzero(chosen[t, : t + 1])) == seen


def test_attention_sees_all_where_the_context_is_no_longer_than_what_is_kept(model):
    name, path = model
    decoder, most = open_decoder(path), TOP_K + (3 if name == "glm5next" else 0)  # and less than a pool of 4
    for n_ctx, is_sparse in ((most, False), (most + 1, True)):
        nodes = [n for n in in_order(decoder.logits(n_ctx)) if isinstance(n, Attention)]
        assert any(n.chosen is not None for n in nodes) == is_sparse


def test_layers_without_an_indexer_take_what_the_one_before_has_chosen(model):
    name, path = model
    nodes = [n for n in in_order(open_decoder(path).logits(256)) if isinstance(n, Attention)]
    n_own = len({id(n.chosen) for n in nodes if n.chosen})
    assert n_own == {"dsv32": 3, "glmdsa": 2, "hyv4": 2, "dots3": 1, "glm5next": 1}[name]


def test_a_context_longer_than_that_of_the_training_may_be_the_first_that_chooses(tmp_path):
    """What the cache must hold follows from the context, not from the file's length."""
    checkpoint = write_checkpoint("glm5next", tmp_path / "checkpoint")
    config = json.loads((checkpoint / "config.json").read_text())
    config["text_config"]["max_position_embeddings"] = TOP_K
    (checkpoint / "config.json").write_text(json.dumps(config))
    source = Source.open(checkpoint)
    for _ in carry_out(make_plan(source, metadata(source), OUTPUT_TYPES["f32"]), tmp_path / "model.gguf", Options()):
        pass
    with open_context(tmp_path / "model.gguf") as context:
        assert error(logits_of(context, TOKENS, 96)[-1, :32], LOGITS["glm5next"]) < 1e-8


def test_deepseek_4_chooses_the_summaries_that_transformers_does(tmp_path):
    """Of a golden file's indexer in both; it has 5 to choose."""
    wanted = golden.excerpts()["deepseek4-moe"]
    key = "deepseek4.attention.indexer.top_k"
    spec = wanted.spec | {"kv": [*(kv for kv in wanted.spec["kv"] if kv[0] != key), [key, "UINT32", 5]]}
    path, n = tmp_path / "model.gguf", len(LOGITS["deepseek4"])
    golden.write_golden(golden.Golden("deepseek4-moe", spec, wanted.tokens, wanted.rows, np.zeros(0)), path)
    decoder = open_decoder(path)
    root, tokens = decoder.logits(256), np.random.default_rng(0).integers(3, 100, n)
    node = next(node for node in in_order(root) if isinstance(node, ChosenKeys))
    run = reference(decoder, root)
    values = run.values(tokens)
    chosen = unpacked(values[id(node)], n)
    for t, summaries in enumerate(LOGITS["deepseek4"]):
        assert np.flatnonzero(chosen[t, 3 : t + 1 : 4]).tolist() == sorted(i for i in summaries if i >= 0)
    with open_context(path) as context:
        whole = logits_of(context, tokens, 96)
        assert error(whole, values[id(root)]) < 1e-5
        np.testing.assert_array_equal(logits_of(context, tokens, 7), whole)
