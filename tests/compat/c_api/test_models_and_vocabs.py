"""Opening a model, and text to tokens and back, by llama.cpp's functions."""

from __future__ import annotations

import ctypes

import pytest

import llamakit.compat  # noqa: F401

import llama_cpp  # isort: skip

TEXT = b"the cat sat"


@pytest.fixture
def model(path):
    model = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
    yield model
    llama_cpp.llama_model_free(model)


@pytest.fixture
def vocab(model):
    return llama_cpp.llama_model_get_vocab(model)


def tokenized(vocab, text, room=32):
    tokens = (llama_cpp.llama_token * room)()
    n = llama_cpp.llama_tokenize(vocab, text, len(text), tokens, room, True, True)
    return n, tokens[: max(n, 0)]


def test_tokens_are_those_of_a_llama(path, vocab):
    with llama_cpp.Llama(path, vocab_only=True, verbose=False) as llm:
        wanted = llm.tokenize(TEXT, add_bos=True, special=True)
        assert tokenized(vocab, TEXT) == (len(wanted), wanted)
        assert tokenized(llama_cpp.llama_model_get_vocab(llm._model.model), TEXT) == (len(wanted), wanted)
        assert tokenized(llm._model.model, TEXT) == (len(wanted), wanted)  # as programs of 2024 call it
        assert llm.tokenizer().encode(TEXT.decode()) == llm.tokenizer_.tokenize(TEXT) == wanted
    assert tokenized(vocab, TEXT, room=2) == (-len(wanted), [])


def test_c_code_is_given_the_address_of_a_function(vocab):
    address = ctypes.cast(llama_cpp.llama_cpp._lib.llama_tokenize, ctypes.c_void_p).value
    integer, flag = ctypes.c_int32, ctypes.c_bool
    arguments = (ctypes.c_void_p, ctypes.c_char_p, integer, ctypes.POINTER(integer), integer, flag, flag)
    call = ctypes.CFUNCTYPE(integer, *arguments)(address)
    tokens = (integer * 32)()
    n = call(vocab, TEXT, len(TEXT), tokens, 32, True, True)
    assert tokens[:n] == tokenized(vocab, TEXT)[1]


def test_pieces_are_put_into_a_buffer_where_they_fit(vocab):
    buffer = (ctypes.c_char * 8)()
    _, tokens = tokenized(vocab, TEXT)
    pieces = b""
    for token in tokens:
        n = llama_cpp.llama_token_to_piece(vocab, llama_cpp.llama_token(token), buffer, 8, 0, False)
        pieces += buffer[:n]
    assert pieces.strip() == TEXT
    eos = llama_cpp.llama_vocab_eos(vocab)
    assert llama_cpp.llama_token_to_piece(vocab, eos, buffer, 2, 0, True) == -len("</s>")
    whole = ctypes.create_string_buffer(64)
    n = llama_cpp.llama_detokenize(vocab, (llama_cpp.llama_token * 32)(*tokens), len(tokens), whole, 64, True, False)
    assert whole.raw[:n].strip() == TEXT
    space = next(token for token in tokens if pieces.startswith(b" ") and token != llama_cpp.llama_vocab_bos(vocab))
    with_space = llama_cpp.llama_token_to_piece(vocab, space, buffer, 8, 0, False)
    assert llama_cpp.llama_token_to_piece(vocab, space, buffer, 8, 1, False) == with_space - 1


def test_a_vocabulary_tells_which_token_is_what(vocab):
    eos, n = llama_cpp.llama_vocab_eos(vocab), llama_cpp.llama_vocab_n_tokens(vocab)
    assert llama_cpp.llama_vocab_get_text(vocab, eos) == b"</s>" and llama_cpp.llama_token_is_eog(vocab, eos)
    kinds = [llama_cpp.llama_token_get_attr(vocab, token) for token in range(n)]
    assert kinds[eos] == llama_cpp.LLAMA_TOKEN_ATTR_CONTROL and kinds[-1] == llama_cpp.LLAMA_TOKEN_ATTR_NORMAL
    assert [llama_cpp.llama_vocab_is_control(vocab, token) for token in (eos, n - 1)] == [True, False]
    assert llama_cpp.llama_vocab_type(vocab) == llama_cpp.LLAMA_VOCAB_TYPE_SPM
    assert llama_cpp.llama_vocab_fim_pre(vocab) == llama_cpp.LLAMA_TOKEN_NULL


def test_a_model_tells_what_it_is(path, model):
    with llama_cpp.Llama(path, n_ctx=64, verbose=False) as llm:
        assert llama_cpp.llama_model_n_embd(model) == llama_cpp.llama_model_n_embd(llm.model) == llm.n_embd()
        metadata = llm.metadata
    buffer = ctypes.create_string_buffer(64)
    found = {}
    for i in range(llama_cpp.llama_model_meta_count(model)):
        llama_cpp.llama_model_meta_key_by_index(model, i, buffer, 64)
        key = buffer.value
        llama_cpp.llama_model_meta_val_str(model, key, buffer, 64)
        found[key.decode()] = buffer.value.decode()
    assert found == metadata
    assert llama_cpp.llama_model_meta_val_str(model, b"general.name", buffer, 3) == len("tiny")
    assert buffer.value == b"ti"
    assert llama_cpp.llama_model_meta_val_str(model, b"no.such.key", buffer, 64) == -1
    assert llama_cpp.llama_model_chat_template(model, None) is None


def test_what_cannot_be_opened_is_none_and_what_is_freed_is_gone(path, tmp_path):
    params = llama_cpp.llama_model_default_params()
    with pytest.warns(UserWarning, match="does not exist"):
        assert llama_cpp.llama_model_load_from_file(str(tmp_path / "no.gguf").encode(), params) is None
    model = llama_cpp.llama_model_load_from_file(path.encode(), params)
    llama_cpp.llama_model_free(model)
    with pytest.raises(ValueError, match="was it freed"):
        llama_cpp.llama_model_n_embd(model)


def test_a_file_is_quantized(path, tmp_path):
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread = llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0, 1
    made = str(tmp_path / "q8_0.gguf")
    assert llama_cpp.llama_model_quantize(path.encode(), made.encode(), ctypes.byref(params)) == 0
    with llama_cpp.Llama(made, n_ctx=64, verbose=False) as llm:
        assert llm.metadata["general.file_type"] == "7"
        buffer = ctypes.create_string_buffer(64)
        llama_cpp.llama_model_desc(llm.model, buffer, 64)
        assert buffer.value.endswith(b"Q8_0")
    params.ftype = 999
    with pytest.warns(UserWarning, match="unknown file type"):
        assert llama_cpp.llama_model_quantize(path.encode(), made.encode(), params) == 1
