"""llama-cpp-python's names and meaning."""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import islice

import numpy as np
import pytest

from llamakit.completion_api import StopText
from llamakit.errors import GGUFError, LlamakitError, ModelError, UsageError, VocabError
from llamakit.llama import Llama

from .core.vocab.vocabs import bpe_metadata, spm_metadata
from .tiny import Tiny, write_tiny

PIECES = [(text, -float(i)) for i, text in enumerate(["▁t", "▁th", "▁the", "▁c", "▁ca", "▁cat"])]
SPM = spm_metadata(PIECES, bos_token_id=1, eos_token_id=2)
TEXTS = SPM["tokenizer.ggml.tokens"]
TINY = Tiny(n_vocab=len(TEXTS), metadata=SPM | {"general.name": "tiny", "general.file_type": 0})
PROMPT = [1, 70, 71, 72, 73]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", TINY)


@pytest.fixture
def llm(path):
    with Llama(path, n_ctx=64, seed=1, verbose=False) as llm:
        yield llm


@pytest.fixture
def llm_all(path):
    with Llama(path, n_ctx=64, logits_all=True, verbose=False) as llm:
        yield llm


def take(generator, n):
    return list(islice(generator, n))


# opening
def test_the_numbers_of_a_model(llm):
    assert (llm.n_ctx(), llm.n_vocab(), llm.n_embd()) == (64, TINY.n_vocab, TINY.n_embd)
    assert (llm.token_bos(), llm.token_eos()) == (1, 2)
    assert TEXTS[llm.token_nl()] == "<0x0A>"
    assert (llm.n_batch, llm.n_tokens) == (64, 0)


def test_metadata_is_text_without_arrays(llm):
    assert llm.metadata["general.name"] == "tiny"
    assert llm.metadata["llama.block_count"] == "2"
    assert llm.metadata["llama.rope.freq_base"] == "10000.000000"
    assert llm.metadata["llama.attention.layer_norm_rms_epsilon"] == "0.000010"
    assert "tokenizer.ggml.tokens" not in llm.metadata
    assert all(isinstance(value, str) for value in llm.metadata.values())


def test_booleans_read_as_llama_cpp_writes_them(tmp_path):
    keys = spm_metadata(add_bos_token=False, add_space_prefix=True)
    with Llama(write_tiny(tmp_path / "m.gguf", Tiny(n_vocab=260, metadata=keys)), verbose=False) as llm:
        assert llm.metadata["tokenizer.ggml.add_bos_token"] == "false"
        assert llm.metadata["tokenizer.ggml.add_space_prefix"] == "true"


def test_an_unknown_argument_is_a_type_error(path):
    with pytest.raises(TypeError, match="n_contexts"):
        Llama(path, n_contexts=5)
    with pytest.raises(TypeError):
        Llama(path, 5)


def test_no_context_length_means_the_trained_one(path):
    with Llama(path, n_ctx=0, verbose=False) as llm:
        assert llm.n_ctx() == TINY.n_ctx


@pytest.mark.parametrize(
    "type_k, name", [(None, "f16"), ("q8_0", "q8_0"), (0, "f32"), (1, "f16"), (8, "q8_0"), (30, "bf16")]
)
def test_cache_types_have_names_and_ids(path, type_k, name):
    with Llama(path, type_k=type_k, type_v=type_k, verbose=False) as llm:
        assert (llm._context.cache.type_k.name, llm._context.cache.type_v.name) == (name, name)


@pytest.mark.parametrize("type_k", ["q4_0", 2, 9999])
def test_what_no_cache_can_be_is_refused(path, type_k):
    with pytest.raises(UsageError, match=r"q4_0|ggml type id"):
        Llama(path, type_k=type_k, verbose=False)


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(GGUFError, match="nowhere"):
        Llama(tmp_path / "nowhere.gguf", verbose=False)


def test_verbose_says_what_was_loaded_on_stderr_only(path, capfd):
    Llama(path, n_ctx=64).close()
    out, err = capfd.readouterr()
    assert out == "" and "n_ctx 64" in err
    Llama(path, n_ctx=64, verbose=False).close()
    assert capfd.readouterr() == ("", "")


def test_a_vocabulary_alone_needs_no_weights(tmp_path):
    keys = Tiny(metadata=SPM).keys()
    path = tmp_path / "vocab.gguf"
    from llamakit import GGUFWriter

    with GGUFWriter(path) as writer:
        for key, value in keys.items():
            writer.add(key, value)
    with Llama(path, vocab_only=True, verbose=False) as llm:
        assert llm.detokenize(llm.tokenize(b"the cat")) == b"the cat"
        assert (llm.n_vocab(), llm.n_embd()) == (len(TEXTS), 64)
        with pytest.raises(UsageError, match="vocab_only"):
            llm.eval([1])
    with pytest.raises(LlamakitError):
        Llama(path, verbose=False)


def test_a_model_without_a_vocabulary_runs_token_ids(tmp_path):
    with Llama(write_tiny(tmp_path / "m.gguf", Tiny()), verbose=False) as llm:
        assert len(take(llm.generate([1, 2]), 3)) == 3
        with pytest.raises(VocabError):
            llm.tokenize(b"a")


def test_kv_overrides_reach_model_and_vocabulary(path):
    overrides = {"tokenizer.ggml.add_bos_token": False, "llama.context_length": 99}
    with Llama(path, n_ctx=0, kv_overrides=overrides, verbose=False) as llm:
        assert llm.n_ctx() == 99
        assert llm.tokenize(b"a")[0] != 1


def test_rope_options_are_overrides_too(path):
    def logits(**options):
        with Llama(path, type_k="f32", type_v="f32", verbose=False, **options) as llm:
            llm.eval(PROMPT)
            return llm.scores[-1]

    own = logits()
    np.testing.assert_array_equal(logits(rope_freq_base=10000.0, rope_freq_scale=1.0), own)
    base = logits(rope_freq_base=500.0)
    np.testing.assert_array_equal(base, logits(kv_overrides={"llama.rope.freq_base": 500.0}))
    scaled = logits(rope_freq_scale=0.25)
    np.testing.assert_array_equal(scaled, logits(kv_overrides={"llama.rope.scaling.factor": 4.0}))
    assert np.abs(base - own).max() > 1e-4 and np.abs(scaled - own).max() > 1e-4


def test_a_closed_model_computes_no_more(path):
    llm = Llama(path, verbose=False)
    llm.eval(PROMPT)
    llm.close()
    llm.close()
    with pytest.raises(UsageError, match="the model is closed"):
        llm.eval([1])
    assert llm.detokenize(PROMPT)


def test_a_model_nobody_uses_any_more_gives_back_its_threads(path):
    code = """
import gc, sys, threading
from llamakit.llama import Llama
llm = Llama(sys.argv[1], n_threads=3, verbose=False)
llm.eval([1])
assert threading.active_count() == 3
del llm
gc.collect()
assert threading.active_count() == 1
kept = Llama(sys.argv[1], n_threads=3, verbose=False)  # open at exit: must not hang
"""
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=60)


# text
@pytest.mark.parametrize(
    "text, options, ids",
    [
        (b"the cat", {}, [1, "▁the", "▁cat"]),
        (b"the cat", {"add_bos": False}, ["▁the", "▁cat"]),
        (b"</s>", {"special": True}, [1, 2]),
        (b"\xff", {"add_bos": False}, ["▁", "<0xFF>"]),
    ],
)
def test_tokenize(llm, text, options, ids):
    assert llm.tokenize(text, **options) == [i if isinstance(i, int) else TEXTS.index(i) for i in ids]


def test_control_tokens_are_text_unless_special(llm):
    assert 2 not in llm.tokenize(b"</s>")


def test_detokenize_drops_the_space_behind_bos_only(llm):
    ids = llm.tokenize(b"the cat")
    assert llm.detokenize(ids) == b"the cat"
    assert llm.detokenize(ids[1:]) == b" the cat"
    assert llm.detokenize(ids[2:], prev_tokens=ids[:2]) == b" cat"
    assert llm.detokenize([*ids, 2], special=True) == b"<s> the cat</s>"
    assert llm.detokenize([]) == b""


def test_bytes_come_back_as_they_went_in(llm):
    raw = bytes(range(256))
    assert llm.detokenize(llm.tokenize(raw)) == raw


def test_a_vocabulary_without_bos_says_minus_one(tmp_path):
    keys = bpe_metadata(merges=["a b"], pre="glm4", bos_token_id=None)
    n_vocab = len(keys["tokenizer.ggml.tokens"])
    with Llama(write_tiny(tmp_path / "m.gguf", Tiny(n_vocab=n_vocab, metadata=keys)), verbose=False) as llm:
        assert (llm.token_bos(), llm.token_eos()) == (-1, 0)
        assert llm.detokenize([llm.token_nl()]) == b"\n"
        assert llm.detokenize([]) == b""


# evaluating
def test_scores_hold_all_rows_with_logits_all_else_the_last(llm, llm_all):
    for half in (PROMPT[:3], PROMPT[3:]):
        llm.eval(half)
        llm_all.eval(half)
    assert llm.scores.shape == llm_all.scores.shape == (5, TINY.n_vocab)
    assert llm.scores.dtype == llm_all.scores.dtype == np.float32
    np.testing.assert_array_equal(llm.scores[-1], llm_all.scores[-1])
    assert not llm.scores[:-1].any()
    assert (np.abs(llm_all.scores).max(axis=1) > 0).all()
    assert len(llm.eval_logits) == 1 and len(llm_all.eval_logits) == 5
    np.testing.assert_array_equal(llm.eval_logits[-1], llm.scores[-1])


def test_what_was_evaluated_is_kept(llm):
    llm.eval(PROMPT[:2])
    llm.eval(np.array(PROMPT[2:]))
    assert llm.n_tokens == 5
    assert list(llm.eval_tokens) == llm.input_ids[:5].tolist() == PROMPT


def test_reset_begins_anew(llm):
    llm.eval(PROMPT)
    first = llm.scores[-1]
    llm.eval(PROMPT)
    assert np.abs(llm.scores[-1] - first).max() > 0
    llm.reset()
    assert llm.scores.shape == (0, TINY.n_vocab) and not llm.eval_tokens
    llm.eval(PROMPT)
    np.testing.assert_array_equal(llm.scores[-1], first)


def test_fewer_tokens_forget_those_behind(llm):
    llm.eval(PROMPT)
    llm.n_tokens = 3
    llm.eval(PROMPT[3:])
    again = llm.scores[-1]
    llm.reset()
    llm.eval(PROMPT)
    np.testing.assert_array_equal(llm.scores[-1], again)


def test_evaluating_nothing_changes_nothing(llm):
    llm.eval([])
    assert llm.n_tokens == 0
    with pytest.raises(UsageError, match="0 tokens were evaluated"):
        llm.sample()


@pytest.mark.parametrize("tokens, error", [([TINY.n_vocab], UsageError), ([-1], UsageError), ([5] * 65, ModelError)])
def test_what_cannot_be_evaluated_adds_nothing(llm, tokens, error):
    llm.eval(PROMPT)
    with pytest.raises(error):
        llm.eval(tokens)
    assert llm.n_tokens == 5


# sampling
def test_greedy_takes_the_largest_logit(llm):
    llm.eval(PROMPT)
    assert llm.sample(temp=0) == llm.scores[-1].argmax()


def test_sample_at_an_index_needs_its_logits(llm, llm_all):
    llm.eval(PROMPT)
    llm_all.eval(PROMPT)
    assert llm_all.sample(temp=0, idx=2) == llm_all.scores[2].argmax()
    assert llm.sample(temp=0, idx=4) == llm_all.sample(temp=0)
    with pytest.raises(UsageError, match="logits_all"):
        llm.sample(idx=2)
    for idx in (-1, 5):
        with pytest.raises(UsageError, match=f"no logits of token {idx}"):
            llm_all.sample(idx=idx)


def test_a_seed_fixes_the_tokens(llm):
    first = take(llm.generate(PROMPT, temp=2.0), 20)
    assert take(llm.generate(PROMPT, temp=2.0), 20) == first
    llm.set_seed(2)
    assert take(llm.generate(PROMPT, temp=2.0), 20) != first
    with pytest.raises(UsageError, match="seed"):
        llm.set_seed(2**32)


def test_a_temperature_below_zero_draws_from_the_whole_vocabulary(llm):
    llm.eval(PROMPT)
    seen = set()
    for seed in range(60):
        llm.set_seed(seed)
        seen.add(llm.sample(temp=-1, top_k=1))
    assert len(seen) > 20


def test_processors_see_the_tokens_and_change_the_logits(llm):
    seen = []

    def only_token_9(tokens, logits):
        seen.append(tokens.tolist())
        logits[:] = -np.inf
        logits[9] = 0
        return logits

    assert take(llm.generate(PROMPT, logits_processor=[only_token_9]), 3) == [9, 9, 9]
    assert seen == [PROMPT, [*PROMPT, 9], [*PROMPT, 9, 9]]
    assert np.isfinite(llm.scores[-1]).all()


def test_a_constraint_is_obeyed(llm):
    class Only:
        def fill_mask(self, mask):
            mask[:] = 0
            mask[0] = 1 << 11

        def accept(self, token):
            assert token == 11

    assert take(llm.generate(PROMPT, grammar=Only()), 2) == [11, 11]


@pytest.mark.parametrize("options", [{"typical_p": 0.9}, {"tfs_z": 0.5}, {"mirostat_mode": 2}])
def test_stages_that_are_not_here_are_refused_at_once(llm, options):
    with pytest.raises(UsageError, match=f"{next(iter(options))}=.* is not supported"):
        llm.generate(PROMPT, **options)


def test_repeats_are_penalized_among_generated_tokens(llm):
    free = take(llm.generate(PROMPT, temp=0), 30)
    assert len(set(free)) < 30
    llm.reset()
    assert len(set(take(llm.generate(PROMPT, temp=0, presence_penalty=100.0), 30))) == 30


# generating
def test_generate_is_eval_and_sample_again_and_again(llm):
    tokens = take(llm.generate(PROMPT, temp=0), 6)
    llm.reset()
    llm.eval(PROMPT)
    for token in tokens:
        assert llm.sample(temp=0) == token
        llm.eval([token])


def counted(llm):
    """Lengths of what is really computed."""
    lengths, decode = [], llm._context.decode

    def counting(chunks):
        lengths.extend(len(chunk.tokens) for chunk in chunks)
        return decode(chunks)

    llm._context.decode = counting
    return lengths


def test_a_common_prefix_is_not_computed_again(llm):
    lengths = counted(llm)
    fresh = take(llm.generate(PROMPT, temp=0), 3)
    assert lengths == [5, 1, 1]
    cases = [
        ([*PROMPT[:3], 99], [1]),  # three tokens are shared
        ([*PROMPT[:3], 99], []),  # the same again: its logits are there
        (PROMPT[:2], [1]),  # a prefix of what is there: its last token is computed for its logits
        ([99, 98], [2]),
        (PROMPT, [5]),
    ]
    for prompt, wanted in cases:
        lengths.clear()
        token = next(llm.generate(prompt, temp=0))
        assert lengths == wanted, prompt
        assert llm.n_tokens == len(prompt)
    assert token == fresh[0]


def test_without_reset_tokens_are_added(llm):
    llm.eval(PROMPT[:3])
    token = next(llm.generate(PROMPT[3:], temp=0, reset=False))
    assert list(llm.eval_tokens) == PROMPT
    llm.reset()
    assert next(llm.generate(PROMPT, temp=0)) == token


def test_sent_tokens_come_behind_the_last_one(llm):
    generator = llm.generate(PROMPT, temp=0)
    first = next(generator)
    after = generator.send([80, 81])
    assert list(llm.eval_tokens) == [*PROMPT, first, 80, 81]
    assert after == llm.scores[-1].argmax()


def test_stopping_criteria_end_the_generation(llm):
    def at_eight(tokens, logits):
        assert logits.shape == (TINY.n_vocab,)
        return len(tokens) >= 8

    assert len(list(llm.generate(PROMPT, stopping_criteria=at_eight))) == 3


def test_a_full_context_is_an_error(llm):
    generator = llm.generate(PROMPT)
    assert len(take(generator, 60)) == 60
    with pytest.raises(ModelError, match="the context is 64"):
        next(generator)


# completions
def test_a_completion_has_openais_shape(llm, path):
    answer = llm("the cat", max_tokens=8, temperature=0)
    assert set(answer) == {"id", "object", "created", "model", "choices", "usage"}
    assert answer["object"] == "text_completion" and answer["model"] == str(path)
    assert answer["id"].startswith("cmpl-") and abs(answer["created"] - time.time()) < 60
    assert set(answer["choices"][0]) == {"text", "index", "logprobs", "finish_reason"}
    n_prompt = len(llm.tokenize(b"the cat"))
    n = answer["usage"]["completion_tokens"]
    assert answer["usage"] == {"prompt_tokens": n_prompt, "completion_tokens": n, "total_tokens": n_prompt + n}


def forced(text):
    """A processor that makes the model say a text, then EOS."""
    tokens = [*(TEXTS.index(f"<0x{byte:02X}>") for byte in text.encode()), 2]
    begun = []

    def force(_, logits):
        begun.append(0)
        logits[:] = -np.inf
        logits[tokens[len(begun) - 1]] = 0
        return logits

    return [force]


@pytest.mark.parametrize(
    "options, text, reason, n_tokens",
    [
        ({}, "one two né", "stop", 11),
        ({"max_tokens": 3}, "one", "length", 3),
        ({"max_tokens": None}, "one two né", "stop", 11),
        ({"stop": "two"}, "one ", "stop", 7),
        ({"stop": ["zz", " t"]}, "one", "stop", 5),
        ({"stop": ["two!"]}, "one two né", "stop", 11),
        ({"stop": []}, "one two né", "stop", 11),
        ({"echo": True, "max_tokens": 3}, "the catone", "length", 3),
        ({"max_tokens": 10}, "one two n", "length", 10),  # half a character is no text
    ],
)
def test_how_completions_end(llm, options, text, reason, n_tokens):
    options = {"max_tokens": 40, **options}
    answer = llm("the cat", logits_processor=forced("one two né"), **options)
    assert answer["choices"][0]["text"] == text
    assert answer["choices"][0]["finish_reason"] == reason
    assert answer["usage"]["completion_tokens"] == n_tokens
    chunks = list(llm("the cat", logits_processor=forced("one two né"), stream=True, **options))
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == text
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1]["choices"][0] == {"text": "", "index": 0, "logprobs": None, "finish_reason": reason}
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_a_prompt_may_be_token_ids(llm):
    tokens = llm.tokenize(b"the cat")
    answer = llm.create_completion(tokens, max_tokens=4, temperature=0, echo=True)
    assert answer["choices"][0]["text"] == llm("the cat", max_tokens=4, temperature=0, echo=True)["choices"][0]["text"]


def test_biases_ban_and_favour_tokens(llm):
    bias = {TEXTS.index("<0x41>"): 1000.0}
    assert llm("the", max_tokens=3, logit_bias=bias)["choices"][0]["text"] == "AAA"


def test_completions_of_a_seed_can_be_told_again(path):
    def texts():
        with Llama(path, n_ctx=64, seed=5, verbose=False) as llm:
            return [llm("the cat", max_tokens=9, temperature=3.0)["choices"][0]["text"] for _ in range(2)]

    first, second = texts()
    assert first != second
    assert texts() == [first, second]


def test_a_completion_fills_the_context_and_no_more(llm):
    answer = llm("the cat", max_tokens=0, logits_processor=forced("x" * 200))
    assert answer["usage"]["total_tokens"] == 64


@pytest.mark.parametrize("prompt", [[], [5] * 64])
def test_prompts_that_do_not_fit_are_refused(llm, prompt):
    with pytest.raises(UsageError, match="needs 1 to 63"):
        llm.create_completion(prompt)


def test_unknown_options_of_a_completion_are_type_errors(llm):
    with pytest.raises(TypeError, match="best_of"):
        llm("the", best_of=3)


@pytest.mark.parametrize(
    "stops, parts, shown, found",
    [
        (["ab"], ["a", "c", "a", "b", "x"], ["", "ac", "", ""], True),
        (["aab"], ["a", "a", "a", "b"], ["", "", "a", ""], True),
        (["end", "n"], ["e", "n"], ["", "e"], True),
        ([""], ["a"], ["a"], False),
        (["xyz"], ["xy"], [""], False),
    ],
)
def test_a_stop_text_is_never_shown_in_part(stops, parts, shown, found):
    stop, got = StopText(stops), []
    for part in parts:
        got.append(stop.push(part))
        if stop.is_found:
            break
    assert got == shown and stop.is_found is found
    assert stop.flush() == ("xy" if stops == ["xyz"] else "")
