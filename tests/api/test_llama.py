"""llama-cpp-python's names and meaning: opening a model, and text."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from llamakit.api.llama import Llama
from llamakit.errors import GGUFError, LlamakitError, UsageError, VocabError
from tests.api.model import PROMPT, SPM, TEXTS, TINY, take
from tests.core.vocab.vocabs import bpe_metadata, spm_metadata
from tests.tiny import Tiny, write_tiny


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
        assert (llm.shared._context.cache.type_k.name, llm.shared._context.cache.type_v.name) == (name, name)


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
from llamakit.api.llama import Llama
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


class Letters:
    """A tokenizer of one's own: each byte is a token of the model's."""

    def tokenize(self, text, add_bos=True, special=True):
        return [3 + byte for byte in text]

    def detokenize(self, tokens, prev_tokens=None, special=False):
        return bytes(token - 3 for token in tokens)


def test_a_tokenizer_that_is_given_makes_the_prompts(path):
    with Llama(path, n_ctx=64, tokenizer=Letters(), verbose=False) as llm:
        assert llm.tokenize(b"the cat") == [3 + byte for byte in b"the cat"]
        assert llm("the cat", max_tokens=1)["usage"]["prompt_tokens"] == 7
        assert isinstance(llm.tokenizer_, Letters)
    with Llama(path, n_ctx=64, verbose=False) as llm:
        ids = llm.tokenizer().encode("the cat")
        assert ids == llm.tokenizer_.tokenize(b"the cat") == llm.tokenize(b"the cat", special=True)
        assert llm.tokenizer().decode(ids) == "the cat"
