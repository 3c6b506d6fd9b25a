"""Programs below `Llama`: a model, a context, batches and samplers of llama-cpp-python."""

from __future__ import annotations

import numpy as np
import pytest

import llamakit.compat  # noqa: F401
from llamakit.core.engine.context import Context
from llamakit.core.engine.load import load_model
from llamakit.errors import UsageError
from tests.api.model import TINY
from tests.tiny import write_tiny

import llama_cpp  # isort: skip
import llama_cpp._internals as internals  # isort: skip

TEXT = b"the cat sat"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return str(write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", TINY))


@pytest.fixture
def model(path):
    model = internals.LlamaModel(path_model=path, params=llama_cpp.llama_model_default_params())
    yield model
    model.close()


def context_of(model, **fields):
    params = llama_cpp.llama_context_default_params()
    for name, value in {"n_ctx": 64, "n_threads": 1, **fields}.items():
        setattr(params, name, value)
    return internals.LlamaContext(model=model, params=params)


def batch_of(tokens, n_past=0, logits_all=False):
    batch = internals.LlamaBatch(n_tokens=len(tokens), embd=0, n_seq_max=1)
    batch.set_batch(tokens, n_past, logits_all)
    return batch


def greedy():
    sampler = internals.LlamaSampler()
    sampler.add_greedy()
    return sampler


@pytest.fixture
def expected(path):
    """Logits after each token of TEXT, as the engine itself has them."""
    with load_model(path) as model, Context(model, n_ctx=64, n_threads=1) as context:
        tokens = model.vocab.encode(TEXT)
        return tokens, np.array([context.step(token) for token in tokens])


def test_a_batch_gives_the_logits_that_it_asks_for(model, expected):
    tokens, logits = expected
    assert model.tokenize(TEXT, add_bos=True, special=True) == tokens
    context = context_of(model)
    context.decode(batch_of(tokens[:-1], logits_all=True))
    assert np.array_equal(context.logits_of(1), logits[1])
    context.decode(batch_of(tokens[-1:], n_past=len(tokens) - 1))
    assert np.array_equal(context.get_logits_ith(-1)[: model.n_vocab()], logits[-1])
    with pytest.raises(IndexError, match="token 5"):
        context.logits_of(5)


def test_only_the_last_token_has_logits_unless_all_are_wanted(model, expected):
    tokens, logits = expected
    context = context_of(model)
    context.decode(batch_of(tokens))
    assert np.array_equal(context.logits_of(-1), logits[-1])
    with pytest.raises(IndexError):
        context.logits_of(0)


def test_positions_must_go_on_and_the_cache_must_have_room(model, expected):
    tokens, _ = expected
    context = context_of(model)
    with pytest.raises(RuntimeError, match="llama_decode returned -1"):
        context.decode(batch_of(tokens, n_past=3))
    assert context.n_ctx() == 256
    with pytest.raises(RuntimeError, match="llama_decode returned 1"):
        context.decode(batch_of(tokens * 100))


def test_a_sequence_is_cut_and_others_begin_as_it(model, expected):
    tokens, logits = expected
    context = context_of(model, n_seq_max=2)
    context.decode(batch_of(tokens))
    assert context.kv_cache_seq_rm(0, len(tokens) - 1, -1)
    context.kv_cache_seq_cp(0, 1, 0, -1)
    context.kv_cache_seq_keep(1)
    with pytest.raises(RuntimeError):
        context.decode(batch_of(tokens[-1:], n_past=len(tokens) - 1))
    batch = internals.LlamaBatch(n_tokens=8, embd=0, n_seq_max=2)
    batch.add_sequence(tokens, 0, False)
    context.decode(batch)
    assert np.array_equal(context.logits_of(-1), logits[-1])
    context.kv_cache_clear()
    assert [context.n_past(seq) for seq in (0, 1)] == [0, 0]


def test_what_follows_removed_positions_moves_up(model, expected):
    tokens, _ = expected
    context = context_of(model)
    context.decode(batch_of(tokens))
    assert context.kv_cache_seq_rm(0, 1, 3)
    with pytest.raises(RuntimeError, match=r"positions 1 to 3 .* were removed: .*\(mem, 0, 3, -1, -2"):
        context.decode(batch_of(tokens[:1], n_past=len(tokens)))
    with pytest.raises(ValueError, match="were removed"):
        context.state()
    with pytest.raises(ValueError, match="positions move only"):
        context.kv_cache_seq_shift(0, 3, -1, -1)
    context.kv_cache_seq_shift(0, 3, -1, -2)
    assert context.n_past(0) == len(tokens) - 2
    context.decode(batch_of(tokens[-1:], n_past=len(tokens) - 2))
    with load_model(context.model.path_model) as loaded, Context(loaded, n_ctx=256, n_threads=1) as engine:
        engine.prefill(tokens)
        engine.shift(1, 2)
        assert np.array_equal(context.logits_of(-1), engine.step(tokens[-1]))
    assert context.kv_cache_seq_rm(0, 1, 2) and context.kv_cache_seq_rm(0, 2, -1)  # the second takes all that is left
    assert context.n_past(0) == 1


def test_candidates_are_rows_over_one_memory():
    candidates = internals.LlamaTokenDataArray(n_vocab=4)
    candidates.copy_logits(np.array([0.5, 2.0, -1.0, 0.0], np.float32))
    structure = candidates.candidates
    assert [structure.data[i].id for i in range(structure.size)] == [0, 1, 2, 3]
    assert [structure.data[i].logit for i in range(structure.size)] == [0.5, 2.0, -1.0, 0.0]
    structure.data[2].p = 0.25
    assert candidates.candidates_data.p[2] == 0.25
    assert internals.normalize_embedding([3.0, 4.0]) == [0.6, 0.8]
    assert internals.normalize_embedding([0.0, 0.0]) == [0.0, 0.0]


def test_what_was_drawn_is_kept(model, expected):
    tokens, _ = expected
    context = context_of(model)
    drawn = internals.LlamaSamplingContext(internals.LlamaSamplingParams(temp=0.0))
    assert drawn.last() is None
    for token in tokens:
        drawn.accept(context, token, True)
    twin = drawn.cp()
    drawn.reset()
    assert (drawn.prev, twin.prev, twin.last(), twin.params.temp) == ([], tokens, tokens[-1], 0.0)
    assert TEXT.decode().endswith(twin.prev_str(context, 2).strip()) and twin.prev_str(context, 0) == ""
    with pytest.raises(UsageError, match="LlamaSampler"):
        twin.sample(context)


def test_a_chain_draws_what_the_same_options_draw_in_a_llama(path, model):
    options = {"top_k": 20, "top_p": 0.9, "min_p": 0.0, "repeat_penalty": 1.0, "seed": 7}
    with llama_cpp.Llama(path, n_ctx=64, verbose=False) as llm:
        wanted = llm.create_completion(TEXT.decode(), max_tokens=6, temperature=0.9, **options)
    sampler = internals.LlamaSampler()
    sampler.add_top_k(20)
    sampler.add_top_p(0.9, 1)
    sampler.add_temp(0.9)
    sampler.add_dist(7)
    context, tokens = context_of(model), model.tokenize(TEXT, True, True)
    drawn, n_past = [], 0
    for _ in range(wanted["usage"]["completion_tokens"]):
        context.decode(batch_of(tokens, n_past))
        n_past += len(tokens)
        tokens = [sampler.sample(context, -1)]
        drawn += tokens
    assert model.detokenize(drawn).decode() == wanted["choices"][0]["text"]


def test_a_clone_goes_on_as_the_sampler_does(model, expected):
    context = context_of(model)
    context.decode(batch_of(expected[0]))
    sampler = internals.LlamaSampler()
    sampler.add_dist(3)
    sampler.sample(context)
    twin = sampler.clone()
    assert [sampler.sample(context) for _ in range(9)] == [twin.sample(context) for _ in range(9)]
    assert sampler.get_seed() == 3


def test_greedy_takes_the_likeliest_also_behind_a_temperature(model, expected):
    context = context_of(model)
    context.decode(batch_of(expected[0]))
    sampler = internals.LlamaSampler()
    sampler.add_temp(5.0)
    sampler.add_greedy()
    assert {sampler.sample(context) for _ in range(5)} == {int(expected[1][-1].argmax())}
    with pytest.raises(ValueError, match="temperature already"):
        sampler.add_temp(1.0)


def test_a_grammar_and_biases_hold(model, expected):
    context = context_of(model)
    context.decode(batch_of(expected[0]))
    sampler = greedy()
    sampler.add_grammar(model, llama_cpp.LlamaGrammar.from_string('root ::= "cat"'))
    assert b"cat".startswith(model.token_to_piece(sampler.sample(context)).strip())
    biased = greedy()
    biased.add_logit_bias(model.n_vocab(), {5: 1e6})
    assert biased.sample(context) == 5


def test_closing_a_model_closes_its_contexts(path):
    model = internals.LlamaModel(path_model=path, params=internals.LlamaModel.default_params())
    context = context_of(model)
    model.close()
    assert context.ctx is None and model.model is None
    with pytest.raises(ValueError, match="closed"):
        context.n_ctx()


def test_what_cannot_be_opened_is_a_value_error(path, tmp_path, model):
    params = llama_cpp.llama_model_default_params()
    with pytest.raises(ValueError, match="does not exist"):
        internals.LlamaModel(path_model=str(tmp_path / "no.gguf"), params=params)
    (tmp_path / "bad.gguf").write_bytes(b"GGUF")
    with pytest.raises(ValueError, match="Failed to load model"):
        internals.LlamaModel(path_model=str(tmp_path / "bad.gguf"), params=params)
    with pytest.raises(ValueError, match="Failed to create llama_context"):
        context_of(model, n_seq_max=0)


def test_a_model_tells_what_it_is(path, model):
    with llama_cpp.Llama(path, n_ctx=64, verbose=False) as llm:
        assert model.metadata() == llm.metadata
        assert (model.token_bos(), model.token_eos(), model.n_vocab()) == (
            llm.token_bos(), llm.token_eos(), llm.n_vocab(),
        )  # fmt: skip
        assert llm._ctx.ctx is not None and not llm._is_recurrent and not llm._is_hybrid
    assert model.vocab_type() == llama_cpp.LLAMA_VOCAB_TYPE_SPM
    assert model.token_get_text(model.token_eos()) == "</s>"
    assert model.size() > 0 and model.n_params() > 0 and model.desc().startswith("llama")
